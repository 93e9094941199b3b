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
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
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

fn scaling_rules(behavior: &mut Value, direction: &str, policies: Value) {
    if let Some(rules) = behavior.made(direction) {
        rules.fill("selectPolicy", "Max");
        rules.fill("policies", policies);
    }
}

fn policy(kind: &str, value: i64) -> Value {
    json!({"type": kind, "value": value, "periodSeconds": 15})
}
