//! Which pods to collect, and why.

use crate::objects::{conditions, pods};
use crate::scaffold::pod_control::Disruption;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// How long a node must be gone before its pods go: it may be coming back.
pub(super) const QUARANTINE: SignedDuration = SignedDuration::from_secs(40);
/// What is said of pods whose node is gone.
const ORPHANED: Disruption = Disruption { reason: "DeletionByPodGC", message: "PodGC: node no longer exists" };
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// Why a pod goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Why {
    /// More pods have finished than are kept; the oldest go.
    TooManyFinished,
    /// Its node is gone (to be verified).
    Orphaned,
    /// It was deleted before it got a node, so no kubelet will end it.
    NeverScheduled,
    /// Its node was declared out of service.
    OutOfService,
}

/// What is known when planning.
#[derive(Debug)]
pub(super) struct Observed<'a> {
    pub(super) pods: &'a [Arc<Pod>],
    pub(super) nodes: &'a [Arc<Node>],
    /// Nodes that pods name and that do not exist, and since when that is known.
    pub(super) missing: &'a HashMap<String, Timestamp>,
    pub(super) keep_finished: usize,
    pub(super) now: Timestamp,
}

/// The nodes that pods name and that do not exist.
pub(super) fn missing(
    pods: &[Arc<Pod>],
    nodes: &[Arc<Node>],
    before: &HashMap<String, Timestamp>,
    now: Timestamp,
) -> HashMap<String, Timestamp> {
    let present: HashSet<&str> = nodes.iter().filter_map(|node| node.metadata.name.as_deref()).collect();
    let named = pods.iter().map(|pod| pods::node(pod)).filter(|name| !name.is_empty() && !present.contains(name));
    named.map(|name| (name.to_owned(), before.get(name).copied().unwrap_or(now))).collect()
}

/// The pods to collect.
pub(super) fn plan(observed: &Observed<'_>) -> Vec<(Arc<Pod>, Why)> {
    let out_of_service = out_of_service(observed.nodes);
    let mut doomed: Vec<_> =
        observed.pods.iter().filter_map(|pod| Some((Arc::clone(pod), why(pod, observed, &out_of_service)?))).collect();
    doomed.extend(surplus(observed).into_iter().map(|pod| (pod, Why::TooManyFinished)));
    doomed
}

fn why(pod: &Pod, observed: &Observed<'_>, out_of_service: &HashSet<&str>) -> Option<Why> {
    let node = pods::node(pod);
    if node.is_empty() {
        return pods::is_terminating(pod).then_some(Why::NeverScheduled);
    }
    if pods::is_terminating(pod) && out_of_service.contains(node) {
        return Some(Why::OutOfService);
    }
    let since = observed.missing.get(node)?;
    (observed.now.duration_since(*since) >= QUARANTINE).then_some(Why::Orphaned)
}

fn out_of_service(nodes: &[Arc<Node>]) -> HashSet<&str> {
    let declared = |node: &&Arc<Node>| {
        let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
        let ready = node.status.as_ref().and_then(|status| status.conditions.as_deref());
        let is_ready = ready.is_some_and(|list| conditions::is_true(list, "Ready"));
        !is_ready && taints.into_iter().any(|taint| taint.key == OUT_OF_SERVICE)
    };
    nodes.iter().filter(declared).filter_map(|node| node.metadata.name.as_deref()).collect()
}

/// The oldest of the finished pods beyond the threshold; 0 keeps all.
fn surplus(observed: &Observed<'_>) -> Vec<Arc<Pod>> {
    let mut finished: Vec<_> = observed.pods.iter().filter(|pod| pods::is_finished(pod)).cloned().collect();
    let Some(surplus) = finished.len().checked_sub(observed.keep_finished).filter(|_| observed.keep_finished > 0)
    else {
        return Vec::new();
    };
    finished.sort_by(|a, b| {
        let key = |pod: &Pod| (pod.metadata.creation_timestamp.clone(), pod.metadata.name.clone());
        key(a).cmp(&key(b))
    });
    finished.truncate(surplus);
    finished
}

/// The pod as its status should be before it goes: failed, and why it was disrupted.
pub(super) fn failed(pod: &Pod, why: Why, now: Timestamp) -> Option<Pod> {
    if why == Why::TooManyFinished || pods::is_finished(pod) {
        return None;
    }
    let mut pod = pod.clone();
    let status = pod.status.get_or_insert_default();
    status.phase = Some("Failed".to_owned());
    status.observed_generation = pod.metadata.generation;
    if why == Why::Orphaned {
        ORPHANED.mark(&mut pod, now);
    }
    Some(pod)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, node: &str, phase: &str, deleted: bool) -> Arc<Pod> {
        let deleted = deleted.then_some("2026-01-01T00:00:00Z");
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": name, "deletionTimestamp": deleted, "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"containers": [], "nodeName": node}, "status": {"phase": phase}
            }))
            .unwrap(),
        )
    }

    fn node(name: &str) -> Arc<Node> {
        Arc::new(serde_json::from_value(json!({"metadata": {"name": name}})).unwrap())
    }

    fn doomed(keep_finished: usize, gone_for: i64) -> Vec<(String, Why)> {
        let pods = [
            pod("fine", "n1", "Running", false),
            pod("orphan", "gone", "Running", false),
            pod("unbound", "", "Pending", true),
            pod("waiting", "", "Pending", false),
            pod("done-1", "n1", "Succeeded", false),
            pod("done-2", "n1", "Failed", false),
        ];
        let nodes = [node("n1")];
        let now = Timestamp::from_second(1_000_000).unwrap();
        let before = [("gone".to_owned(), now - SignedDuration::from_secs(gone_for))].into();
        let missing = missing(&pods, &nodes, &before, now);
        let observed = Observed { pods: &pods, nodes: &nodes, missing: &missing, keep_finished, now };
        plan(&observed).into_iter().map(|(pod, why)| (pod.metadata.name.clone().unwrap(), why)).collect()
    }

    #[test]
    fn pods_nobody_else_deletes() {
        let unbound = ("unbound".to_owned(), Why::NeverScheduled);
        assert_eq!(doomed(0, 39), std::slice::from_ref(&unbound));
        assert_eq!(doomed(0, 40), [("orphan".to_owned(), Why::Orphaned), unbound.clone()]);
        assert_eq!(doomed(1, 0), [unbound, ("done-1".to_owned(), Why::TooManyFinished)]);
    }

    #[test]
    fn an_orphan_fails_with_a_reason() {
        let mut pod = Arc::unwrap_or_clone(pod("a", "gone", "Running", false));
        pod.metadata.generation = Some(3);
        let failed = failed(&pod, Why::Orphaned, Timestamp::UNIX_EPOCH).unwrap();
        let status = failed.status.unwrap();
        assert_eq!((status.phase.as_deref(), status.observed_generation), (Some("Failed"), Some(3)));
        let condition = &status.conditions.unwrap()[0];
        assert_eq!((condition.reason.as_deref(), condition.observed_generation), (Some("DeletionByPodGC"), Some(3)));
    }
}
