//! One `APIService` for each served group version; clients order groups by them.
//!
//! Upstream: `pkg/controlplane/apiserver/aggregator.go`.

use apimachinery::{Value, resources};
use serde_json::{Map, json};

/// Group priorities, as upstream has them; the order of `/apis` follows from these.
const GROUPS: &[(&str, i64)] = &[
    ("", 18000),
    ("apps", 17800),
    ("events.k8s.io", 17750),
    ("authentication.k8s.io", 17700),
    ("authorization.k8s.io", 17600),
    ("autoscaling", 17500),
    ("batch", 17400),
    ("certificates.k8s.io", 17300),
    ("networking.k8s.io", 17200),
    ("policy", 17100),
    ("rbac.authorization.k8s.io", 17000),
    ("storage.k8s.io", 16800),
    ("apiextensions.k8s.io", 16700),
    ("admissionregistration.k8s.io", 16700),
    ("scheduling.k8s.io", 16600),
    ("coordination.k8s.io", 16500),
    ("node.k8s.io", 16300),
    ("discovery.k8s.io", 16200),
    ("resource.k8s.io", 16200),
    ("flowcontrol.apiserver.k8s.io", 16100),
];
/// The aggregator registers every group but its own.
const OWN: &str = "apiregistration.k8s.io";

pub(super) fn objects() -> Vec<Value> {
    let mut versions: Vec<(&str, &str)> =
        resources::builtin().iter().map(|r| (&*r.group, &*r.version)).filter(|(group, _)| *group != OWN).collect();
    versions.sort_unstable();
    versions.dedup();
    versions.into_iter().map(|(group, version)| object(group, version)).collect()
}

fn object(group: &str, version: &str) -> Value {
    let priority = GROUPS.iter().find(|(name, _)| *name == group).map_or(10000, |(_, priority)| *priority);
    let mut spec = Map::new();
    if !group.is_empty() {
        spec.insert("group".into(), group.into());
    }
    spec.insert("version".into(), version.into());
    spec.insert("groupPriorityMinimum".into(), priority.into());
    spec.insert("versionPriority".into(), version_priority(group, version).into());
    json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {
            "name": format!("{version}.{group}"),
            "labels": {"kube-aggregator.kubernetes.io/automanaged": "onstart"},
        },
        "spec": spec,
        "status": {"conditions": [{
            "type": "Available", "status": "True", "reason": "Local", "message": "Local APIServices are always available",
            "lastTransitionTime": apimachinery::time::now(),
        }]},
    })
}

fn version_priority(group: &str, version: &str) -> i64 {
    match (group, version) {
        ("", _) => 1,
        ("autoscaling", "v2") => 30,
        ("flowcontrol.apiserver.k8s.io" | "resource.k8s.io", "v1") => 21,
        _ => 15,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_has_its_priority() {
        for service in objects() {
            let group = service["spec"].get("group").and_then(Value::as_str).unwrap_or_default().to_owned();
            assert!(GROUPS.iter().any(|(name, _)| *name == group), "{group}");
        }
        assert!(
            objects().iter().any(|s| s["metadata"]["name"] == "v2.autoscaling" && s["spec"]["versionPriority"] == 30)
        );
        assert!(objects().iter().any(|s| s["metadata"]["name"] == "v1."));
    }
}
