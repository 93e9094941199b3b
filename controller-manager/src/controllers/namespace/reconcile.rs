//! Deletes the contents of a namespace, kind by kind, and removes its finalizer when none is left.

use super::plan::{self, FINALIZER, Outcome};
use crate::scaffold::discovery::{self, Kind};
use crate::scaffold::error::message;
use crate::scaffold::{At, Controller, Next, ReconcileError, is_not_found, patch};
use client::{Informer, ObjectKey};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, ListParams, PartialObjectMeta, PostParams};

/// Kinds that are deleted at the same time.
const AT_ONCE: usize = 8;
const PAGE: u32 = 500;

pub(super) struct Namespaces {
    pub(super) client: kube::Client,
    pub(super) namespaces: Informer<Namespace>,
}

impl Controller for Namespaces {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let cached = self.namespaces.get("", &key.name);
        if cached.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_none()) {
            return Ok(Next::OnChange);
        }
        // Read anew: finalizers may have been removed by others.
        let api = Api::<Namespace>::all(self.client.clone());
        let Some(namespace) = api.get_opt(&key.name).await.at(|| format!("read namespace {key}"))? else {
            return Ok(Next::OnChange);
        };
        let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_deref()).unwrap_or_default();
        if namespace.metadata.deletion_timestamp.is_none() || finalizers.is_empty() {
            return Ok(Next::OnChange);
        }
        let namespace = self.announce(&api, namespace).await?;
        self.empty(&api, &namespace).await
    }
}

impl Namespaces {
    /// Says Terminating before anything is deleted.
    async fn announce(&self, api: &Api<Namespace>, namespace: Namespace) -> Result<Namespace, ReconcileError> {
        let mut after = namespace.clone();
        after.status.get_or_insert_default().phase = Some("Terminating".to_owned());
        let written = patch::write_status(api, &namespace, &after).await.at(|| "announce the deletion".to_owned())?;
        Ok(written.unwrap_or(namespace))
    }

    async fn empty(&self, api: &Api<Namespace>, namespace: &Namespace) -> Result<Next, ReconcileError> {
        let name = namespace.metadata.name.as_deref().unwrap_or_default();
        let kinds = match discovery::deletable(&self.client).await {
            Ok(kinds) => kinds,
            Err(error) => {
                let why = error.cause();
                self.write(api, namespace, Err(why), &[]).await?;
                return Err(error);
            }
        };
        let outcomes = self.delete_contents(&kinds, name).await;
        self.write(api, namespace, Ok(()), &outcomes).await?;
        if let Some(left) = plan::failures(&outcomes) {
            return Err(ReconcileError::Unfinished { left });
        }
        match plan::again(&outcomes) {
            Some(again) => Ok(Next::After(again)),
            None => self.finalize(api, name).await,
        }
    }

    /// Pods first: what they use must not go before them.
    async fn delete_contents(&self, kinds: &[Kind], name: &str) -> Vec<Outcome> {
        let kinds = kinds.iter().filter(|kind| kind.namespaced);
        let is_pods = |kind: &&Kind| kind.resource.group.is_empty() && kind.resource.plural == "pods";
        let (pods, others): (Vec<_>, Vec<_>) = kinds.partition(is_pods);
        let mut outcomes = self.delete_kinds(pods, name).await;
        if plan::again(&outcomes).is_none() && plan::failures(&outcomes).is_none() {
            outcomes.extend(self.delete_kinds(others, name).await);
        }
        outcomes
    }

    async fn delete_kinds(&self, kinds: Vec<&Kind>, name: &str) -> Vec<Outcome> {
        let each: Vec<BoxFuture<'_, Outcome>> =
            kinds.into_iter().map(|kind| self.delete_kind_or_say(kind, name).boxed()).collect();
        futures::stream::iter(each).buffer_unordered(AT_ONCE).collect().await
    }

    async fn delete_kind_or_say(&self, kind: &Kind, name: &str) -> Outcome {
        let failed = |error: kube::Error| Outcome::Failed(format!("{}: {}", kind.group_resource(), message(&error)));
        self.delete_kind(kind, name).await.unwrap_or_else(failed)
    }

    async fn delete_kind(&self, kind: &Kind, name: &str) -> Result<Outcome, kube::Error> {
        let api = kind.api(&self.client, name);
        let resource = kind.group_resource();
        let found = list(&api).await?;
        if found.is_empty() {
            return Ok(plan::rest(&resource, &found, Timestamp::now()));
        }
        let how = DeleteParams::background();
        if kind.collection {
            api.delete_collection(&how, &ListParams::default()).await?;
        } else {
            for object in found.iter().filter_map(|object| object.metadata.name.as_deref()) {
                match api.delete(object, &how).await {
                    Err(error) if !is_not_found(&error) => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(plan::rest(&resource, &list(&api).await?, Timestamp::now()))
    }

    async fn write(
        &self,
        api: &Api<Namespace>,
        namespace: &Namespace,
        discovery: Result<(), String>,
        outcomes: &[Outcome],
    ) -> Result<(), ReconcileError> {
        let after = plan::with_conditions(namespace, discovery, outcomes, Timestamp::now());
        match patch::write_status(api, namespace, &after).await {
            Err(error) if is_not_found(&error) => Ok(()),
            written => written.map(drop).at(|| "write the namespace's conditions".to_owned()),
        }
    }

    async fn finalize(&self, api: &Api<Namespace>, name: &str) -> Result<Next, ReconcileError> {
        let Some(mut namespace) = api.get_opt(name).await.at(|| format!("read namespace {name}"))? else {
            return Ok(Next::OnChange);
        };
        let spec = namespace.spec.get_or_insert_default();
        spec.finalizers.get_or_insert_default().retain(|finalizer| finalizer != FINALIZER);
        match api.replace_subresource("finalize", name, &PostParams::default(), &namespace).await {
            Err(error) if is_not_found(&error) => Ok(Next::OnChange),
            done => done.map(|_| Next::OnChange).at(|| format!("finalize namespace {name}")),
        }
    }
}

/// The metadata of all objects, page by page.
async fn list(api: &Api<DynamicObject>) -> Result<Vec<PartialObjectMeta<DynamicObject>>, kube::Error> {
    let mut found = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api.list_metadata(&params).await?;
        found.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(found),
        }
    }
}
