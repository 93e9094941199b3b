//! Table tests of autoscalers and disruption budgets.

use super::super::testing::{found, with};
use super::*;
use serde_json::json;

fn scaler(metric: Value) -> Value {
    json!({"metadata": {"name": "a"}, "spec": {"minReplicas": 1, "maxReplicas": 3, "metrics": [metric],
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}})
}

fn cpu() -> Value {
    json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}})
}

#[test]
fn autoscalers() {
    let rules = |rules: Value| vec![("/spec/behavior", json!({"scaleUp": rules}))];
    let policy = json!({"type": "Pods", "value": 1, "periodSeconds": 10});
    for (changes, want) in [
        (vec![], vec![]),
        (
            vec![("/spec/maxReplicas", json!(0))],
            vec![
                "spec.maxReplicas: Required value: must be set and greater than 0",
                "spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`",
            ],
        ),
        (
            vec![("/spec/minReplicas", json!(0))],
            vec![
                "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
                "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas",
            ],
        ),
        (
            vec![("/spec/scaleTargetRef/apiVersion", json!("v1"))],
            vec!["spec.scaleTargetRef.apiVersion: Invalid value: \"v1\": apiVersion must specify API group"],
        ),
        (
            vec![
                ("/spec/scaleTargetRef/apiVersion", json!("v1")),
                ("/spec/scaleTargetRef/kind", json!("ReplicationController")),
            ],
            vec![],
        ),
        (rules(json!({"policies": [policy], "selectPolicy": "Max", "tolerance": "0.1"})), vec![]),
        (
            rules(json!({"policies": [{"type": "x", "value": 0, "periodSeconds": 1801}], "selectPolicy": "",
                "stabilizationWindowSeconds": 3601})),
            vec![
                "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600",
                "spec.behavior.scaleUp.selectPolicy: Unsupported value: \"\": supported values: \"Disabled\", \"Max\", \"Min\"",
                "spec.behavior.scaleUp.policies[0].type: Unsupported value: \"x\": supported values: \"Percent\", \"Pods\"",
                "spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero",
                "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800",
            ],
        ),
    ] {
        assert_eq!(found(|out| autoscaler(&with(&scaler(cpu()), &changes), out)), want, "{changes:?}");
    }
}

#[test]
fn metrics_of_autoscalers() {
    for (metric, want) in [
        (
            json!({"type": "Pods", "pods": {"metric": {"name": "a/b"}, "target": {"type": "AverageValue", "averageValue": "0"}}}),
            vec![
                "spec.metrics[0].pods.metric.name: Invalid value: \"a/b\": may not contain '/'",
                "spec.metrics[0].pods.target.averageValue: Invalid value: \"0\": must be positive",
            ],
        ),
        (
            json!({"type": "Resource", "pods": {"metric": {"name": "a"}, "target": {"type": "Value", "averageValue": "1"}},
                "external": {"metric": {"name": "a"}, "target": {"type": "x", "value": "1", "averageValue": "1"}}}),
            vec![
                "spec.metrics[0].external.target.type: Invalid value: \"x\": must be either Utilization, Value, or AverageValue",
                "spec.metrics[0].external.target.value: Forbidden: may not set both a target value for metric and a per-pod target",
                "spec.metrics[0].resource: Required value: must populate information for the given metric source",
                "spec.metrics[0].external: Forbidden: must populate the given metric source only",
                "spec.metrics[0].pods: Forbidden: must populate the given metric source only",
            ],
        ),
        (
            json!({"type": "ContainerResource", "containerResource": {"name": "x", "container": "A",
                "target": {"type": "Utilization"}}}),
            vec![
                "spec.metrics[0].containerResource.name: Invalid value: \"x\": must be a standard resource type or fully qualified",
                "spec.metrics[0].containerResource.name: Invalid value: \"x\": must be a standard resource for containers",
                "spec.metrics[0].containerResource.container: Invalid value: \"A\": a lowercase RFC 1123 label",
                "spec.metrics[0].containerResource.target.averageUtilization: Required value: must set either a target raw value or a target utilization",
            ],
        ),
    ] {
        let errors = found(|out| autoscaler(&scaler(metric.clone()), out));
        assert_eq!(errors.len(), want.len(), "{errors:?}");
        assert!(errors.iter().zip(&want).all(|(error, want)| error.starts_with(want)), "{errors:?}");
    }
}

#[test]
fn what_an_autoscaler_has_may_stay() {
    let old = with(
        &scaler(
            json!({"type": "External", "external": {"metric": {"name": "a"}, "target": {"type": "Value", "value": "1"}}}),
        ),
        &[("/spec/minReplicas", json!(0)), ("/spec/scaleTargetRef/apiVersion", json!("a/b/c"))],
    );
    assert_eq!(found(|out| autoscaler_update(&old, &old, out)), [""; 0]);
    assert_eq!(found(|out| autoscaler(&old, out)).len(), 2);
}

#[test]
fn disruption_budgets() {
    let wrong = json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["-"]}]});
    for (spec, want) in [
        (
            json!({"minAvailable": "101%"}),
            vec!["spec.minAvailable: Invalid value: \"101%\": must not be greater than 100%"],
        ),
        (
            json!({"unhealthyPodEvictionPolicy": ""}),
            vec![
                "spec.unhealthyPodEvictionPolicy: Unsupported value: \"\": supported values: \"AlwaysAllow\", \"IfHealthyBudget\"",
            ],
        ),
    ] {
        assert_eq!(found(|out| disruption_budget(&json!({"spec": spec}), out)), want);
    }
    let old = json!({"spec": {"selector": wrong}});
    assert_eq!(found(|out| disruption_budget(&old, out)).len(), 1);
    assert_eq!(found(|out| disruption_budget_update(&old, &old, out)), [""; 0]);
}
