//! What a claim made for a pod looks like, and what is left of a claim whose pods are done.

use crate::objects::{owner, pods};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceClaimConsumerReference, ResourceClaimTemplate};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Says for which of its pod's claims a claim was made.
const POD_CLAIM: &str = "resource.kubernetes.io/pod-claim-name";
/// Held while a claim is allocated.
const FINALIZER: &str = "resource.kubernetes.io/delete-protection";
/// The most that a claim can be reserved for.
const RESERVED_AT_MOST: usize = 256;
/// The longest prefix of a generated name that leaves room for five random characters.
const BASE_AT_MOST: usize = 57;

/// Whether the pod will not run any more.
pub(super) fn is_done(pod: &Pod) -> bool {
    pods::is_finished(pod) || (pods::is_terminating(pod) && pods::node(pod).is_empty())
}

/// Whether the claim was made for the pod.
pub(super) fn is_made_for(pod: &Pod, claim: &ResourceClaim) -> bool {
    let owner = owner::controller_of(&claim.metadata);
    owner.is_some_and(|owner| owner.kind == "Pod" && Some(&owner.uid) == pod.metadata.uid.as_ref())
}

/// Whether the claim is the one made for this of its pod's claims.
pub(super) fn is_made_as(claim: &ResourceClaim, name: &str) -> bool {
    claim.metadata.annotations.as_ref().and_then(|annotations| annotations.get(POD_CLAIM)).is_some_and(|of| of == name)
}

/// The claim to make.
pub(super) fn from_template(pod: &Pod, name: &str, template: &ResourceClaimTemplate) -> ResourceClaim {
    let meta = template.spec.metadata.clone().unwrap_or_default();
    let mut annotations = meta.annotations.unwrap_or_default();
    annotations.insert(POD_CLAIM.to_owned(), name.to_owned());
    let owner = owner::controller_ref(pod);
    ResourceClaim {
        metadata: ObjectMeta {
            generate_name: Some(generate_name(pod.metadata.name.as_deref().unwrap_or_default(), name)),
            namespace: pod.metadata.namespace.clone(),
            labels: meta.labels,
            annotations: Some(annotations),
            // Deleting the pod does not wait for its claims.
            owner_references: Some(vec![k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
                block_owner_deletion: None,
                ..owner
            }]),
            ..ObjectMeta::default()
        },
        spec: template.spec.spec.clone(),
        status: None,
    }
}

/// The prefix of a made claim's name: where both names do not fit, each is cut by its share.
fn generate_name(pod: &str, claim: &str) -> String {
    let whole = format!("{pod}-{claim}-");
    if whole.len() <= BASE_AT_MOST {
        return whole;
    }
    let share = |name: &str| name.get(..name.len() * BASE_AT_MOST / whole.len()).unwrap_or_default().to_owned();
    format!("{}-{}", share(pod), share(claim))
}

/// Who a claim is reserved for.
pub(super) fn reserved(claim: &ResourceClaim) -> &[ResourceClaimConsumerReference] {
    claim.status.as_ref().and_then(|status| status.reserved_for.as_deref()).unwrap_or_default()
}

/// The claim reserved for the pod, where the scheduler did not do it; `None` if there is nothing to
/// reserve.
pub(super) fn reserve(pod: &Pod, claim: &ResourceClaim) -> Option<ResourceClaim> {
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let is_allocated = claim.status.as_ref().is_some_and(|status| status.allocation.is_some());
    let is_reserved = reserved(claim).iter().any(|consumer| consumer.uid == uid);
    if pods::node(pod).is_empty() || !is_allocated || is_reserved || reserved(claim).len() >= RESERVED_AT_MOST {
        return None;
    }
    let mut after = claim.clone();
    let consumer = ResourceClaimConsumerReference {
        api_group: None,
        name: pod.metadata.name.clone().unwrap_or_default(),
        resource: "pods".to_owned(),
        uid,
    };
    after.status.get_or_insert_default().reserved_for.get_or_insert_default().push(consumer);
    Some(after)
}

/// Whether a consumer is a pod; of others nothing is known, and they stay.
pub(super) fn is_pod(consumer: &ResourceClaimConsumerReference) -> bool {
    consumer.api_group.as_deref().unwrap_or_default().is_empty() && consumer.resource == "pods"
}

/// Whether a pod of the consumer's name still is the consumer.
pub(super) fn still_consumes(pod: &Pod, consumer: &ResourceClaimConsumerReference) -> bool {
    pod.metadata.uid.as_ref() == Some(&consumer.uid) && !is_done(pod)
}

fn is_protected(claim: &ResourceClaim) -> bool {
    claim.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

/// The claim with the status that it should have once only these consumers remain; `None` if it has
/// it. With the last consumer goes the allocation: the next one may run elsewhere.
pub(super) fn released(claim: &ResourceClaim, remaining: &[ResourceClaimConsumerReference]) -> Option<ResourceClaim> {
    let is_less = remaining.len() < reserved(claim).len();
    let is_leaving = claim.metadata.deletion_timestamp.is_some();
    let is_allocated = claim.status.as_ref().is_some_and(|status| status.allocation.is_some());
    let frees = remaining.is_empty() && is_protected(claim) && is_allocated && (is_less || is_leaving);
    if !is_less && !frees {
        return None;
    }
    let mut after = claim.clone();
    let status = after.status.get_or_insert_default();
    status.reserved_for = (!remaining.is_empty()).then(|| remaining.to_vec());
    if frees {
        status.allocation = None;
    }
    Some(after)
}

/// The claim without its finalizer, where nothing needs that any more. `was_released` says that its
/// status has just been written.
pub(super) fn unprotected(claim: &ResourceClaim, was_released: bool) -> Option<ResourceClaim> {
    let is_allocated = claim.status.as_ref().is_some_and(|status| status.allocation.is_some());
    let is_leaving = claim.metadata.deletion_timestamp.is_some() && reserved(claim).is_empty();
    if !is_protected(claim) || is_allocated || !(was_released || is_leaving) {
        return None;
    }
    let mut after = claim.clone();
    after.metadata.finalizers.get_or_insert_default().retain(|finalizer| finalizer != FINALIZER);
    Some(after)
}

/// The pod that the claim was made for.
pub(super) fn maker(claim: &ResourceClaim) -> Option<(&str, &str)> {
    let owner = owner::controller_of(&claim.metadata)?;
    (owner.api_version == "v1" && owner.kind == "Pod").then_some((owner.name.as_str(), owner.uid.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn from<K: serde::de::DeserializeOwned>(value: Value) -> K {
        serde_json::from_value(value).unwrap()
    }

    fn pod(statuses: Value, node: &str) -> Pod {
        from(json!({"metadata": {"namespace": "n", "name": "p", "uid": "u"},
            "spec": {"containers": [], "nodeName": node, "resourceClaims": [
                {"name": "given", "resourceClaimName": "g"}, {"name": "made", "resourceClaimTemplateName": "t"}]},
            "status": {"resourceClaimStatuses": statuses}}))
    }

    fn claim(finalizers: &[&str], deleted: bool, status: Value) -> ResourceClaim {
        from(json!({"metadata": {"namespace": "n", "name": "c", "finalizers": finalizers,
            "deletionTimestamp": deleted.then_some("2026-01-01T00:00:00Z")}, "spec": {}, "status": status}))
    }

    #[test]
    fn a_claim_is_made_as_its_template_says() {
        let template = from(json!({"spec": {"metadata": {"labels": {"a": "b"}, "annotations": {"x": "y"}},
            "spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "d"}}]}}}}));
        let pod = pod(json!([]), "");
        let made = from_template(&pod, "made", &template);
        assert_eq!(made.metadata.generate_name.as_deref(), Some("p-made-"));
        assert_eq!(made.metadata.labels.as_ref().unwrap()["a"], "b");
        assert!(is_made_for(&pod, &made) && is_made_as(&made, "made") && !is_made_as(&made, "other"));
        assert_eq!(maker(&made), Some(("p", "u")));
        assert_eq!(made.metadata.owner_references.as_ref().unwrap()[0].block_owner_deletion, None);
        assert_eq!(made.spec, template.spec.spec);
    }

    #[test]
    fn long_names_are_cut_by_their_shares() {
        assert_eq!(generate_name("p", "c"), "p-c-");
        let name = generate_name(&"p".repeat(60), &"c".repeat(20));
        assert_eq!(name, format!("{}-{}", "p".repeat(41), "c".repeat(13)));
        assert!(name.len() <= BASE_AT_MOST);
    }

    #[test]
    fn a_bound_pod_reserves_what_is_allocated() {
        let allocated = json!({"allocation": {}});
        let reserved_already =
            json!({"allocation": {}, "reservedFor": [{"resource": "pods", "name": "p", "uid": "u"}]});
        let table = [
            ("node", allocated.clone(), true),
            ("", allocated, false),
            ("node", Value::Null, false),
            ("node", reserved_already, false),
        ];
        for (node, status, expected) in table {
            let after = reserve(&pod(json!([]), node), &claim(&[], false, status.clone()));
            assert_eq!(after.is_some(), expected, "{node} {status}");
            assert!(after.is_none_or(|after| reserved(&after)[0].uid == "u"));
        }
    }

    #[test]
    fn the_last_consumer_takes_the_allocation_with_it() {
        let two = json!({"allocation": {}, "reservedFor": [
            {"resource": "pods", "name": "a", "uid": "1"}, {"resource": "pods", "name": "b", "uid": "2"}]});
        let unused = json!({"allocation": {}});
        // Finalizers, deleted, status, how many remain; how many are written, whether allocated, whether unprotected.
        let table = [
            (&[FINALIZER][..], false, two.clone(), 2, None, false),
            (&[FINALIZER], false, two.clone(), 1, Some((1, true)), false),
            (&[FINALIZER], false, two.clone(), 0, Some((0, false)), true),
            (&[], false, two, 0, Some((0, true)), false),
            (&[FINALIZER], false, unused.clone(), 0, None, false),
            (&[FINALIZER], true, unused, 0, Some((0, false)), true),
            (&[FINALIZER], true, Value::Null, 0, None, true),
            (&[], true, Value::Null, 0, None, false),
        ];
        for (finalizers, deleted, status, remain, written, unprotect) in table {
            let claim = claim(finalizers, deleted, status.clone());
            let after = released(&claim, &reserved(&claim)[..remain]);
            let is_allocated = |claim: &ResourceClaim| claim.status.as_ref().is_some_and(|s| s.allocation.is_some());
            let figures = after.as_ref().map(|after| (reserved(after).len(), is_allocated(after)));
            assert_eq!(figures, written, "{deleted} {status} {remain}");
            let last = unprotected(after.as_ref().unwrap_or(&claim), after.is_some());
            assert_eq!(last.is_some(), unprotect, "{deleted} {status} {remain}");
            assert!(last.is_none_or(|last| !is_protected(&last)));
        }
    }

    #[test]
    fn a_consumer_is_there_while_its_pod_may_run() {
        let consumer = |uid: &str| from(json!({"resource": "pods", "name": "p", "uid": uid}));
        let ended: Pod = from(json!({"metadata": {"name": "p", "uid": "u"}, "status": {"phase": "Failed"}}));
        let unbound: Pod =
            from(json!({"metadata": {"name": "p", "uid": "u", "deletionTimestamp": "2026-01-01T00:00:00Z"}}));
        assert!(still_consumes(&pod(json!([]), "node"), &consumer("u")));
        assert!(!still_consumes(&pod(json!([]), "node"), &consumer("other")));
        assert!(!still_consumes(&ended, &consumer("u")));
        assert!(!still_consumes(&unbound, &consumer("u")));
        assert!(!is_pod(&from(json!({"apiGroup": "g", "resource": "pods", "name": "p", "uid": "u"}))));
    }
}
