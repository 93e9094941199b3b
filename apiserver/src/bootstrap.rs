//! What an empty cluster contains after the start: written once, and kept where clients rely on it.
//!
//! Upstream: `pkg/controlplane/controller/{systemnamespaces,kubernetesservice,defaultservicecidr,
//! clusterauthenticationtrust,legacytokentracking}`, `pkg/registry/{scheduling,flowcontrol}/rest`.

mod authentication;
mod flow_control;
mod followed;
mod identity;
mod master_leases;
mod objects;
mod service;
mod service_cidr;
mod token_tracking;

pub use authentication::{Trust, keep_trust, publish_trust};
pub use flow_control::keep_flow_control;
pub use identity::{Identity, collect_identities, keep_identity};
pub use master_leases::MasterLeases;
pub use service::{Endpoint, Ports, keep_service};
pub use service_cidr::{ensure_service_cidr, keep_service_cidr};
pub use token_tracking::{keep_token_tracking, track_tokens};

use apimachinery::Value;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::meta::ObjectMeta;
use apimachinery::resources;
use apimachinery::status::{Reason, Status};
use apiserver_registry::{Body, Context, Format, Registry, UserInfo, Verb};
use apiserver_storage::StorageError;
use futures::{FutureExt, StreamExt, TryStreamExt};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Writes under way at a time.
const CONCURRENCY: usize = 32;
/// Longest time for one write.
const DEADLINE: Duration = Duration::from_secs(30);

/// Why a bootstrap object could not be written.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The object's kind is not served.
    #[error("bootstrap object of a kind that is not served: {0}")]
    NotServed(GroupVersionKind),
    /// etcd did not take or give something.
    #[error("storage: {0}")]
    Storage(#[from] StorageError),
    /// A file of certificates is unusable.
    #[error(transparent)]
    Pki(#[from] pki::PkiError),
    /// The list of live servers lacks even this one.
    #[error(
        "no API server IP addresses were listed in storage, refusing to erase all endpoints for the kubernetes Service"
    )]
    NobodyLives,
    /// The write was refused.
    #[error("bootstrap object {name}")]
    Refused {
        /// The object.
        name: String,
        /// Why.
        #[source]
        source: Status,
    },
}

/// Namespaces, without which nothing else can be written.
pub async fn namespaces(registry: Arc<Registry>) -> Result<(), BootstrapError> {
    create_all(registry, objects::namespaces()).await
}

/// Everything that needs no more than its namespace.
pub async fn objects(registry: Arc<Registry>) -> Result<(), BootstrapError> {
    let mut all = objects::priority_classes();
    all.extend(flow_control::objects());
    create_all(registry, all).await
}

async fn create_all(registry: Arc<Registry>, objects: Vec<Value>) -> Result<(), BootstrapError> {
    let one = move |object| {
        let registry = registry.clone();
        async move { create(&registry, object).await }.boxed()
    };
    futures::stream::iter(objects).map(one).buffer_unordered(CONCURRENCY).try_collect().await
}

/// Creates an object if there is none of its name.
async fn create(registry: &Registry, object: Value) -> Result<(), BootstrapError> {
    let cx = context(&object, Verb::Create)?;
    if registry.store.cached(&cx.resource, &cx.resource.key(object.namespace(), object.name())).is_some() {
        return Ok(());
    }
    match registry.create(&cx, body(&object)).await {
        Ok(_) => Ok(()),
        // Another apiserver was faster.
        Err(status) if status.reason == Reason::AlreadyExists => Ok(()),
        Err(source) => Err(BootstrapError::Refused { name: object.name().to_owned(), source }),
    }
}

/// Creates an object, or makes these members of an existing one equal to it.
async fn ensure(registry: &Registry, object: Value, members: &[&str]) -> Result<(), BootstrapError> {
    let cx = context(&object, Verb::Update)?;
    let key = cx.resource.key(object.namespace(), object.name());
    let Some(current) = registry.store.cached(&cx.resource, &key) else { return create(registry, object).await };
    let mut value = current.value();
    if members.iter().all(|m| value.get(*m) == object.get(*m)) {
        return Ok(());
    }
    for member in members {
        value[*member] = object.get(*member).cloned().unwrap_or_default();
    }
    let written = registry.update(&cx, body(&value)).await;
    written.map(drop).map_err(|source| BootstrapError::Refused { name: object.name().to_owned(), source })
}

fn body(object: &Value) -> Body {
    Body { bytes: serde_json::to_vec(object).unwrap_or_default().into(), format: Format::Json }
}

/// The server's own request to write an object.
fn context(object: &Value, verb: Verb) -> Result<Context, BootstrapError> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let kind = GroupVersionKind::parse(&text("apiVersion"), &text("kind"))
        .unwrap_or_else(|| GroupVersionKind::new("", text("apiVersion"), text("kind")));
    let resource = resources::for_kind(&kind).ok_or(BootstrapError::NotServed(kind))?;
    Ok(Context {
        user: Arc::new(UserInfo {
            name: "system:apiserver".into(),
            groups: vec!["system:masters".into(), "system:authenticated".into()],
            ..UserInfo::default()
        }),
        verb,
        resource: resource.clone(),
        subresource: None,
        namespace: object.namespace().to_owned(),
        name: if verb == Verb::Create { String::new() } else { object.name().to_owned() },
        dry_run: false,
        field_manager: match &*resource.group {
            "flowcontrol.apiserver.k8s.io" => "api-priority-and-fairness-config-producer-v1",
            _ => "kube-apiserver",
        }
        .into(),
        field_validation: Default::default(),
        deadline: Instant::now() + DEADLINE,
        warnings: Default::default(),
        annotations: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_is_served() {
        let mut all = objects::namespaces();
        all.extend(objects::priority_classes());
        all.extend(flow_control::objects());
        for object in all {
            assert!(context(&object, Verb::Create).is_ok(), "{object}");
            assert!(!object.name().is_empty(), "{object}");
        }
    }
}
