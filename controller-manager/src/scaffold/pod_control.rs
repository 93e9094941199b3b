//! Creating and deleting the pods of an owner, with upstream's events, and taking objects in or
//! letting them go.
//!
//! Upstream: `controller.RealPodControl`, `controller_ref_manager.go`.

use crate::objects::conditions;
use crate::objects::owner::{self, Claims};
use crate::objects::template;
use crate::scaffold::changes::Target;
use crate::scaffold::context::namespaced;
use crate::scaffold::error::{is_namespace_terminating, message};
use crate::scaffold::patch::{self, Guard, Part};
use crate::scaffold::{At, ReconcileError, Writes, is_not_found};
use client::informer::Cached;
use client::{Informer, ObjectKey, Recorder};
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ObjectReference, Pod, PodCondition, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::Api;
use kube::api::{DeleteParams, PostParams, Preconditions};
use serde::Serialize;
use std::sync::Arc;

/// Most pods that are created or deleted for one owner at once.
pub const BURST: usize = 500;

/// Whose pods they are.
#[derive(Clone, Debug)]
pub struct Owner<'a> {
    /// Queue key that waits for the writes.
    pub key: &'a ObjectKey,
    /// What the pods refer to.
    pub reference: OwnerReference,
    /// What events are about.
    pub about: &'a ObjectReference,
}

/// Writes pods.
#[derive(Clone)]
pub struct PodControl {
    /// The connection.
    pub client: kube::Client,
    /// Where events go.
    pub recorder: Recorder,
    /// Where the pods will show up.
    pub pods: Informer<Pod>,
    /// Holds the owner's key until they do.
    pub writes: Writes,
}

impl PodControl {
    /// Where changes of the owner's other objects are written.
    pub fn target<'a, K>(&'a self, key: &'a ObjectKey, cache: &'a Informer<K>) -> Target<'a, K> {
        Target { client: &self.client, key, cache, writes: &self.writes }
    }

    /// Creates `count` pods in batches of 1, 2, 4, …, so that a quota that refuses them all is
    /// asked once, not `count` times. `false` if the namespace is going away.
    pub async fn create_slowly(
        &self,
        owner: &Owner<'_>,
        template: &PodTemplateSpec,
        count: usize,
    ) -> Result<(), ReconcileError> {
        let pod = template::pod(template, &owner.key.namespace, &owner.key.name, owner.reference.clone());
        let (mut left, mut batch) = (count.min(BURST), 1);
        while left > 0 {
            let size = batch.min(left);
            let made = futures::future::join_all((0..size).map(|_| self.create(owner, &pod))).await;
            made.into_iter().collect::<Result<Vec<()>, _>>()?;
            left -= size;
            batch *= 2;
        }
        Ok(())
    }

    /// Creates one pod.
    pub async fn create(&self, owner: &Owner<'_>, pod: &Pod) -> Result<(), ReconcileError> {
        let api = namespaced::<Pod>(&self.client, &owner.key.namespace);
        match api.create(&PostParams::default(), pod).await {
            Ok(created) => {
                let name = created.metadata.name.as_deref().unwrap_or_default();
                self.recorder.normal(owner.about, "SuccessfulCreate", format!("Created pod: {name}"));
                self.writes.wrote(owner.key, &self.pods, &created);
                Ok(())
            }
            Err(error) if is_namespace_terminating(&error) => Ok(()),
            Err(error) => {
                self.recorder.warning(owner.about, "FailedCreate", format!("Error creating: {}", message(&error)));
                Err(error).at(|| format!("create a pod of {}", owner.key))
            }
        }
    }

    /// Deletes these pods, at the same time.
    pub async fn delete_all(&self, owner: &Owner<'_>, pods: &[Arc<Pod>]) -> Result<(), ReconcileError> {
        let pods = &pods[..pods.len().min(BURST)];
        let gone = futures::future::join_all(pods.iter().map(|pod| self.delete(owner, pod))).await;
        gone.into_iter().collect::<Result<Vec<()>, _>>().map(drop)
    }

    /// Deletes one pod; one that is gone already is fine.
    pub async fn delete(&self, owner: &Owner<'_>, pod: &Pod) -> Result<(), ReconcileError> {
        let api = namespaced::<Pod>(&self.client, &owner.key.namespace);
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        match api.delete(name, &same(pod)).await {
            Ok(_) => {
                self.recorder.normal(owner.about, "SuccessfulDelete", format!("Deleted pod: {name}"));
                self.writes.deleted(owner.key, &self.pods, pod);
                Ok(())
            }
            Err(error) if is_not_found(&error) => Ok(()),
            Err(error) => {
                self.recorder.warning(owner.about, "FailedDelete", format!("Error deleting: {}", message(&error)));
                Err(error).at(|| format!("delete pod {name} of {}", owner.key))
            }
        }
    }
}

/// Why a pod goes although neither its owner nor a user wants it to.
#[derive(Clone, Copy, Debug)]
pub struct Disruption {
    /// Of the pod's `DisruptionTarget` condition.
    pub reason: &'static str,
    /// For people.
    pub message: &'static str,
}

impl Disruption {
    /// Says so in the pod's status.
    pub fn mark(self, pod: &mut Pod, now: Timestamp) {
        let condition = PodCondition {
            type_: "DisruptionTarget".to_owned(),
            status: "True".to_owned(),
            reason: Some(self.reason.to_owned()),
            message: Some(self.message.to_owned()),
            last_transition_time: Some(Time(now)),
            observed_generation: pod.metadata.generation,
            ..PodCondition::default()
        };
        conditions::set(pod.status.get_or_insert_default().conditions.get_or_insert_default(), condition);
    }
}

/// Writes the pod's last status, if there is one to write, and deletes it; one that is gone already is fine.
pub async fn mark_and_delete(
    client: &kube::Client,
    pod: &Pod,
    marked: Option<&Pod>,
    params: &DeleteParams,
) -> Result<(), ReconcileError> {
    let key = ObjectKey::of(pod);
    let api = namespaced::<Pod>(client, &key.namespace);
    if let Some(marked) = marked {
        match patch::write(&api, Part::Status, Guard::Uid, pod, marked).await {
            Err(error) if is_not_found(&error) => return Ok(()),
            written => written.at(|| format!("mark pod {key}"))?,
        };
    }
    match api.delete(&key.name, params).await {
        Err(error) if !is_not_found(&error) => Err(error).at(|| format!("delete pod {key}")),
        _ => Ok(()),
    }
}

/// Deletes exactly this object, not another of the same name.
pub fn same<K: Cached>(object: &K) -> DeleteParams {
    let preconditions = Preconditions { uid: object.meta().uid.clone(), resource_version: None };
    DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() }
}

/// Adopts and releases; gives all that is owned afterwards. Before the first adoption the owner is
/// read from the apiserver: one that was deleted meanwhile must not adopt.
pub async fn settle_claims<O, K>(
    client: &kube::Client,
    owner: &O,
    claims: Claims<K>,
    cache: &Informer<K>,
    writes: &Writes,
) -> Result<Vec<Arc<K>>, ReconcileError>
where
    O: Cached + kube::Resource<Scope = NamespaceResourceScope>,
    K: Cached + Serialize + kube::Resource<Scope = NamespaceResourceScope>,
{
    settle_tracked_claims(client, owner, claims, cache, writes, "").await
}

/// As [`settle_claims`]; what is adopted gets the finalizer, what is released loses it. An empty
/// one is none.
pub async fn settle_tracked_claims<O, K>(
    client: &kube::Client,
    owner: &O,
    claims: Claims<K>,
    cache: &Informer<K>,
    writes: &Writes,
    finalizer: &str,
) -> Result<Vec<Arc<K>>, ReconcileError>
where
    O: Cached + kube::Resource<Scope = NamespaceResourceScope>,
    K: Cached + Serialize + kube::Resource<Scope = NamespaceResourceScope>,
{
    let key = ObjectKey::of(owner);
    let Claims { mut owned, adopt, release } = claims;
    if !adopt.is_empty() && !may_adopt(client, owner, &key).await? {
        return Ok(owned);
    }
    let api = namespaced::<K>(client, &key.namespace);
    let others = |object: &K| {
        let finalizers = object.meta().finalizers.iter().flatten();
        finalizers.filter(|other| *other != finalizer).cloned().collect::<Vec<_>>()
    };
    for object in adopt {
        let owners = owner::with_owner(object.meta(), owner::controller_ref(owner));
        let mut finalizers = others(&object);
        finalizers.extend(Some(finalizer.to_owned()).filter(|finalizer| !finalizer.is_empty()));
        if let Some(adopted) = write_owners(&api, &object, owners, finalizers, &key).await? {
            writes.wrote(&key, cache, &adopted);
            owned.push(Arc::new(adopted));
        }
    }
    for object in release {
        let uid = owner.meta().uid.as_deref().unwrap_or_default();
        let owners = owner::without_owner(object.meta(), uid);
        if let Some(released) = write_owners(&api, &object, owners, others(&object), &key).await? {
            writes.wrote(&key, cache, &released);
        }
    }
    Ok(owned)
}

async fn may_adopt<O>(client: &kube::Client, owner: &O, key: &ObjectKey) -> Result<bool, ReconcileError>
where
    O: Cached + kube::Resource<Scope = NamespaceResourceScope>,
{
    let fresh = namespaced::<O>(client, &key.namespace).get_opt(&key.name).await.at(|| format!("read {key}"))?;
    Ok(fresh.is_some_and(|fresh| fresh.meta().uid == owner.meta().uid && fresh.meta().deletion_timestamp.is_none()))
}

async fn write_owners<K: Cached + Serialize>(
    api: &Api<K>,
    object: &K,
    owners: Vec<OwnerReference>,
    finalizers: Vec<String>,
    key: &ObjectKey,
) -> Result<Option<K>, ReconcileError> {
    let mut after = object.clone();
    after.meta_mut().finalizers = (!finalizers.is_empty()).then_some(finalizers);
    after.meta_mut().owner_references = (!owners.is_empty()).then_some(owners);
    match patch::write(api, Part::Object, Guard::Version, object, &after).await {
        Err(error) if is_not_found(&error) => Ok(None),
        written => written.at(|| format!("change the owner of {} for {key}", ObjectKey::of(object))),
    }
}
