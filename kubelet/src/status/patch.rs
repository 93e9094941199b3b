//! The smallest change to a pod's status at the apiserver.

use super::conditions;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};
use serde_json::{Map, Value, json};

/// Fields of the status that the kubelet owns as a whole.
const OWN: [&str; 15] = [
    "phase",
    "reason",
    "message",
    "hostIP",
    "hostIPs",
    "podIP",
    "podIPs",
    "startTime",
    "initContainerStatuses",
    "containerStatuses",
    "ephemeralContainerStatuses",
    "qosClass",
    "observedGeneration",
    "resources",
    "allocatedResources",
];

/// A strategic merge patch from what the apiserver has to `new`; `None` if nothing differs.
///
/// Only the kubelet's conditions are in it, so that those that others set meanwhile stay. Lists
/// of addresses would be merged by their keys, so they say that they replace.
pub fn status_patch(pod: &Pod, new: &PodStatus) -> Option<Value> {
    let old = pod.status.clone().unwrap_or_default();
    let (before, after) = (to_map(&old), to_map(new));
    let mut status = Map::new();
    for field in OWN {
        let (was, is) = (before.get(field), after.get(field));
        if was != is {
            let value = is.cloned().unwrap_or(Value::Null);
            // A directive is for a list that is there; servers differ in what it means to none.
            let value = if was.is_some() && is_keyed(field) { replacing(value) } else { value };
            status.insert(field.to_owned(), value);
        }
    }
    let changed = changed_conditions(&old, new);
    let gone = gone_conditions(&old, new).map(|kind| json!({ "type": kind, "$patch": "delete" }));
    let changed: Vec<Value> = changed.into_iter().map(|c| json!(c)).chain(gone).collect();
    if !changed.is_empty() {
        status.insert("conditions".into(), Value::Array(changed));
    }
    (!status.is_empty()).then(|| json!({ "metadata": { "uid": pod.metadata.uid }, "status": status }))
}

fn is_keyed(field: &str) -> bool {
    matches!(field, "podIPs" | "hostIPs")
}

fn replacing(value: Value) -> Value {
    match value {
        Value::Array(items) => std::iter::once(json!({ "$patch": "replace" })).chain(items).collect(),
        other => other,
    }
}

fn to_map(status: &PodStatus) -> Map<String, Value> {
    match serde_json::to_value(status) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

fn changed_conditions<'a>(old: &PodStatus, new: &'a PodStatus) -> Vec<&'a PodCondition> {
    let known = old.conditions.as_deref().unwrap_or_default();
    let is_same = |c: &PodCondition| known.iter().any(|k| k == c);
    new.conditions.iter().flatten().filter(|c| is_kubelets(c) && !is_same(c)).collect()
}

/// Conditions that are there only while a change of the pod's resources is under way.
fn gone_conditions<'a>(old: &'a PodStatus, new: &PodStatus) -> impl Iterator<Item = &'a str> {
    let stays = |kind: &str| new.conditions.iter().flatten().any(|c| c.type_ == kind);
    let old = old.conditions.iter().flatten().map(|c| c.type_.as_str());
    old.filter(move |kind| conditions::is_of_resize(kind) && !stays(kind)).collect::<Vec<_>>().into_iter()
}

/// Disruptions by the kubelet itself (eviction) are its conditions as well.
fn is_kubelets(c: &PodCondition) -> bool {
    conditions::is_own(&c.type_)
        || conditions::is_of_resize(&c.type_)
        || c.type_ == conditions::DISRUPTION && c.reason.as_deref() == Some(conditions::BY_KUBELET)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::PodIP;

    fn condition(kind: &str, status: &str) -> PodCondition {
        PodCondition { type_: kind.into(), status: status.into(), ..PodCondition::default() }
    }

    #[test]
    fn only_what_changed() {
        let old = PodStatus {
            phase: Some("Pending".into()),
            reason: Some("x".into()),
            pod_ips: Some(vec![PodIP { ip: "1".into() }]),
            conditions: Some(vec![condition("Ready", "False"), condition("Initialized", "True")]),
            ..PodStatus::default()
        };
        let pod = Pod { status: Some(old.clone()), ..Pod::default() };
        assert_eq!(status_patch(&pod, &old), None);
        let new = PodStatus {
            phase: Some("Running".into()),
            reason: None,
            pod_ips: Some(vec![PodIP { ip: "2".into() }]),
            conditions: Some(vec![
                condition("Ready", "True"),
                condition("Initialized", "True"),
                condition("example.com/gate", "True"),
            ]),
            ..PodStatus::default()
        };
        let patch = status_patch(&pod, &new).unwrap();
        assert_eq!(
            patch["status"],
            json!({
                "phase": "Running",
                "reason": null,
                "podIPs": [{ "$patch": "replace" }, { "ip": "2" }],
                "conditions": [{ "type": "Ready", "status": "True" }],
            })
        );
    }
}
