//! What the caches drop and how they are indexed, kind by kind. A kind that is not listed here
//! cannot be shared; a field that is dropped here must not be read by a controller.

use super::SharedKind;
use crate::objects::{claims, owner, resources};
use client::informer::{Builder, Informer, Scope};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, ContainerStatus, Endpoints, Namespace, Node, Pod, PodSpec, ReplicationController, Service,
    ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceSlice};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::sync::Arc;

/// Index of pods and attachments by `spec.nodeName`; unscheduled pods under the empty string.
pub const BY_NODE: &str = "node";
/// Index by the uid of the controlling owner.
pub const BY_OWNER: &str = "owner";
/// Index of pods by the claims of their volumes, `namespace/name`.
pub const BY_CLAIM: &str = "claim";
/// Index of pods by the resource claims that they have, `namespace/name`.
pub const BY_RESOURCE_CLAIM: &str = "resource-claim";
/// Index of pods by the templates of their resource claims, `namespace/name`.
pub const BY_RESOURCE_TEMPLATE: &str = "resource-template";
/// Index of resource slices by their pool, `driver/pool`.
pub const BY_POOL: &str = "pool";
/// Index of attachments by the name of their persistent volume.
pub const BY_VOLUME: &str = "volume";
/// Index of endpoint slices by their Service, `namespace/name`.
pub const BY_SERVICE: &str = "service";

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

impl SharedKind for Namespace {}

impl SharedKind for ValidatingAdmissionPolicy {
    fn shape(builder: Builder<Self>) -> Builder<Self> {
        builder.trim(|policy| trim_meta(&mut policy.metadata))
    }
}

impl SharedKind for Lease {
    /// Only those of kubelets are read.
    fn scope() -> Scope {
        Scope { namespace: Some("kube-node-lease".to_owned()), ..Scope::default() }
    }
}

impl SharedKind for Deployment {
    fn shape(builder: Builder<Self>) -> Builder<Self> {
        builder.trim(|deployment| trim_meta(&mut deployment.metadata))
    }
}

impl SharedKind for ReplicaSet {
    fn shape(builder: Builder<Self>) -> Builder<Self> {
        builder.trim(|set| trim_meta(&mut set.metadata)).index(BY_OWNER, |set| owner_uid(&set.metadata))
    }
}

impl SharedKind for ReplicationController {
    fn shape(builder: Builder<Self>) -> Builder<Self> {
        builder.trim(|rc| trim_meta(&mut rc.metadata)).index(BY_OWNER, |rc| owner_uid(&rc.metadata))
    }
}

impl SharedKind for Service {
    fn shape(builder: Builder<Self>) -> Builder<Self> {
        builder.trim(|service| {
            trim_meta(&mut service.metadata);
            service.status = None;
        })
    }
}

impl SharedKind for ServiceAccount {
    fn shape(builder: Builder<Self>) -> Builder<Self> {
        builder.trim(|account| trim_meta(&mut account.metadata))
    }
}

impl SharedKind for Endpoints {
    fn shape(builder: Builder<Self>) -> Builder<Self> {
        builder.trim(|endpoints| trim_meta(&mut endpoints.metadata))
    }
}

impl SharedKind for EndpointSlice {
    fn shape(builder: Builder<Self>) -> Builder<Self> {
        builder.trim(|slice| trim_meta(&mut slice.metadata)).index(BY_SERVICE, |slice| {
            let service = slice.metadata.labels.as_ref().and_then(|labels| labels.get("kubernetes.io/service-name"));
            let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
            service.map(|name| format!("{namespace}/{name}")).into_iter().collect()
        })
    }
}

impl SharedKind for ConfigMap {
    /// Only the root CA's ConfigMaps are read.
    fn scope() -> Scope {
        Scope { field_selector: Some("metadata.name=kube-root-ca.crt".to_owned()), ..Scope::default() }
    }
}

impl SharedKind for ResourceClaim {
    /// Written back as they were cached: nothing is dropped.
    fn shape(builder: Builder<Self>) -> Builder<Self> {
        builder.index(BY_OWNER, |claim| owner_uid(&claim.metadata))
    }
}

impl SharedKind for ResourceSlice {
    fn shape(builder: Builder<Self>) -> Builder<Self> {
        builder
            .trim(|slice| {
                trim_meta(&mut slice.metadata);
                // Of the devices only who they are and what taints them is read.
                slice.spec.devices.iter_mut().flatten().for_each(|device| {
                    (device.attributes, device.capacity) = (None, None);
                });
            })
            .index(BY_POOL, |slice| vec![format!("{}/{}", slice.spec.driver, slice.spec.pool.name)])
    }
}

impl SharedKind for VolumeAttachment {
    fn shape(builder: Builder<Self>) -> Builder<Self> {
        builder
            .trim(|attachment| trim_meta(&mut attachment.metadata))
            .index(BY_NODE, |attachment| vec![attachment.spec.node_name.clone()])
            .index(BY_VOLUME, |attachment| attachment.spec.source.persistent_volume_name.iter().cloned().collect())
    }
}

impl SharedKind for ClusterRole {
    fn shape(builder: Builder<Self>) -> Builder<Self> {
        builder.trim(|role| trim_meta(&mut role.metadata))
    }
}

impl SharedKind for Node {
    fn shape(builder: Builder<Self>) -> Builder<Self> {
        builder.trim(|node| {
            trim_annotations(&mut node.metadata);
            if let Some(status) = &mut node.status {
                status.images = None;
            }
        })
    }
}

impl SharedKind for Pod {
    fn shape(builder: Builder<Self>) -> Builder<Self> {
        builder
            .trim(trim_pod)
            .index(BY_NODE, |pod| vec![pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default()])
            .index(BY_OWNER, |pod| owner_uid(&pod.metadata))
            .index(BY_RESOURCE_CLAIM, |pod| resources::claims_of(pod).iter().map(ToString::to_string).collect())
            .index(BY_RESOURCE_TEMPLATE, resources::templates_of)
            .index(BY_CLAIM, |pod| claims::of_pod(pod).into_iter().map(|claim| claim.key.to_string()).collect())
    }
}

pub(super) fn owner_uid(meta: &ObjectMeta) -> Vec<String> {
    vec![match owner::controller_of(meta) {
        Some(owner) => owner.uid.clone(),
        None => orphans(meta.namespace.as_deref().unwrap_or_default()),
    }]
}

/// The value under which [`BY_OWNER`] has the objects of a namespace that nobody controls.
pub fn orphans(namespace: &str) -> String {
    format!("orphans of {namespace}")
}

/// What an owner may claim: what it controls, and the orphans of its namespace.
pub fn claimable<K: SharedKind>(cache: &Informer<K>, owner: &ObjectMeta) -> Vec<Arc<K>> {
    let mut objects = cache.by_index(BY_OWNER, owner.uid.as_deref().unwrap_or_default());
    objects.extend(cache.by_index(BY_OWNER, &orphans(owner.namespace.as_deref().unwrap_or_default())));
    objects
}

/// Of what is written back, only who wrote what may go: see `scaffold::patch`.
pub(super) fn trim_meta(meta: &mut ObjectMeta) {
    meta.managed_fields = None;
}

/// What is patched can be told apart from its cached form.
fn trim_annotations(meta: &mut ObjectMeta) {
    trim_meta(meta);
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

/// Pods are the most: of their spec only placement, ports and resources remain.
fn trim_pod(pod: &mut Pod) {
    trim_annotations(&mut pod.metadata);
    if let Some(spec) = &mut pod.spec {
        trim_pod_spec(spec);
    }
    let Some(status) = &mut pod.status else { return };
    let statuses =
        [&mut status.container_statuses, &mut status.init_container_statuses, &mut status.ephemeral_container_statuses];
    statuses.into_iter().flatten().flatten().for_each(trim_status);
}

fn trim_pod_spec(spec: &mut PodSpec) {
    spec.containers.iter_mut().for_each(trim_container);
    spec.init_containers.iter_mut().flatten().for_each(trim_container);
    spec.ephemeral_containers = None;
    spec.security_context = None;
    spec.image_pull_secrets = None;
    spec.dns_config = None;
    spec.host_aliases = None;
    let volumes = spec.volumes.iter_mut().flatten();
    spec.volumes = Some(
        volumes.filter(|v| v.persistent_volume_claim.is_some() || v.ephemeral.is_some()).map(|v| v.clone()).collect(),
    );
}

fn trim_container(container: &mut Container) {
    *container = Container {
        name: std::mem::take(&mut container.name),
        ports: container.ports.take(),
        resources: container.resources.take(),
        restart_policy: container.restart_policy.take(),
        ..Container::default()
    };
}

fn trim_status(status: &mut ContainerStatus) {
    status.container_id = None;
    status.image = String::new();
    status.image_id = String::new();
    status.last_state = None;
    status.volume_mounts = None;
    status.user = None;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_keeps_what_controllers_read() {
        let mut pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "a", "annotations": {LAST_APPLIED: "{}", "keep": "1"}},
            "spec": {
                "nodeName": "n1",
                "containers": [{"name": "c", "image": "i", "command": ["x"], "ports": [{"name": "http", "containerPort": 80}]}],
                "volumes": [{"name": "v", "emptyDir": {}}, {"name": "p", "persistentVolumeClaim": {"claimName": "c"}}]
            },
            "status": {"containerStatuses": [{"name": "c", "image": "i", "imageID": "x", "ready": true, "restartCount": 3}]}
        }))
        .unwrap();
        trim_pod(&mut pod);
        let spec = pod.spec.unwrap();
        assert_eq!(spec.containers[0].image, None);
        assert_eq!(spec.containers[0].ports.as_ref().unwrap()[0].container_port, 80);
        assert_eq!(spec.volumes.unwrap().len(), 1);
        assert_eq!(pod.metadata.annotations.unwrap().len(), 1);
        assert_eq!(pod.status.unwrap().container_statuses.unwrap()[0].restart_count, 3);
    }
}
