//! Horizontal pod autoscalers.

use crate::tree::{Fill, Tree};
use apimachinery::Value;
use serde_json::json;

pub(super) fn autoscaler(autoscaler: &mut Value) {
    let Some(spec) = autoscaler.inner("spec") else { return };
    spec.fill("minReplicas", 1);
    if spec.lacks("metrics") {
        spec.fill("metrics", json!([]));
        if let Some(metrics) = spec.inner("metrics") {
            *metrics = json!([{
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": CPU}},
            }]);
        }
    }
    let Some(behavior) = spec.inner("behavior") else { return };
    scaling_rules(behavior, "scaleUp", json!([policy("Pods", 4), policy("Percent", 100)]));
    scaling_rules(behavior, "scaleDown", json!([policy("Percent", 100)]));
    if let Some(up) = behavior.inner("scaleUp") {
        up.fill("stabilizationWindowSeconds", 0);
    }
}

/// What is scaled by if nothing is said, in percent of the CPU that is asked for.
const CPU: i64 = 80;
/// The annotation that has the metrics that `autoscaling/v1` has no fields for.
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";

/// `autoscaling/v1`: upstream has its default where it converts the object.
pub(super) fn autoscaler_v1(autoscaler: &mut Value) {
    let annotation = autoscaler.at("metadata").and_then(|m| m.at("annotations")?.at(METRICS)?.as_str());
    let others: Option<Vec<Value>> = annotation.and_then(|text| serde_json::from_str(text).ok());
    if others.is_some_and(|others| !others.is_empty()) {
        return;
    }
    if let Some(spec) = autoscaler.inner("spec") {
        spec.fill("targetCPUUtilizationPercentage", CPU);
    }
}

fn scaling_rules(behavior: &mut Value, direction: &str, policies: Value) {
    if let Some(rules) = behavior.made(direction) {
        rules.fill("selectPolicy", "Max");
        rules.fill("policies", policies);
    }
}

fn policy(kind: &str, value: i64) -> Value {
    json!({"type": kind, "value": value, "periodSeconds": 15})
}
