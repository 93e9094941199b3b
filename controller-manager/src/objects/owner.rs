//! Owner references, and which objects a controller may claim.
//!
//! Upstream: `pkg/controller/controller_ref_manager.go`.

use super::selector::Selector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use std::sync::Arc;

/// The owner that manages the object, if any.
pub fn controller_of(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// A reference that makes `owner` the controller and blocks its foreground deletion.
pub fn controller_ref<K: Resource<DynamicType = ()>>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: owner.meta().name.clone().unwrap_or_default(),
        uid: owner.meta().uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Whether the controller of `meta` is of this kind and group, in whatever version.
pub fn controller_name<K: Resource<DynamicType = ()>>(meta: &ObjectMeta) -> Option<&str> {
    let owner = controller_of(meta)?;
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    (owner.kind == K::kind(&()) && group == K::group(&())).then_some(owner.name.as_str())
}

/// What to do with the objects that a controller could own.
#[derive(Debug)]
pub struct Claims<K> {
    /// Owned and matching.
    pub owned: Vec<Arc<K>>,
    /// Matching orphans: to be adopted.
    pub adopt: Vec<Arc<K>>,
    /// Owned and no longer matching: to be released.
    pub release: Vec<Arc<K>>,
}

/// Sorts candidates by what the owner has to do with them. An owner that is being deleted neither
/// adopts nor releases; nothing that is being deleted is adopted.
pub fn claim<K: Resource>(owner: &ObjectMeta, selector: &Selector, candidates: Vec<Arc<K>>) -> Claims<K> {
    let mut claims = Claims { owned: Vec::new(), adopt: Vec::new(), release: Vec::new() };
    let alive = owner.deletion_timestamp.is_none();
    for object in candidates {
        let meta = object.meta();
        let matches = selector.matches(meta.labels.as_ref());
        match controller_of(meta) {
            Some(controller) if Some(&controller.uid) != owner.uid.as_ref() => {}
            Some(_) if matches => claims.owned.push(object),
            Some(_) if alive => claims.release.push(object),
            None if matches && alive && meta.deletion_timestamp.is_none() => claims.adopt.push(object),
            _ => {}
        }
    }
    claims
}

/// The owner references of an adopted object.
pub fn with_owner(meta: &ObjectMeta, owner: OwnerReference) -> Vec<OwnerReference> {
    let mut owners = without_owner(meta, &owner.uid);
    owners.push(owner);
    owners
}

/// The owner references of a released object.
pub fn without_owner(meta: &ObjectMeta, uid: &str) -> Vec<OwnerReference> {
    meta.owner_references.iter().flatten().filter(|owner| owner.uid != uid).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::apps::v1::ReplicaSet;
    use k8s_openapi::api::core::v1::{Pod, ReplicationController};
    use serde_json::{Value, json};

    fn pod(name: &str, label: &str, owner: Option<&str>, extra: Value) -> Arc<Pod> {
        let owners: Vec<Value> = owner
            .map(|uid| json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": uid, "controller": true}))
            .into_iter()
            .collect();
        let mut meta = json!({"name": name, "labels": {"app": label}, "ownerReferences": owners});
        meta.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        Arc::new(serde_json::from_value(json!({"metadata": meta})).unwrap())
    }

    fn names(pods: &[Arc<Pod>]) -> Vec<&str> {
        pods.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect()
    }

    fn candidates() -> Vec<Arc<Pod>> {
        let deleting = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        vec![
            pod("mine", "x", Some("u1"), json!({})),
            pod("mine-no-more", "y", Some("u1"), json!({})),
            pod("orphan", "x", None, json!({})),
            pod("dying-orphan", "x", None, deleting),
            pod("other", "x", Some("u2"), json!({})),
            pod("unrelated", "y", None, json!({})),
        ]
    }

    #[test]
    fn a_live_owner_adopts_and_releases() {
        let owner = ObjectMeta { uid: Some("u1".into()), ..Default::default() };
        let claims = claim(&owner, &Selector::labels(&[("app".into(), "x".into())].into()), candidates());
        assert_eq!(names(&claims.owned), ["mine"]);
        assert_eq!(names(&claims.adopt), ["orphan"]);
        assert_eq!(names(&claims.release), ["mine-no-more"]);
    }

    #[test]
    fn a_dying_owner_keeps_its_hands_off() {
        let now = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        let owner = ObjectMeta { uid: Some("u1".into()), deletion_timestamp: Some(now), ..Default::default() };
        let claims = claim(&owner, &Selector::labels(&[("app".into(), "x".into())].into()), candidates());
        assert_eq!(names(&claims.owned), ["mine"]);
        assert!(claims.adopt.is_empty() && claims.release.is_empty());
    }

    #[test]
    fn the_controller_is_known_by_kind_and_group() {
        let pod = pod("p", "x", Some("u1"), json!({}));
        assert_eq!(controller_name::<ReplicaSet>(&pod.metadata), Some("rs"));
        assert_eq!(controller_name::<ReplicationController>(&pod.metadata), None);
    }

    #[test]
    fn references_come_and_go() {
        let pod = pod("p", "x", Some("u1"), json!({}));
        assert!(without_owner(&pod.metadata, "u1").is_empty());
        let owner = OwnerReference { uid: "u2".into(), ..Default::default() };
        assert_eq!(with_owner(&pod.metadata, owner).len(), 2);
    }
}
