//! `autoscaling/v1` autoscalers as a view of `autoscaling/v2`: one CPU metric has a field of its
//! own, the rest travels in annotations.
//!
//! Upstream: `pkg/apis/autoscaling/v1/conversion.go`.

mod metrics;

use self::metrics::Side;
use crate::strategies::member;
use apimachinery::meta::ObjectMeta;
use apimachinery::{Map, Value};
use serde_json::json;

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";

pub(super) fn to_v1(mut scaler: Value) -> Value {
    let spec = member(&mut scaler, "spec");
    let metrics = take_list(spec, "metrics");
    let behavior = spec.remove("behavior");
    let (cpu, others) = split(metrics, "target");
    if let Some(percent) = cpu {
        spec.insert("targetCPUUtilizationPercentage".into(), percent);
    }
    let status = member(&mut scaler, "status");
    let conditions = status.remove("conditions");
    // All of them are annotated, as the one that has a field of its own says more there.
    let all_current = take_list(status, "currentMetrics");
    let (current, _) = split(all_current.clone(), "current");
    if let Some(percent) = current {
        status.insert("currentCPUUtilizationPercentage".into(), percent);
    }
    for count in ["currentReplicas", "desiredReplicas"] {
        status.entry(count).or_insert_with(|| 0.into());
    }
    let text = |metrics: Vec<Value>, side| (!metrics.is_empty()).then(|| metrics::text(&metrics, side));
    annotate_text(&mut scaler, METRICS, text(others, Side::Target));
    annotate_text(&mut scaler, CURRENT_METRICS, text(all_current, Side::Current));
    annotate(&mut scaler, CONDITIONS, conditions);
    annotate_text(&mut scaler, BEHAVIOR, behavior.map(|behavior| behavior_text(&behavior)));
    scaler
}

pub(super) fn to_v2(mut scaler: Value) -> Value {
    let [metrics, current, conditions, behavior] =
        [METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR].map(|key| annotation(&mut scaler, key));
    let spec = member(&mut scaler, "spec");
    let cpu = spec.remove("targetCPUUtilizationPercentage").map(|p| cpu_metric("target", p));
    // Upstream puts the one that has a field of its own behind the others.
    let metrics = metrics.map(|metrics| metrics::read(metrics, Side::Target));
    insert(spec, "metrics", joined(metrics, cpu));
    insert(spec, "behavior", behavior.map(behavior_of));
    let status = member(&mut scaler, "status");
    let cpu = status.remove("currentCPUUtilizationPercentage").map(|p| cpu_metric("current", p));
    // Those of the annotation say more. What one version leaves out, the other shows.
    let current = current.map(|metrics| metrics::read(metrics, Side::Current));
    let current = current.and_then(|metrics| joined(Some(metrics), None)).or_else(|| joined(None, cpu));
    status.insert("currentMetrics".into(), current.unwrap_or(Value::Null));
    if status.get("currentReplicas").and_then(Value::as_i64) == Some(0) {
        status.remove("currentReplicas");
    }
    insert(status, "conditions", conditions);
    scaler
}

/// The CPU utilization among metrics, and the other metrics.
fn split(metrics: Vec<Value>, what: &str) -> (Option<Value>, Vec<Value>) {
    let mut cpu = None;
    let mut others = Vec::new();
    for metric in metrics {
        let percent = (metric.pointer("/resource/name").and_then(Value::as_str) == Some("cpu"))
            .then(|| metric.pointer(&format!("/resource/{what}/averageUtilization")).cloned())
            .flatten();
        match (percent, &cpu) {
            (Some(percent), None) => cpu = Some(percent),
            _ => others.push(metric),
        }
    }
    (cpu, others)
}

fn cpu_metric(what: &str, percent: Value) -> Value {
    let mut amount = json!({"averageUtilization": percent});
    if what == "target" {
        amount["type"] = "Utilization".into();
    }
    json!({"type": "Resource", "resource": {"name": "cpu", what: amount}})
}

fn take_list(map: &mut Map, key: &str) -> Vec<Value> {
    match map.remove(key) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

fn list(items: Vec<Value>) -> Option<Value> {
    (!items.is_empty()).then_some(Value::Array(items))
}

fn joined(metrics: Option<Value>, last: Option<Value>) -> Option<Value> {
    let metrics = match metrics {
        Some(Value::Array(metrics)) => metrics,
        _ => Vec::new(),
    };
    list(metrics.into_iter().chain(last).collect())
}

fn insert(map: &mut Map, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        map.insert(key.into(), value);
    }
}

fn annotate(scaler: &mut Value, key: &str, value: Option<Value>) {
    annotate_text(scaler, key, value.map(|value| value.to_string()));
}

fn annotate_text(scaler: &mut Value, key: &str, text: Option<String>) {
    let Some(text) = text else { return };
    let annotations = scaler.metadata_mut().entry("annotations").or_insert_with(|| Value::Object(Map::new()));
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(key.into(), text.into());
    }
}

/// The behavior as upstream's annotation has it: its inner type as JSON, whose members have Go's names and are never left
/// out.
fn behavior_text(behavior: &Value) -> String {
    let text = |value: Option<&Value>| value.unwrap_or(&Value::Null).to_string();
    let rules = |key: &str| {
        let Some(rules) = behavior.get(key).filter(|rules| !rules.is_null()) else { return "null".to_owned() };
        let policy = |policy: &Value| {
            let [kind, value, period] = ["type", "value", "periodSeconds"].map(|key| text(policy.get(key)));
            format!(r#"{{"Type":{kind},"Value":{value},"PeriodSeconds":{period}}}"#)
        };
        let policies = rules.get("policies").and_then(Value::as_array);
        let policies = policies.map(|list| format!("[{}]", list.iter().map(policy).collect::<Vec<_>>().join(",")));
        let policies = policies.unwrap_or_else(|| "null".into());
        let [window, select, tolerance] =
            ["stabilizationWindowSeconds", "selectPolicy", "tolerance"].map(|key| text(rules.get(key)));
        format!(
            r#"{{"StabilizationWindowSeconds":{window},"SelectPolicy":{select},"Policies":{policies},"Tolerance":{tolerance}}}"#
        )
    };
    format!(r#"{{"ScaleUp":{},"ScaleDown":{}}}"#, rules("scaleUp"), rules("scaleDown"))
}

/// The behavior of such JSON, whose members may have their names in the API, too.
fn behavior_of(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let present = members.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(present.map(|(name, value)| (in_api(&name), behavior_of(value))).collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(behavior_of).collect()),
        value => value,
    }
}

fn in_api(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

/// Takes an annotation that holds JSON; what cannot be read is dropped, as upstream does.
fn annotation(scaler: &mut Value, key: &str) -> Option<Value> {
    let annotations = scaler.metadata_mut().get_mut("annotations")?.as_object_mut()?;
    let text = annotations.remove(key)?;
    let empty = annotations.is_empty();
    if empty {
        scaler.metadata_mut().remove("annotations");
    }
    serde_json::from_str(text.as_str()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behavior_is_annotated_under_gos_names() {
        let behavior = json!({"scaleDown": {"selectPolicy": "Max", "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}});
        let v1 = to_v1(json!({"metadata": {}, "spec": {"behavior": behavior}}));
        let text = r#"{"ScaleUp":null,"ScaleDown":{"StabilizationWindowSeconds":null,"SelectPolicy":"Max","Policies":[{"Type":"Pods","Value":1,"PeriodSeconds":60}],"Tolerance":null}}"#;
        assert_eq!(v1["metadata"]["annotations"][BEHAVIOR], text);
        assert_eq!(to_v2(v1)["spec"]["behavior"], behavior);
    }

    #[test]
    fn converts_there_and_back() {
        let memory = json!({"type": "Resource", "resource": {"name": "memory",
            "target": {"type": "Utilization", "averageUtilization": 70}}});
        let mut v2 = json!({"metadata": {"name": "a"}, "spec": {"maxReplicas": 3,
            "metrics": [memory, cpu_metric("target", json!(50))], "behavior": {"scaleUp": {}}},
            "status": {"conditions": [{"type": "AbleToScale"}], "desiredReplicas": 0,
                "currentMetrics": [cpu_metric("current", json!(40))]}});
        let v1 = to_v1(v2.clone());
        assert_eq!(v1["spec"], json!({"maxReplicas": 3, "targetCPUUtilizationPercentage": 50}));
        assert_eq!(
            v1["status"],
            json!({"currentCPUUtilizationPercentage": 40, "currentReplicas": 0, "desiredReplicas": 0})
        );
        assert_eq!(v1["metadata"]["annotations"].as_object().map(Map::len), Some(4));
        // `v1` has no way to leave out what an average is.
        v2["status"]["currentMetrics"][0]["resource"]["current"]["averageValue"] = "0".into();
        assert_eq!(to_v2(v1), v2);
        let new = to_v2(json!({"metadata": {}, "spec": {}, "status": {"currentReplicas": 0, "desiredReplicas": 0}}));
        assert_eq!(new["status"], json!({"currentMetrics": null, "desiredReplicas": 0}));
    }
}
