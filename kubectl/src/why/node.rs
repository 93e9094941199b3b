//! Why a node takes no pods.

use super::{Explanation, condition, deletion, events, list, shown, text};
use apimachinery::Value;

/// Explains a node with its events and its lease.
pub fn explain(node: &Value, of_node: &[Value], lease: Option<&Value>) -> Explanation {
    let ready = condition(node, "Ready");
    let cordoned = node["spec"]["unschedulable"] == true;
    let is_ready = ready.is_some_and(|c| c["status"] == "True");
    let mut explanation = Explanation::new(match (is_ready, cordoned) {
        (true, false) => "is Ready",
        (true, true) => "is Ready, but takes no new pods",
        (false, _) => "is not Ready",
    });
    deletion(node, &mut explanation);
    match ready {
        None => explanation.because("no kubelet has ever reported for it", []),
        Some(ready) if ready["status"] == "Unknown" => {
            let beat = lease.map(|l| format!("lease renewed last at {}", text(l, "/spec/renewTime")));
            let told = events::of(of_node, &["NodeNotReady"]);
            explanation
                .because("its kubelet has stopped reporting", [shown(ready)].into_iter().chain(beat).chain(told));
        }
        Some(ready) if ready["status"] != "True" => {
            explanation.because("its kubelet says that it is not ready", [shown(ready)])
        }
        Some(_) => {}
    }
    for found in list(node, "/status/conditions").iter().filter(|c| c["type"] != "Ready" && c["status"] == "True") {
        let sentence = match text(found, "/type") {
            "MemoryPressure" => "it is short of memory: new pods are kept away, and some may be evicted".to_owned(),
            "DiskPressure" => "it is short of disk: new pods are kept away, and some may be evicted".to_owned(),
            "PIDPressure" => "it has too many processes: new pods are kept away".to_owned(),
            "NetworkUnavailable" => "its network is not set up".to_owned(),
            other => format!("it reports {other}"),
        };
        explanation.because(sentence, [shown(found)]);
    }
    if cordoned {
        explanation.because("somebody cordoned it", ["spec.unschedulable: true".to_owned()]);
    }
    taints(node, &mut explanation);
    explanation
}

fn taints(node: &Value, explanation: &mut Explanation) {
    let of_conditions = |key: &str| key.starts_with("node.kubernetes.io/");
    let own: Vec<String> = list(node, "/spec/taints")
        .iter()
        .filter(|t| !of_conditions(text(t, "/key")) && text(t, "/effect") != "PreferNoSchedule")
        .map(|t| format!("spec.taints: {}={}:{}", text(t, "/key"), text(t, "/value"), text(t, "/effect")))
        .collect();
    if !own.is_empty() {
        explanation.because("it takes only pods that tolerate its taints", own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nodes_tell_why() {
        let with = |status: &str, more: Value| json!({"spec": more, "status": {"conditions": [{"type": "Ready", "status": status, "reason": "R", "message": "m"}, {"type": "DiskPressure", "status": if status == "False" { "True" } else { "False" }}]}});
        for (node, want) in [
            (with("True", json!({})), "node is Ready.\n"),
            (
                with("True", json!({"unschedulable": true})),
                "node is Ready, but takes no new pods.\n- somebody cordoned it\n    spec.unschedulable: true\n",
            ),
            (
                with("Unknown", json!({})),
                "- its kubelet has stopped reporting\n    condition Ready=Unknown (R): m\n    lease renewed last at t\n",
            ),
            (with("False", json!({})), "short of disk"),
            (json!({}), "no kubelet has ever reported for it"),
            (
                with("True", json!({"taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}]})),
                "spec.taints: a=b:NoSchedule",
            ),
        ] {
            let text = explain(&node, &[], Some(&json!({"spec": {"renewTime": "t"}}))).text("node");
            assert!(text.contains(want), "{want:?} is not in {text}");
        }
    }
}
