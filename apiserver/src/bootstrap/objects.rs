//! Namespaces, priority classes, the default range of service addresses.

use apimachinery::{Value, time};
use ipnet::IpNet;
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

pub(super) fn service_cidr(ranges: &[IpNet]) -> Value {
    let ranges: Vec<String> = ranges.iter().map(|r| r.trunc().to_string()).collect();
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
        "metadata": {"name": "kubernetes", "finalizers": ["networking.k8s.io/service-cidr-finalizer"]},
        "spec": {"cidrs": ranges},
        "status": {"conditions": [{
            "type": "Ready", "status": "True", "reason": "", "lastTransitionTime": time::now(),
            "message": "Kubernetes Service CIDR is ready",
        }]},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_named_by_their_network() {
        let cidr = service_cidr(&["10.96.0.7/16".parse().expect("a range")]);
        assert_eq!(cidr["spec"]["cidrs"], json!(["10.96.0.0/16"]));
    }
}
