//! The verbs. The server parses and authorizes a request, calls one of these, and encodes the reply.

use crate::admission::Chain;
use crate::hooks::{EscalationCheck, Permission, Reviewer, TokenIssuer};
use crate::services::Allocator;
use crate::watching::Watching;
use crate::{Context, convert, subresources, verbs};
use apimachinery::Value;
use apimachinery::resources::{self, ResourceInfo};
use apimachinery::schema::TypeRef;
use apimachinery::status::Status;
use apiserver_extensions::conversion::WebhookCaller;
use apiserver_storage::{ListPage, ListQuery, Object, Store, WatchQuery};
use arc_swap::ArcSwap;
use bytes::Bytes;
use imbl::HashMap;
use ipnet::IpNet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// A request body as it came: decoding needs the target type, which the registry knows.
#[derive(Clone, Debug)]
pub struct Body {
    /// The bytes, at most 3 MiB.
    pub bytes: Bytes,
    /// How they are encoded.
    pub format: Format,
}

/// Encodings of request bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Format {
    Json,
    Yaml,
    Protobuf,
}

/// The kind of a patch, by its content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum PatchType {
    Json,
    Merge,
    Strategic,
    /// Server-side apply.
    Apply,
}

/// What a verb answers. The server encodes it as JSON, YAML, protobuf, Table or metadata only.
#[derive(Debug)]
pub enum Reply {
    /// A stored object; its bytes are spliced. If the requested version differs from the stored
    /// one, the registry answers [`Reply::Value`] instead.
    Object(Arc<Object>),
    /// An object that is not stored as such (dry run, review, scale, status of a delete).
    Value {
        /// The tree, `kind` and `apiVersion` set.
        value: Value,
        /// Its type, for protobuf.
        ty: TypeRef,
    },
    /// Created: as `Object`, with HTTP 201.
    Created(Box<Reply>),
    /// Accepted, still being deleted: as `Object`, with HTTP 202.
    Accepted(Box<Reply>),
}

/// What the command line says about the registry, and who answers for it.
#[derive(Clone)]
pub struct Options {
    /// `--service-cluster-ip-range`: one range, or one of each family; the first is the default.
    pub service_ranges: Vec<IpNet>,
    /// `--service-node-port-range`.
    pub node_ports: RangeInclusive<u16>,
    /// `--event-ttl`.
    pub event_ttl: Duration,
    /// Answers reviews.
    pub reviewer: Option<Arc<dyn Reviewer>>,
    /// Issues service account tokens.
    pub token_issuer: Option<Arc<dyn TokenIssuer>>,
    /// Judges writes of roles and bindings.
    pub escalation: Option<Arc<dyn EscalationCheck>>,
    /// Authorizes PUT and apply to create.
    pub permission: Option<Arc<dyn Permission>>,
    /// Reaches the webhooks that convert custom resources.
    pub conversion: Option<Arc<dyn WebhookCaller>>,
    /// `--enable-garbage-collector`: whether deletions leave finalizers for it.
    pub has_garbage_collector: bool,
    /// `--delete-collection-workers`.
    pub collection_workers: usize,
    /// Built-in resources that are not served (`--runtime-config`).
    pub unserved: Vec<Arc<ResourceInfo>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            service_ranges: vec![IpNet::new_assert([10, 0, 0, 0].into(), 24)],
            node_ports: 30000..=32767,
            event_ttl: Duration::from_secs(3600),
            reviewer: None,
            token_issuer: None,
            escalation: None,
            permission: None,
            conversion: None,
            has_garbage_collector: true,
            collection_workers: 1,
            unserved: Vec::new(),
        }
    }
}

/// Time between a watch that ended and the next.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Custom resources by group, version and plural name; a change shares what has not changed.
type Custom = HashMap<(String, String, String), Arc<ResourceInfo>>;

/// All resources of one apiserver.
#[derive(Debug)]
pub struct Registry {
    /// Where objects lie.
    pub store: Store,
    /// Admission.
    pub admission: Chain,
    /// The command line's say.
    pub options: Options,
    pub(crate) services: Allocator,
    custom: ArcSwap<Custom>,
}

impl Registry {
    /// A registry over a store. Service addresses in use are read from the store's cache, which
    /// should be warm.
    pub fn new(store: Store, admission: Chain, options: Options) -> Self {
        let services = Allocator::new(store.clone(), options.service_ranges.clone(), options.node_ports.clone());
        Self { store, admission, options, services, custom: ArcSwap::default() }
    }

    /// Reserves the addresses of the services that exist, then follows what other apiservers do
    /// with services. Ends with the supervisor.
    pub fn keep_service_addresses(&self, supervisor: &component::Supervisor) {
        let services = self.services.clone();
        supervisor.spawn_until_stop("service addresses", async move {
            services.repair().await;
            loop {
                if let Err(error) = services.follow().await {
                    tracing::debug!(%error, "watch of services ended, starting it again");
                }
                tokio::time::sleep(RESTART_PAUSE).await;
            }
        });
    }

    /// GET of an object or of a subresource that is one (`status`, `scale`).
    pub async fn get(&self, cx: &Context, at: apiserver_storage::Match) -> Result<Reply, Status> {
        verbs::read::get(self, cx, at).await
    }

    /// GET of a collection.
    pub async fn list(&self, cx: &Context, query: &ListQuery) -> Result<ListPage, Status> {
        verbs::read::list(self, cx, query).await
    }

    /// A watch.
    pub async fn watch(self: &Arc<Self>, cx: &Context, query: &WatchQuery) -> Result<Watching, Status> {
        verbs::read::watch(self, cx, query).await
    }

    /// POST: creates an object, or runs a subresource or review (`binding`, `eviction`, `token`, …).
    pub async fn create(&self, cx: &Context, body: Body) -> Result<Reply, Status> {
        match subresources::posted(cx) {
            Some(action) => action.run(self, cx, body).await,
            None => verbs::create::create(self, cx, body).await,
        }
    }

    /// PUT.
    pub async fn update(&self, cx: &Context, body: Body) -> Result<Reply, Status> {
        verbs::update::update(self, cx, body).await
    }

    /// PATCH. `force` is server-side apply's.
    pub async fn patch(&self, cx: &Context, kind: PatchType, force: bool, body: Body) -> Result<Reply, Status> {
        verbs::patch::patch(self, cx, kind, force, body).await
    }

    /// DELETE of one object; `options` is `meta/v1.DeleteOptions` merged from body and query.
    pub async fn delete(&self, cx: &Context, options: &Value) -> Result<Reply, Status> {
        verbs::delete::delete(self, cx, options).await
    }

    /// DELETE of a collection: the objects deleted, as a list.
    pub async fn delete_collection(
        &self,
        cx: &Context,
        options: &Value,
        query: &ListQuery,
    ) -> Result<ListPage, Status> {
        verbs::delete::delete_collection(self, cx, options, query).await
    }

    /// A resource of this group, version and plural name, built in or custom.
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<Arc<ResourceInfo>> {
        if let Some(found) = resources::find(group, version, plural) {
            return self.serves(found).then(|| found.clone());
        }
        let custom = self.custom.load();
        if custom.is_empty() {
            return None;
        }
        custom.get(&(group.to_owned(), version.to_owned(), plural.to_owned())).cloned()
    }

    /// The built-in resources that are served, in discovery order.
    pub fn builtin(&self) -> impl Iterator<Item = &'static Arc<ResourceInfo>> {
        resources::builtin().iter().filter(|resource| self.serves(resource))
    }

    fn serves(&self, builtin: &Arc<ResourceInfo>) -> bool {
        !self.options.unserved.iter().any(|other| Arc::ptr_eq(other, builtin))
    }

    /// All custom resources, each version.
    pub(crate) fn custom_resources(&self) -> Vec<Arc<ResourceInfo>> {
        self.custom.load().values().cloned().collect()
    }

    /// Replaces some custom resources, the versions of one definition, by others.
    pub fn replace_custom(&self, old: &[Arc<ResourceInfo>], new: &[Arc<ResourceInfo>]) {
        let name = |r: &ResourceInfo| (r.group.to_string(), r.version.to_string(), r.plural.to_string());
        self.custom.rcu(|custom| {
            let mut changed = Custom::clone(custom);
            old.iter().for_each(|resource| drop(changed.remove(&name(resource))));
            changed.extend(new.iter().map(|resource| (name(resource), resource.clone())));
            changed
        });
    }

    /// Deletes all objects of a custom resource that is going, as its clients would. How many are
    /// left: finalizers may hold some.
    pub async fn delete_all(&self, resource: &Arc<ResourceInfo>) -> Result<usize, Status> {
        verbs::delete::delete_all(self, resource).await
    }

    /// An object of the requested version from a stored one, if they differ (`events`,
    /// `horizontalpodautoscalers` v1, custom resources); `None` if the bytes can be used as they are.
    pub fn convert(&self, resource: &ResourceInfo, object: &Object) -> Option<Value> {
        convert::is_needed(resource).then(|| convert::from_storage(resource, object.value()))
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("service_ranges", &self.service_ranges)
            .field("node_ports", &self.node_ports)
            .field("event_ttl", &self.event_ttl)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_send<T: Send>(_: T) {}

    /// Requests run on the server's worker threads: a compile-time test.
    #[allow(dead_code)]
    fn verbs_are_send(registry: &Registry, cx: &Context, body: Body, options: &Value) {
        is_send(registry.get(cx, apiserver_storage::Match::Any));
        is_send(registry.create(cx, body.clone()));
        is_send(registry.update(cx, body.clone()));
        is_send(registry.patch(cx, PatchType::Merge, false, body));
        is_send(registry.delete(cx, options));
        is_send(registry.delete_collection(cx, options, &ListQuery::default()));
    }
}
