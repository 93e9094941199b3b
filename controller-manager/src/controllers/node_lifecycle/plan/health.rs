//! Whether a node is heard of. Only our own clock counts: a heartbeat is news when it differs from
//! the last one, whatever time it carries.

use crate::manager::options::NodeHealth;
use crate::objects::conditions;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, NodeCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use std::time::Instant;

/// Conditions that nobody but the kubelet can know.
const KUBELETS: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// A node's Ready condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Ready {
    True,
    False,
    /// Silent, or never heard of.
    Unknown,
}

/// What the node's conditions say.
pub(in super::super) fn ready(node: &Node) -> Ready {
    let list = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    match conditions::find(list, "Ready").map(|condition| condition.status.as_str()) {
        Some("True") => Ready::True,
        Some("False") => Ready::False,
        _ => Ready::Unknown,
    }
}

/// The last that was heard of a node.
#[derive(Clone, Debug)]
pub(in super::super) struct Heard {
    at: Instant,
    renewed: Option<MicroTime>,
    beat: Option<Time>,
    /// As the last look found it.
    pub(in super::super) ready: Ready,
}

fn beat(node: &Node) -> Option<Time> {
    let list = node.status.as_ref()?.conditions.as_deref()?;
    conditions::find(list, "Ready")?.last_heartbeat_time.clone()
}

fn renewed(lease: Option<&Lease>) -> Option<MicroTime> {
    lease?.spec.as_ref()?.renew_time.clone()
}

impl Heard {
    /// A node seen for the first time counts as heard of now: a manager that just started must not
    /// take old heartbeats for silence.
    pub(in super::super) fn first(node: &Node, lease: Option<&Lease>, now: Instant) -> Self {
        Self { at: now, renewed: renewed(lease), beat: beat(node), ready: ready(node) }
    }

    /// Takes news in.
    pub(in super::super) fn listen(&mut self, node: &Node, lease: Option<&Lease>, now: Instant) {
        let (renewed, beat) = (renewed(lease), beat(node));
        // Only newer ones: an old watch event after a relist is no sign of life.
        if renewed > self.renewed || beat > self.beat {
            self.at = now;
        }
        self.renewed = renewed.max(self.renewed.take());
        self.beat = beat.max(self.beat.take());
    }

    /// Counts silence from now: while no zone was heard of, it was us who were deaf.
    pub(in super::super) fn forgive(&mut self, now: Instant) {
        self.at = now;
    }

    fn is_silent(&self, node: &Node, options: &NodeHealth, now: Instant) -> bool {
        let has_reported = node.status.as_ref().and_then(|status| status.conditions.as_deref());
        let has_reported = has_reported.is_some_and(|list| conditions::find(list, "Ready").is_some());
        let grace = if has_reported { options.grace } else { options.startup_grace };
        now.saturating_duration_since(self.at) > grace
    }
}

/// The node with what the kubelet said turned to Unknown, if it is silent.
pub(in super::super) fn silenced(
    node: &Node,
    heard: &Heard,
    options: &NodeHealth,
    at: Instant,
    now: Timestamp,
) -> Option<Node> {
    if !heard.is_silent(node, options, at) {
        return None;
    }
    let mut after = node.clone();
    let list = after.status.get_or_insert_default().conditions.get_or_insert_default();
    for kind in KUBELETS {
        match list.iter_mut().find(|condition| condition.type_ == kind) {
            None => list.push(unknown(kind, "NodeStatusNeverUpdated", "Kubelet never posted node status.", now)),
            Some(condition) if condition.status != "Unknown" => {
                let heartbeat = condition.last_heartbeat_time.take();
                *condition = unknown(kind, "NodeStatusUnknown", "Kubelet stopped posting node status.", now);
                condition.last_heartbeat_time = heartbeat;
            }
            Some(_) => {}
        }
    }
    (after != *node).then_some(after)
}

fn unknown(kind: &str, reason: &str, message: &str, now: Timestamp) -> NodeCondition {
    NodeCondition {
        type_: kind.to_owned(),
        status: "Unknown".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_heartbeat_time: None,
        last_transition_time: Some(Time(now)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::options;
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    fn node(conditions: serde_json::Value) -> Node {
        serde_json::from_value(json!({"metadata": {"name": "n"}, "status": {"conditions": conditions}})).unwrap()
    }

    fn lease(at: &str) -> Lease {
        serde_json::from_value(json!({"spec": {"renewTime": at}})).unwrap()
    }

    #[test]
    fn silence_turns_conditions_unknown() {
        let node = node(json!([{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"},
                               {"type": "Other", "status": "True"}]));
        let start = Instant::now();
        let mut heard = Heard::first(&node, None, start);
        let look = |heard: &Heard, after: u64| {
            silenced(&node, heard, &options(), start + Duration::from_secs(after), Timestamp::UNIX_EPOCH)
        };
        assert_eq!(look(&heard, 40), None);
        let after = look(&heard, 41).unwrap();
        let list = after.status.unwrap().conditions.unwrap();
        assert_eq!(list[0].reason.as_deref(), Some("NodeStatusUnknown"));
        assert!(list[0].last_heartbeat_time.is_some());
        assert_eq!((list[1].status.as_str(), list.len()), ("True", 5));
        assert_eq!(list[2].reason.as_deref(), Some("NodeStatusNeverUpdated"));

        heard.listen(&node, Some(&lease("2026-01-01T00:00:20.000000Z")), start + Duration::from_secs(20));
        assert_eq!(look(&heard, 60), None, "the lease was renewed");
        heard.listen(&node, Some(&lease("2026-01-01T00:00:10.000000Z")), start + Duration::from_secs(50));
        assert!(look(&heard, 61).is_some(), "an old lease is no news");
    }

    #[test]
    fn a_node_that_never_reported_has_longer() {
        let node = node(json!([]));
        let start = Instant::now();
        let heard = Heard::first(&node, None, start);
        let look =
            |after| silenced(&node, &heard, &options(), start + Duration::from_secs(after), Timestamp::UNIX_EPOCH);
        assert!(look(60).is_none() && look(61).is_some());
    }
}
