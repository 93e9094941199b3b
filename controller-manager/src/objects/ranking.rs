//! Which pods go first when there are too many.
//!
//! Upstream: `controller.ActivePodsWithRanks`.

use super::pods;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::sync::Arc;

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Sorts `pods` so that those to delete first come first. `related` are the pods of all replica
/// sets of the same owner: nodes with many of them are thinned out first.
pub fn by_deletion(mut pods: Vec<Arc<Pod>>, related: &[Arc<Pod>], now: Timestamp) -> Vec<Arc<Pod>> {
    let mut crowd: HashMap<&str, usize> = HashMap::new();
    for pod in related.iter().filter(|pod| pods::is_active(pod)) {
        *crowd.entry(pods::node(pod)).or_default() += 1;
    }
    let crowd = |pod: &Pod| crowd.get(pods::node(pod)).copied().unwrap_or(0);
    pods.sort_by(|a, b| compare(a, b, &crowd, now));
    pods
}

/// Less means deleted earlier. Each line decides only if all before it are undecided.
fn compare(a: &Pod, b: &Pod, crowd: &impl Fn(&Pod) -> usize, now: Timestamp) -> Ordering {
    let bound = |pod: &Pod| !pods::node(pod).is_empty();
    bound(a)
        .cmp(&bound(b))
        .then_with(|| progress(a).cmp(&progress(b)))
        .then_with(|| pods::is_ready(a).cmp(&pods::is_ready(b)))
        .then_with(|| cost(a).cmp(&cost(b)))
        .then_with(|| Reverse(crowd(a)).cmp(&Reverse(crowd(b))))
        .then_with(|| younger_first(ready_age(a, now), ready_age(b, now)))
        .then_with(|| Reverse(pods::restarts(a)).cmp(&Reverse(pods::restarts(b))))
        .then_with(|| younger_first(age(a, now), age(b, now)))
}

/// Pending before unknown before running.
fn progress(pod: &Pod) -> u8 {
    match pods::phase(pod) {
        "Running" => 2,
        "Unknown" => 1,
        _ => 0,
    }
}

fn cost(pod: &Pod) -> i32 {
    let cost = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(DELETION_COST));
    cost.and_then(|cost| cost.parse().ok()).unwrap_or(0)
}

fn ready_age(pod: &Pod, now: Timestamp) -> Option<i64> {
    if !pods::is_ready(pod) {
        return None;
    }
    pods::ready_since(pod).map(|since| now.duration_since(since).as_secs())
}

fn age(pod: &Pod, now: Timestamp) -> Option<i64> {
    pod.metadata.creation_timestamp.as_ref().map(|time| now.duration_since(time.0).as_secs())
}

/// Ages are compared by their magnitude, so that of pods of about the same age not always the
/// newest goes.
fn younger_first(a: Option<i64>, b: Option<i64>) -> Ordering {
    let magnitude = |age: Option<i64>| age.map(|age| age.max(0).checked_ilog2().map_or(0, |log| log + 1));
    magnitude(a).cmp(&magnitude(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW: &str = "2026-01-02T00:00:00Z";

    fn pod(name: &str, node: &str, phase: &str, ready: bool, annotations: Value) -> Arc<Pod> {
        let ready = if ready { "True" } else { "False" };
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": name, "annotations": annotations, "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"containers": [], "nodeName": node},
                "status": {"phase": phase, "conditions":
                    [{"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:10Z"}]}
            }))
            .unwrap(),
        )
    }

    fn order(pods: Vec<Arc<Pod>>) -> Vec<String> {
        let related = pods.clone();
        let sorted = by_deletion(pods, &related, NOW.parse().unwrap());
        sorted.iter().filter_map(|pod| pod.metadata.name.clone()).collect()
    }

    #[test]
    fn what_serves_least_goes_first() {
        let pods = vec![
            pod("ready", "n1", "Running", true, json!({})),
            pod("cheap", "n1", "Running", true, json!({DELETION_COST: "-5"})),
            pod("not-ready", "n1", "Running", false, json!({})),
            pod("pending", "n1", "Pending", false, json!({})),
            pod("unbound", "", "Pending", false, json!({})),
        ];
        assert_eq!(order(pods), ["unbound", "pending", "not-ready", "cheap", "ready"]);
    }

    #[test]
    fn crowded_nodes_are_thinned_first() {
        let pods = vec![
            pod("alone", "n2", "Running", true, json!({})),
            pod("one", "n1", "Running", true, json!({})),
            pod("two", "n1", "Running", true, json!({})),
        ];
        assert_eq!(order(pods).last().map(String::as_str), Some("alone"));
    }

    #[test]
    fn the_younger_goes_first() {
        let mut young = (*pod("young", "n1", "Running", false, json!({}))).clone();
        young.metadata.creation_timestamp = Some(serde_json::from_value(json!("2026-01-01T23:59:00Z")).unwrap());
        let old = pod("old", "n1", "Running", false, json!({}));
        assert_eq!(order(vec![old, Arc::new(young)]), ["young", "old"]);
    }
}
