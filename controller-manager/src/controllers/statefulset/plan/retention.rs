//! Who owns the claims of a pod: so the garbage collector deletes them, or not, as the set's
//! `persistentVolumeClaimRetentionPolicy` says.
//!
//! Upstream: `pkg/controller/statefulset/stateful_set_utils.go`.

use super::identity;
use crate::objects::owner;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;

/// What is to be done about the owners of a claim.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Owners {
    /// They are right, or not ours to touch.
    Stay,
    /// They become these.
    Become(Vec<OwnerReference>),
    /// They become these, as another controller owns the claim: the policy is ignored.
    Yield(Vec<OwnerReference>),
}

/// Whether the claims go with the set, and with a pod that is scaled down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Policy {
    with_set: bool,
    with_pod: bool,
}

impl Policy {
    fn of(set: &StatefulSet) -> Self {
        let policy = set.spec.as_ref().and_then(|spec| spec.persistent_volume_claim_retention_policy.clone());
        let policy = policy.unwrap_or_default();
        Self {
            with_set: policy.when_deleted.as_deref() == Some("Delete"),
            with_pod: policy.when_scaled.as_deref() == Some("Delete"),
        }
    }
}

fn refers<K: Resource<DynamicType = ()>>(reference: &OwnerReference, object: &K) -> bool {
    let is_kind = reference.kind == K::kind(&()) && reference.api_version == K::api_version(&());
    is_kind && object.meta().name.as_ref() == Some(&reference.name)
}

fn is_uid<K: Resource<DynamicType = ()>>(reference: &OwnerReference, object: &K) -> bool {
    object.meta().uid.as_ref() == Some(&reference.uid)
}

/// Whether it speaks of an object of this name that is gone.
fn is_stale<K: Resource<DynamicType = ()>>(claim: &PersistentVolumeClaim, object: &K) -> bool {
    let mut references = claim.metadata.owner_references.iter().flatten();
    references.find(|reference| refers(reference, object)).is_some_and(|reference| !is_uid(reference, object))
}

/// Whether the claim still belongs to a pod of this name that is going: the new pod has to wait
/// until the claim has gone with it.
pub(in super::super) fn blocks(set: &StatefulSet, claim: &PersistentVolumeClaim, pod: &Pod) -> bool {
    Policy::of(set).with_pod && is_stale(claim, pod)
}

/// What the owners of a claim of the pod should be.
pub(in super::super) fn owners(set: &StatefulSet, claim: &PersistentVolumeClaim, pod: &Pod) -> Owners {
    if is_stale(claim, set) || is_stale(claim, pod) {
        return Owners::Stay;
    }
    let policy = Policy::of(set);
    let all = || claim.metadata.owner_references.iter().flatten();
    let has_set = all().any(|reference| is_uid(reference, set));
    let has_pod = all().any(|reference| is_uid(reference, pod));
    let others: Vec<_> = all().filter(|r| !refers(r, set) && !refers(r, pod)).cloned().collect();
    let is_taken = (policy.with_set || policy.with_pod) && others.iter().any(|other| other.controller == Some(true));
    if is_taken {
        return if has_set || has_pod { Owners::Yield(others) } else { Owners::Stay };
    }
    let ours = || all().filter(|reference| is_uid(reference, set) || is_uid(reference, pod));
    let all_control = ours().all(|reference| reference.controller == Some(true));
    let is_scaled_down = identity::ordinal(pod).is_none_or(|ordinal| !identity::range(set).contains(&ordinal));
    let by_pod = policy.with_pod && is_scaled_down;
    let by_set = policy.with_set && !by_pod;
    if all_control && (has_set, has_pod) == (by_set, by_pod) {
        return Owners::Stay;
    }
    let mut owners = others;
    owners.extend(by_set.then(|| owner::controller_ref(set)));
    owners.extend(by_pod.then(|| owner::controller_ref(pod)));
    Owners::Become(owners)
}
