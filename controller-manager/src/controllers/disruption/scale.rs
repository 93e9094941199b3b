//! How many pods the owner of a pod wants.

use crate::objects::owner;
use crate::scaffold::{At, ReconcileError, is_not_found};
use client::Informer;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;

/// An owner, by uid, and its scale.
pub(super) type Scaled = (String, i32);

pub(super) struct Scales {
    pub(super) client: kube::Client,
    pub(super) controllers: Informer<ReplicationController>,
    pub(super) sets: Informer<ReplicaSet>,
    pub(super) deployments: Informer<Deployment>,
}

impl Scales {
    /// The scale of what owns the pod: of the deployment, if a replica set stands between. `None`
    /// if there is no such owner, or nothing can scale it.
    pub(super) async fn of(&self, pod: &Pod, owner: &OwnerReference) -> Result<Option<Scaled>, ReconcileError> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        if owner::controller_name::<ReplicationController>(&pod.metadata).is_some() {
            let found = self.controllers.get(namespace, &owner.name).filter(|rc| is(&rc.metadata, owner));
            return Ok(found.map(|rc| scaled(owner, rc.spec.as_ref().and_then(|spec| spec.replicas))));
        }
        if owner::controller_name::<ReplicaSet>(&pod.metadata).is_some() {
            return Ok(self.of_replica_set(namespace, owner));
        }
        if owner::controller_name::<StatefulSet>(&pod.metadata).is_some() {
            return self.ask(namespace, owner, ApiResource::erase::<StatefulSet>(&())).await;
        }
        match self.resource(owner).await? {
            Some(resource) => self.ask(namespace, owner, resource).await,
            None => Ok(None),
        }
    }

    fn of_replica_set(&self, namespace: &str, owner: &OwnerReference) -> Option<Scaled> {
        let set = self.sets.get(namespace, &owner.name).filter(|set| is(&set.metadata, owner))?;
        let above = owner::controller_of(&set.metadata);
        if owner::controller_name::<Deployment>(&set.metadata).is_none() {
            return Some(scaled(owner, set.spec.as_ref().and_then(|spec| spec.replicas)));
        }
        let above = above?;
        let deployment = self.deployments.get(namespace, &above.name).filter(|d| is(&d.metadata, above))?;
        Some(scaled(above, deployment.spec.as_ref().and_then(|spec| spec.replicas)))
    }

    async fn ask(
        &self,
        namespace: &str,
        owner: &OwnerReference,
        resource: ApiResource,
    ) -> Result<Option<Scaled>, ReconcileError> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let scale: Scale = match api.get_subresource("scale", &owner.name).await {
            // Either is gone: the object, or its kind has no scale.
            Err(error) if is_not_found(&error) => return Ok(None),
            answer => answer
                .and_then(|scale| {
                    let tree = serde_json::to_value(scale).map_err(kube::Error::SerdeError)?;
                    serde_json::from_value(tree).map_err(kube::Error::SerdeError)
                })
                .at(|| format!("read the scale of {} {}", owner.kind, owner.name))?,
        };
        if !is(&scale.metadata, owner) {
            return Ok(None);
        }
        Ok(Some(scaled(owner, Some(scale.spec.and_then(|spec| spec.replicas).unwrap_or(0)))))
    }

    /// How the owner's kind is reached; `None` if the cluster does not serve it.
    async fn resource(&self, owner: &OwnerReference) -> Result<Option<ApiResource>, ReconcileError> {
        let (group, version) = owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
        let kind = GroupVersionKind::gvk(group, version, &owner.kind);
        match kube::discovery::pinned_kind(&self.client, &kind).await {
            Ok((resource, _)) => Ok(Some(resource)),
            Err(kube::Error::Discovery(_)) => Ok(None),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error).at(|| format!("look up {} of {}", owner.kind, owner.api_version)),
        }
    }
}

fn is(meta: &ObjectMeta, owner: &OwnerReference) -> bool {
    meta.uid.as_deref() == Some(owner.uid.as_str())
}

fn scaled(owner: &OwnerReference, replicas: Option<i32>) -> Scaled {
    (owner.uid.clone(), replicas.unwrap_or(1))
}
