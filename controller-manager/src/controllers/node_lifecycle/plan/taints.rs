//! Which taints a node's conditions mean.

use super::health::{Ready, ready};
use crate::objects::conditions;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
const NO_SCHEDULE: &str = "NoSchedule";
const NO_EXECUTE: &str = "NoExecute";
/// Conditions that mean a NoSchedule taint while they are true.
const BY_CONDITION: [(&str, &str); 4] = [
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
];

fn taints(node: &Node) -> &[Taint] {
    node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default()
}

/// Whether a change of a node can mean other taints.
pub(in super::super) fn concern(before: &Node, after: &Node) -> bool {
    let unschedulable = |node: &Node| node.spec.as_ref().and_then(|spec| spec.unschedulable);
    wanted_no_schedule(before) != wanted_no_schedule(after)
        || ready(before) != ready(after)
        || unschedulable(before) != unschedulable(after)
        || taints(before) != taints(after)
        || before.metadata.uid != after.metadata.uid
}

fn wanted_no_schedule(node: &Node) -> Vec<&'static str> {
    let list = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let mut wanted = match ready(node) {
        Ready::True => Vec::new(),
        Ready::False => vec![NOT_READY],
        // Without a condition nothing is known yet, and the taint of the admission stays.
        Ready::Unknown if conditions::find(list, "Ready").is_none() => vec![NOT_READY],
        Ready::Unknown => vec![UNREACHABLE],
    };
    wanted.extend(BY_CONDITION.iter().filter(|(kind, _)| conditions::is_true(list, kind)).map(|(_, taint)| *taint));
    if node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true) {
        wanted.push(UNSCHEDULABLE);
    }
    wanted
}

/// The node with the NoSchedule taints its conditions mean; `None` if it has them.
pub(in super::super) fn by_conditions(node: &Node) -> Option<Node> {
    let wanted = wanted_no_schedule(node);
    let ours: Vec<&str> =
        BY_CONDITION.iter().map(|(_, taint)| *taint).chain([NOT_READY, UNREACHABLE, UNSCHEDULABLE]).collect();
    with(node, NO_SCHEDULE, &ours, &wanted, None)
}

/// What should become of a node's NoExecute taints.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Execution {
    /// They are as they should be.
    Keep,
    /// From one reason to another, or away: at once.
    Swap(Box<Node>),
    /// The node is given up: when its zone's rate allows it.
    GiveUp(Box<Node>),
}

/// Decides about the NoExecute taints.
pub(in super::super) fn execution(node: &Node, now: Timestamp) -> Execution {
    let wanted: &[&str] = match ready(node) {
        Ready::True => &[],
        Ready::False => &[NOT_READY],
        Ready::Unknown => &[UNREACHABLE],
    };
    let Some(after) = with(node, NO_EXECUTE, &[NOT_READY, UNREACHABLE], wanted, Some(now)) else {
        return Execution::Keep;
    };
    let is_given_up = is_given_up(node);
    match is_given_up || wanted.is_empty() {
        true => Execution::Swap(Box::new(after)),
        false => Execution::GiveUp(Box::new(after)),
    }
}

/// The node without our NoExecute taints; `None` if it has none.
pub(in super::super) fn without_execution(node: &Node) -> Option<Node> {
    with(node, NO_EXECUTE, &[NOT_READY, UNREACHABLE], &[], None)
}

fn is_given_up(node: &Node) -> bool {
    taints(node).iter().any(|taint| taint.effect == NO_EXECUTE && [NOT_READY, UNREACHABLE].contains(&&*taint.key))
}

/// The node with `wanted` of `ours` of this effect; `None` if it has them.
fn with(node: &Node, effect: &str, ours: &[&str], wanted: &[&str], now: Option<Timestamp>) -> Option<Node> {
    let is_ours = |taint: &Taint| taint.effect == effect && ours.contains(&&*taint.key);
    let present: Vec<&str> = taints(node).iter().filter(|taint| is_ours(taint)).map(|taint| &*taint.key).collect();
    let is_right = present.len() == wanted.len() && wanted.iter().all(|key| present.contains(key));
    if is_right {
        return None;
    }
    let mut after = node.clone();
    let list = after.spec.get_or_insert_default().taints.get_or_insert_default();
    list.retain(|taint| !is_ours(taint) || wanted.contains(&&*taint.key));
    for key in wanted.iter().filter(|key| !present.contains(key)) {
        list.push(Taint {
            key: (*key).to_owned(),
            effect: effect.to_owned(),
            value: None,
            time_added: now.or_else(|| Some(Timestamp::now())).map(Time),
        });
    }
    if list.is_empty() {
        after.spec.get_or_insert_default().taints = None;
    }
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(conditions: Value, spec: Value) -> Node {
        serde_json::from_value(json!({"metadata": {"name": "n"}, "spec": spec, "status": {"conditions": conditions}}))
            .unwrap()
    }

    fn shown(node: Option<Node>) -> Option<Vec<String>> {
        node.map(|node| taints(&node).iter().map(|taint| format!("{}:{}", taint.key, taint.effect)).collect())
    }

    #[test]
    fn conditions_mean_no_schedule() {
        let ready = |status: &str| json!([{"type": "Ready", "status": status}]);
        let text = |taints: &[&str]| {
            Some(taints.iter().map(|taint| format!("node.kubernetes.io/{taint}:NoSchedule")).collect())
        };
        let table = [
            (ready("True"), json!({}), None),
            (ready("False"), json!({}), text(&["not-ready"])),
            (ready("Unknown"), json!({}), text(&["unreachable"])),
            (ready("True"), json!({"unschedulable": true}), text(&["unschedulable"])),
            (
                json!([{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "True"}]),
                json!({}),
                text(&["disk-pressure"]),
            ),
            (ready("True"), json!({"taints": [{"key": NOT_READY, "effect": NO_SCHEDULE}]}), text(&[])),
        ];
        for (conditions, spec, expected) in table {
            assert_eq!(shown(by_conditions(&node(conditions.clone(), spec.clone()))), expected, "{conditions} {spec}");
        }
    }

    #[test]
    fn foreign_taints_stay() {
        let node = node(
            json!([{"type": "Ready", "status": "False"}]),
            json!({"taints": [{"key": "mine", "effect": NO_EXECUTE}]}),
        );
        assert_eq!(shown(by_conditions(&node)).unwrap(), ["mine:NoExecute", "node.kubernetes.io/not-ready:NoSchedule"]);
    }

    #[test]
    fn giving_a_node_up_is_limited_and_taking_it_back_is_not() {
        let at = |status: &str, taints: Value| {
            execution(
                &node(json!([{"type": "Ready", "status": status}]), json!({"taints": taints})),
                Timestamp::UNIX_EPOCH,
            )
        };
        assert!(matches!(at("Unknown", json!([])), Execution::GiveUp(_)));
        let given_up = json!([{"key": NOT_READY, "effect": NO_EXECUTE}]);
        assert!(matches!(at("Unknown", given_up.clone()), Execution::Swap(_)));
        assert_eq!(at("False", given_up.clone()), Execution::Keep);
        assert!(matches!(at("True", given_up), Execution::Swap(node) if taints(&node).is_empty()));
    }
}
