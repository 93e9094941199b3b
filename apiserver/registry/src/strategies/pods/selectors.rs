//! Selectors that take values from the labels of the pod that they are in.
//!
//! Upstream: `mutatePodAffinity` and `mutateTopologySpreadConstraints` in `pkg/registry/core/pod/strategy.go`.

use apimachinery::meta::{ObjectMeta, list_mut};
use apimachinery::{Map, Value};
use serde_json::json;

/// Adds an expression for each of a new pod's labels that affinity and spread constraints name.
pub(super) fn take_labels(pod: &mut Value) {
    let spec = &pod["spec"];
    let affinity = |kind: &str| spec.get("affinity").is_some_and(|a| a.get(kind).is_some());
    let used =
        affinity("podAffinity") || affinity("podAntiAffinity") || spec.get("topologySpreadConstraints").is_some();
    let Some(labels) = pod.labels().filter(|l| used && !l.is_empty()).cloned() else { return };
    for kind in ["podAffinity", "podAntiAffinity"] {
        let Some(affinity) = pod.pointer_mut(&format!("/spec/affinity/{kind}")) else { continue };
        each(affinity, "requiredDuringSchedulingIgnoredDuringExecution", |term| add(term, &labels));
        each(affinity, "preferredDuringSchedulingIgnoredDuringExecution", |term| {
            if let Some(term) = term.get_mut("podAffinityTerm") {
                add(term, &labels);
            }
        });
    }
    each(&mut pod["spec"], "topologySpreadConstraints", |constraint| add(constraint, &labels));
}

fn each(object: &mut Value, list: &str, change: impl FnMut(&mut Value)) {
    object.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().for_each(change);
}

fn add(term: &mut Value, labels: &Map) {
    let mut expressions = Vec::new();
    for (list, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        let keys = term.get(list).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        for (key, value) in keys.filter_map(|key| Some((key, labels.get(key)?))) {
            expressions.push(json!({"key": key, "operator": operator, "values": [value]}));
        }
    }
    // Without a selector nothing is selected, whatever the labels.
    let Some(selector) = term.get_mut("labelSelector").and_then(Value::as_object_mut) else { return };
    if !expressions.is_empty() {
        list_mut(selector, "matchExpressions").append(&mut expressions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_take_labels() {
        let mut pod = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {
            "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"podAffinityTerm":
                {"labelSelector": {}, "matchLabelKeys": ["a", "gone"], "mismatchLabelKeys": ["b"]}}]}},
            "topologySpreadConstraints": [{"matchLabelKeys": ["a"]}, {"labelSelector": {}, "matchLabelKeys": ["b"]}]}});
        take_labels(&mut pod);
        let term = &pod["spec"]["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0];
        assert_eq!(
            term["podAffinityTerm"]["labelSelector"],
            json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]},
                {"key": "b", "operator": "NotIn", "values": ["2"]}]})
        );
        let constraints = &pod["spec"]["topologySpreadConstraints"];
        assert_eq!(constraints[0], json!({"matchLabelKeys": ["a"]}));
        assert_eq!(constraints[1]["labelSelector"]["matchExpressions"][0]["values"], json!(["2"]));
    }
}
