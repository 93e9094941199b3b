//! Whether a pod uses a claim.

use crate::objects::{claims, pods};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

/// Held until no pod uses the claim.
pub(super) const FINALIZER: &str = "kubernetes.io/pvc-protection";

/// Whether a pod that is there may use no claim: its volumes are let go, or no kubelet has seen it.
pub(super) fn may_free(pod: &Pod) -> bool {
    pods::is_finished(pod) || pods::is_terminating(pod) || pods::node(pod).is_empty()
}

/// Whether the pod uses the claim: one that has no node yet will not be started with it.
pub(super) fn uses(pod: &Pod, claim: &PersistentVolumeClaim) -> bool {
    if pods::node(pod).is_empty() {
        return false;
    }
    let is_this = |of_pod: &claims::ClaimOfPod| claim.metadata.name.as_ref() == Some(&of_pod.key.name);
    claims::of_pod(pod)
        .iter()
        .filter(|of_pod| is_this(of_pod))
        .any(|of_pod| !of_pod.ephemeral || (!is_shut_down(pod) && claims::is_made_for(pod, claim)))
}

/// Whether the kubelet is done with the pod, or nobody waits for it: it is only not collected yet.
fn is_shut_down(pod: &Pod) -> bool {
    pods::is_terminating(pod) && pod.metadata.deletion_grace_period_seconds == Some(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(node: &str, volume: Value, deleted: Option<i64>) -> Pod {
        let mut pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u"},
            "spec": {"nodeName": node, "containers": [], "volumes": [volume]}
        }))
        .unwrap();
        pod.metadata.deletion_grace_period_seconds = deleted;
        pod.metadata.deletion_timestamp = deleted.and(serde_json::from_value(json!("2026-01-01T00:00:00Z")).ok());
        pod
    }

    #[test]
    fn a_claim_is_used_by_pods_on_nodes() {
        let owner = json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": true}]);
        let claim: PersistentVolumeClaim =
            serde_json::from_value(json!({"metadata": {"name": "p-v", "namespace": "n", "ownerReferences": owner}}))
                .unwrap();
        let named = json!({"name": "x", "persistentVolumeClaim": {"claimName": "p-v"}});
        let own = json!({"name": "v", "ephemeral": {}});
        for (pod, expected) in [
            (pod("", named.clone(), None), false),
            (pod("n1", named.clone(), None), true),
            (pod("n1", named, Some(0)), true),
            (pod("n1", own.clone(), None), true),
            (pod("n1", own.clone(), Some(30)), true),
            (pod("n1", own, Some(0)), false),
            (pod("n1", json!({"name": "x", "persistentVolumeClaim": {"claimName": "other"}}), None), false),
        ] {
            assert_eq!(uses(&pod, &claim), expected, "{pod:?}");
        }
    }
}
