//! Whether, and when, a pod has to leave its node.

use crate::objects::pods;
use crate::scaffold::pod_control::Disruption;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};

/// What is said of pods that go.
pub(super) const WHY: Disruption =
    Disruption { reason: "DeletionByTaintManager", message: "Taint manager: deleting due to NoExecute taint" };

/// What becomes of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may stay, or is leaving already.
    Stay,
    /// It may stay that long.
    LeaveIn(SignedDuration),
    /// It has to leave.
    LeaveNow,
}

/// The node's NoExecute taints.
pub(super) fn no_execute(node: &Node) -> impl Iterator<Item = &Taint> {
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    taints.filter(|taint| taint.effect == "NoExecute")
}

/// `seen` is when this pod was first seen with a taint, for taints that do not say when they came.
pub(super) fn decide(pod: &Pod, node: &Node, seen: Timestamp, now: Timestamp) -> Verdict {
    if pods::is_terminating(pod) || pods::is_finished(pod) {
        return Verdict::Stay;
    }
    let bound = conditions_time(pod, "PodScheduled");
    let mut leaves: Option<Timestamp> = None;
    for taint in no_execute(node) {
        let since = taint.time_added.as_ref().map_or(seen, |time| time.0).max(bound.unwrap_or(Timestamp::MIN));
        match tolerated_for(pod, taint) {
            None => return Verdict::LeaveNow,
            Some(Tolerated::Forever) => {}
            Some(Tolerated::For(time)) => {
                let at = since.saturating_add(time).unwrap_or(Timestamp::MAX);
                leaves = Some(leaves.map_or(at, |earlier| earlier.min(at)));
            }
        }
    }
    match leaves.map(|at| at.duration_since(now)) {
        None => Verdict::Stay,
        Some(left) if left.is_positive() => Verdict::LeaveIn(left),
        Some(_) => Verdict::LeaveNow,
    }
}

fn conditions_time(pod: &Pod, kind: &str) -> Option<Timestamp> {
    pods::condition(pod, kind)?.last_transition_time.as_ref().map(|time| time.0)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tolerated {
    Forever,
    For(SignedDuration),
}

/// The shortest of the times that the pod tolerates the taint for; `None` if it does not at all.
fn tolerated_for(pod: &Pod, taint: &Taint) -> Option<Tolerated> {
    let tolerations = pod.spec.iter().flat_map(|spec| spec.tolerations.iter().flatten());
    let mut matching = tolerations.filter(|toleration| tolerates(toleration, taint)).peekable();
    matching.peek()?;
    let times = matching.filter_map(|toleration| toleration.toleration_seconds);
    Some(times.min().map_or(Tolerated::Forever, |seconds| Tolerated::For(SignedDuration::from_secs(seconds.max(0)))))
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (key, effect) = (text(&toleration.key), text(&toleration.effect));
    if !(effect.is_empty() || effect == taint.effect) || !(key.is_empty() || key == taint.key) {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or_default() {
        "Exists" => true,
        "" | "Equal" => !key.is_empty() && text(&toleration.value) == text(&taint.value),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const ADDED: &str = "2026-01-01T00:00:00Z";

    fn verdict(tolerations: Value, bound: &str, now: &str) -> Verdict {
        let pod = json!({
            "metadata": {"name": "a"}, "spec": {"containers": [], "tolerations": tolerations},
            "status": {"conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": bound}]}});
        let node = json!({"spec": {"taints": [
            {"key": "k", "value": "v", "effect": "NoExecute", "timeAdded": ADDED}, {"key": "x", "effect": "NoSchedule"}]}});
        let (pod, node) = (serde_json::from_value(pod).unwrap(), serde_json::from_value(node).unwrap());
        decide(&pod, &node, Timestamp::MIN, now.parse().unwrap())
    }

    #[test]
    fn tolerations_decide() {
        let table = [
            (json!([]), Verdict::LeaveNow),
            (json!([{"operator": "Exists"}]), Verdict::Stay),
            (json!([{"key": "k", "operator": "Exists", "effect": "NoSchedule"}]), Verdict::LeaveNow),
            (json!([{"key": "k", "operator": "Equal", "value": "v"}]), Verdict::Stay),
            (json!([{"key": "k", "operator": "Equal", "value": "w"}]), Verdict::LeaveNow),
            (
                json!([{"key": "k", "value": "v", "tolerationSeconds": 300}]),
                Verdict::LeaveIn(SignedDuration::from_secs(290)),
            ),
            (json!([{"key": "k", "operator": "Exists", "tolerationSeconds": 5}]), Verdict::LeaveNow),
            (json!([{"key": "k", "operator": "Exists", "tolerationSeconds": -1}]), Verdict::LeaveNow),
        ];
        for (tolerations, expected) in table {
            assert_eq!(
                verdict(tolerations.clone(), "2025-12-31T00:00:00Z", "2026-01-01T00:00:10Z"),
                expected,
                "{tolerations}"
            );
        }
    }

    #[test]
    fn a_pod_bound_later_has_its_full_time() {
        let tolerations = json!([{"key": "k", "operator": "Exists", "tolerationSeconds": 60}]);
        let verdict = verdict(tolerations, "2026-01-01T01:00:00Z", "2026-01-01T01:00:10Z");
        assert_eq!(verdict, Verdict::LeaveIn(SignedDuration::from_secs(50)));
    }
}
