//! Namespaces and priority classes.

use apimachinery::Value;
use serde_json::json;

pub(super) fn namespaces() -> Vec<Value> {
    let names = ["kube-system", "kube-public", "kube-node-lease", "default"];
    names.map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).into()
}

pub(super) fn priority_classes() -> Vec<Value> {
    let class = |name: &str, value: i64, description: &str| {
        json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
            "value": value, "description": description, "preemptionPolicy": "PreemptLowerPriority",
        })
    };
    vec![
        class("system-node-critical", 2_000_001_000, "For system pods that must stay on their node."),
        class("system-cluster-critical", 2_000_000_000, "For system pods that the cluster needs on some node."),
    ]
}
