//! Which nodes a change concerns.

use super::plan;
use crate::objects::{claims, pods};
use crate::scaffold::informers::trims::BY_CLAIM;
use client::informer::Change;
use client::{Informer, ObjectKey};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::{CSIDriver, VolumeAttachment};

fn node_key(name: &str) -> ObjectKey {
    ObjectKey { namespace: String::new(), name: name.to_owned() }
}

/// The node of a pod with claims.
pub(super) fn of_pod(pod: &Pod) -> Option<ObjectKey> {
    let node = pods::node(pod);
    (!node.is_empty() && !claims::of_pod(pod).is_empty()).then(|| node_key(node))
}

/// The nodes of the pods of a claim.
pub(super) fn of_claim(pods: &Informer<Pod>, claim: &PersistentVolumeClaim) -> Vec<ObjectKey> {
    users(pods, &ObjectKey::of(claim))
}

/// The nodes of the pods of a volume's claim.
pub(super) fn of_volume(pods: &Informer<Pod>, volume: &PersistentVolume) -> Vec<ObjectKey> {
    plan::claim_of(volume).map(|claim| users(pods, &claim)).unwrap_or_default()
}

/// The node of an attachment, and those that may wait for its volume.
pub(super) fn of_attachment(
    pods: &Informer<Pod>,
    volumes: &Informer<PersistentVolume>,
    attachment: &VolumeAttachment,
) -> Vec<ObjectKey> {
    let volume = attachment.spec.source.persistent_volume_name.as_deref().and_then(|name| volumes.get("", name));
    let mut keys = volume.map(|volume| of_volume(pods, &volume)).unwrap_or_default();
    keys.push(node_key(&attachment.spec.node_name));
    keys
}

/// The node itself, if what changed matters here.
pub(super) fn of_node(change: &Change<Node>) -> Vec<ObjectKey> {
    match change {
        Change::Updated(before, after) if plan::same_for_volumes(before, after) => Vec::new(),
        _ => vec![ObjectKey::of(&**change.object())],
    }
}

/// All nodes, if the driver's volumes are to be attached now and were not, or the other way round.
pub(super) fn of_driver(nodes: &Informer<Node>, change: &Change<CSIDriver>) -> Vec<ObjectKey> {
    match change {
        Change::Updated(before, after) if before.spec.attach_required == after.spec.attach_required => Vec::new(),
        _ => nodes.list().iter().map(|node| ObjectKey::of(&**node)).collect(),
    }
}

fn users(pods: &Informer<Pod>, claim: &ObjectKey) -> Vec<ObjectKey> {
    pods.by_index(BY_CLAIM, &claim.to_string()).iter().filter_map(|pod| of_pod(pod)).collect()
}
