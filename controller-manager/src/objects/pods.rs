//! The life of a pod as controllers see it.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod, PodCondition};

/// A condition of the pod.
pub fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

/// `status.phase`; empty if the pod has no status yet.
pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// `spec.nodeName`; empty if the pod is not bound.
pub fn node(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

/// Whether the pod is to be deleted.
pub fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether all of its containers have ended for good.
pub fn is_finished(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Neither finished nor terminating: it counts as a replica.
pub fn is_active(pod: &Pod) -> bool {
    !is_finished(pod) && !is_terminating(pod)
}

/// Whether its Ready condition holds.
pub fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|ready| ready.status == "True")
}

/// Since when its Ready condition is what it is.
pub fn ready_since(pod: &Pod) -> Option<Timestamp> {
    condition(pod, "Ready")?.last_transition_time.as_ref().map(|time| time.0)
}

/// Whether the pod has been ready long enough.
pub fn is_available(pod: &Pod, min_ready: SignedDuration, now: Timestamp) -> bool {
    is_ready(pod) && available_in(pod, min_ready, now).is_none()
}

/// How long a ready pod lacks to be available; `None` if it is, or is not ready.
pub fn available_in(pod: &Pod, min_ready: SignedDuration, now: Timestamp) -> Option<SignedDuration> {
    if !is_ready(pod) || min_ready.is_zero() {
        return None;
    }
    let since = ready_since(pod).unwrap_or(now);
    let missing = min_ready - now.duration_since(since);
    missing.is_positive().then_some(missing)
}

/// All containers whose ports count: the main ones and the sidecars.
pub fn serving_containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    let spec = pod.spec.as_ref();
    let sidecars = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    spec.into_iter().flat_map(|spec| &spec.containers).chain(sidecars)
}

/// How often its containers were restarted, at most.
pub fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.map(|status| status.restart_count).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(ready_at: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "a"},
            "status": {"phase": "Running",
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": ready_at}]}
        }))
        .unwrap()
    }

    #[test]
    fn availability_needs_time() {
        let pod = pod("2026-01-01T00:00:00Z");
        let now: Timestamp = "2026-01-01T00:00:07Z".parse().unwrap();
        assert!(is_available(&pod, SignedDuration::ZERO, now));
        assert!(is_available(&pod, SignedDuration::from_secs(7), now));
        assert!(!is_available(&pod, SignedDuration::from_secs(10), now));
        assert_eq!(available_in(&pod, SignedDuration::from_secs(10), now), Some(SignedDuration::from_secs(3)));
    }

    #[test]
    fn phases() {
        let mut pod = pod("2026-01-01T00:00:00Z");
        assert!(is_active(&pod) && !is_finished(&pod));
        pod.status.as_mut().unwrap().phase = Some("Failed".into());
        assert!(is_finished(&pod) && !is_active(&pod));
        assert_eq!(phase(&Pod::default()), "");
    }
}
