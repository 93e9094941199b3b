//! On which nodes the pods of a daemon set run.
//!
//! Upstream: `NodeShouldRunDaemonPod` of `pkg/controller/daemon/daemon_controller.go`.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod, PodSpec, Toleration};
use rules::placement::affinity::{self, NodeRules};
use rules::placement::taints::{Effect, untolerated};
use rules::placement::typed;
use std::collections::BTreeMap;

/// What a node is to a daemon set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Fit {
    /// A pod runs there.
    Runs,
    /// A pod that is there stays, but none comes.
    Stays,
    /// No pod is to be there.
    No,
}

/// What the pods of a daemon set ask of nodes.
#[derive(Debug)]
pub(in super::super) struct Placement {
    spec: PodSpec,
    rules: NodeRules,
}

impl Placement {
    /// Of the set's template.
    pub(in super::super) fn of(set: &DaemonSet) -> Self {
        let template = set.spec.as_ref().and_then(|spec| spec.template.spec.clone());
        let mut spec = template.unwrap_or_default();
        tolerate_node_trouble(&mut spec);
        Self { rules: typed::node_rules(&spec), spec }
    }

    /// Whether a pod is to run on the node.
    pub(in super::super) fn fit(&self, node: &Node) -> Fit {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let empty = BTreeMap::new();
        let labels = node.metadata.labels.as_ref().unwrap_or(&empty);
        let is_meant = self.spec.node_name.as_deref().is_none_or(|wanted| wanted.is_empty() || wanted == name);
        if !is_meant || !self.rules.allow(&affinity::Node { name, labels }) {
            return Fit::No;
        }
        let taints = || node.spec.iter().flat_map(|spec| spec.taints.iter().flatten()).filter_map(typed::taint);
        let tolerations = typed::tolerations(&self.spec);
        let keeps_off = |effect: Effect| untolerated(taints(), &tolerations, |other| other == effect).is_some();
        if keeps_off(Effect::NoExecute) {
            Fit::No
        } else if keeps_off(Effect::NoSchedule) {
            Fit::Stays
        } else {
            Fit::Runs
        }
    }
}

/// Daemons live with their node through its troubles.
pub(super) fn tolerate_node_trouble(spec: &mut PodSpec) {
    const ALWAYS: [(&str, &str); 6] = [
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    ];
    let on_host = [("network-unavailable", "NoSchedule")];
    let on_host = on_host.iter().filter(|_| spec.host_network == Some(true));
    let mut tolerations = spec.tolerations.take().unwrap_or_default();
    for (trouble, effect) in ALWAYS.iter().chain(on_host) {
        let toleration = Toleration {
            key: Some(format!("node.kubernetes.io/{trouble}")),
            operator: Some("Exists".to_owned()),
            effect: Some((*effect).to_owned()),
            ..Toleration::default()
        };
        match tolerations.iter_mut().find(|other| is_same_match(other, &toleration)) {
            Some(other) => *other = toleration,
            None => tolerations.push(toleration),
        }
    }
    spec.tolerations = Some(tolerations);
}

/// Whether they differ in the time at most.
fn is_same_match(a: &Toleration, b: &Toleration) -> bool {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let parts = |t: &Toleration| (text(&t.key), text(&t.operator), text(&t.value), text(&t.effect));
    parts(a) == parts(b)
}

/// The node that the pod is on, or will be.
pub(in super::super) fn target(pod: &Pod) -> Option<&str> {
    let spec = pod.spec.as_ref()?;
    if let Some(node) = spec.node_name.as_deref().filter(|node| !node.is_empty()) {
        return Some(node);
    }
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let required = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    let fields = required.node_selector_terms.iter().flat_map(|term| term.match_fields.iter().flatten());
    let names = fields.filter(|field| field.key == "metadata.name" && field.operator == "In");
    names.filter_map(|field| field.values.as_ref()).find_map(|values| match &values[..] {
        [one] => Some(one.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn fit(template: Value, node: Value) -> Fit {
        let set = json!({"spec": {"selector": {}, "template": {"spec": template}}});
        Placement::of(&serde_json::from_value(set).unwrap()).fit(&serde_json::from_value(node).unwrap())
    }

    fn node(taints: Value) -> Value {
        json!({"metadata": {"name": "n1", "labels": {"disk": "ssd"}}, "spec": {"taints": taints}})
    }

    #[test]
    fn where_pods_run() {
        let plain = || json!({"containers": []});
        let with = |key: &str, value: Value| json!({"containers": [], key: value});
        let taint = |key: &str, effect: &str| node(json!([{"key": key, "effect": effect}]));
        let table = [
            (plain(), node(json!([])), Fit::Runs),
            (with("nodeName", json!("n2")), node(json!([])), Fit::No),
            (with("nodeSelector", json!({"disk": "ssd"})), node(json!([])), Fit::Runs),
            (with("nodeSelector", json!({"disk": "hdd"})), node(json!([])), Fit::No),
            (plain(), taint("x", "NoSchedule"), Fit::Stays),
            (plain(), taint("x", "NoExecute"), Fit::No),
            (plain(), taint("x", "PreferNoSchedule"), Fit::Runs),
            (with("tolerations", json!([{"operator": "Exists"}])), taint("x", "NoExecute"), Fit::Runs),
            (plain(), taint("node.kubernetes.io/unschedulable", "NoSchedule"), Fit::Runs),
            (plain(), taint("node.kubernetes.io/not-ready", "NoExecute"), Fit::Runs),
            (plain(), taint("node.kubernetes.io/network-unavailable", "NoSchedule"), Fit::Stays),
            (
                with("hostNetwork", json!(true)),
                taint("node.kubernetes.io/network-unavailable", "NoSchedule"),
                Fit::Runs,
            ),
        ];
        for (template, node, expected) in table {
            assert_eq!(fit(template.clone(), node.clone()), expected, "{template} on {node}");
        }
    }

    #[test]
    fn a_toleration_is_not_doubled() {
        let timed = json!([{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}]);
        let mut spec: PodSpec = serde_json::from_value(json!({"containers": [], "tolerations": timed})).unwrap();
        tolerate_node_trouble(&mut spec);
        let tolerations = spec.tolerations.unwrap();
        assert_eq!((tolerations.len(), tolerations[0].toleration_seconds), (6, None));
    }
}
