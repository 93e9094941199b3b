//! Metrics as `autoscaling/v1` has them in annotations: what `v2` keeps in `target`, `current` and `metric` stands flat
//! beside the name.
//!
//! Upstream: `pkg/apis/autoscaling/v1/conversion.go`, `k8s.io/api/autoscaling/v1` (`MetricSpec`, `MetricStatus`).

use apimachinery::{Map, Value};
use serde_json::json;

/// The kinds of sources, in the order in which they are written.
const SOURCES: [&str; 5] = ["object", "pods", "resource", "containerResource", "external"];

/// What is wanted of a metric, or what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// `spec.metrics`.
    Target,
    /// `status.currentMetrics`.
    Current,
}

impl Side {
    /// Where `v2` keeps the amounts.
    fn amounts(self) -> &'static str {
        if self == Self::Target { "target" } else { "current" }
    }

    /// A member of `v1`: `targetAverageValue`, `currentAverageValue`.
    fn name(self, what: &str) -> String {
        format!("{}{what}", self.amounts())
    }
}

/// Metrics as the text of an annotation.
pub(super) fn text(metrics: &[Value], side: Side) -> String {
    let metric = |metric: &Value| {
        let mut members = Members::default();
        members.put("type", Some(metric.get("type").cloned().unwrap_or_else(|| "".into())));
        for source in SOURCES {
            if let Some(given) = metric.get(source) {
                members.put_text(source, flat(source, given, side));
            }
        }
        members.finish()
    };
    format!("[{}]", metrics.iter().map(metric).collect::<Vec<_>>().join(","))
}

/// Metrics of an annotation.
pub(super) fn read(annotated: Value, side: Side) -> Value {
    let Value::Array(metrics) = annotated else { return annotated };
    let metric = |metric: Value| {
        let Value::Object(members) = metric else { return metric };
        let one = |(name, value): (String, Value)| match SOURCES.contains(&name.as_str()) {
            true => (name.clone(), nested(&name, value, side)),
            false => (name, value),
        };
        Value::Object(members.into_iter().map(one).collect())
    };
    Value::Array(metrics.into_iter().map(metric).collect())
}

/// A source of `v2` as `v1` writes it.
fn flat(source: &str, given: &Value, side: Side) -> String {
    let amount = |name: &str| given.get(side.amounts()).and_then(|amounts| amounts.get(name)).cloned();
    let identifier = |name: &str| given.get("metric").and_then(|metric| metric.get(name)).cloned();
    let zero = |value: Option<Value>| Some(value.unwrap_or_else(|| "0".into()));
    let required = |value: Option<Value>| Some(value.unwrap_or_else(|| "".into()));
    let is_status = side == Side::Current;
    let mut members = Members::default();
    match source {
        "object" => {
            members.put_text("target", reference(given.get("describedObject").unwrap_or(&Value::Null)));
            members.put("metricName", required(identifier("name")));
            members.put(&side.name("Value"), zero(amount("value")));
            members.put("selector", identifier("selector"));
            members.put("averageValue", amount("averageValue"));
        }
        "pods" => {
            members.put("metricName", required(identifier("name")));
            members.put(&side.name("AverageValue"), zero(amount("averageValue")));
            members.put("selector", identifier("selector"));
        }
        "external" => {
            members.put("metricName", required(identifier("name")));
            members.put("metricSelector", identifier("selector"));
            let value = amount("value");
            members.put(&side.name("Value"), if is_status { zero(value) } else { value });
            members.put(&side.name("AverageValue"), amount("averageValue"));
        }
        _ => {
            members.put("name", required(given.get("name").cloned()));
            members.put(&side.name("AverageUtilization"), amount("averageUtilization"));
            let value = amount("averageValue");
            members.put(&side.name("AverageValue"), if is_status { zero(value) } else { value });
            if source == "containerResource" {
                members.put("container", required(given.get("container").cloned()));
            }
        }
    }
    members.finish()
}

fn reference(object: &Value) -> String {
    let mut members = Members::default();
    for name in ["kind", "name"] {
        members.put(name, Some(object.get(name).cloned().unwrap_or_else(|| "".into())));
    }
    members.put("apiVersion", object.get("apiVersion").cloned());
    members.finish()
}

/// A source of `v1` as `v2` has it.
fn nested(source: &str, given: Value, side: Side) -> Value {
    let Value::Object(mut given) = given else { return given };
    // What has its members in `v2` is of an annotation that was not written by upstream.
    if given.get(side.amounts()).is_some_and(|amounts| amounts.get("metricName").is_none() && is_amounts(amounts)) {
        return Value::Object(given);
    }
    let mut nested = Map::new();
    if source == "object"
        && let Some(object) = given.remove("target")
    {
        nested.insert("describedObject".into(), object);
    }
    let mut identifier = Map::new();
    for (old, new) in [("metricName", "name"), ("selector", "selector"), ("metricSelector", "selector")] {
        if let Some(value) = given.remove(old) {
            identifier.insert(new.into(), value);
        }
    }
    let mut amounts = Map::new();
    for (old, new) in [
        (side.name("Value"), "value"),
        (side.name("AverageValue"), "averageValue"),
        ("averageValue".to_owned(), "averageValue"),
        (side.name("AverageUtilization"), "averageUtilization"),
    ] {
        if let Some(value) = given.remove(&old) {
            amounts.insert(new.into(), value);
        }
    }
    // What an average is wanted of has no value of its own: `v1` cannot leave it out.
    if source == "object" && amounts.contains_key("averageValue") && amounts.get("value") == Some(&json!("0")) {
        amounts.remove("value");
    }
    if side == Side::Target {
        let of_resource = matches!(source, "resource" | "containerResource");
        let kind = match (of_resource, amounts.contains_key("averageUtilization"), amounts.contains_key("value")) {
            (true, true, _) => "Utilization",
            (false, _, true) if !(source == "object" && amounts.contains_key("averageValue")) => "Value",
            _ => "AverageValue",
        };
        amounts.insert("type".into(), kind.into());
    }
    if !identifier.is_empty() {
        nested.insert("metric".into(), Value::Object(identifier));
    }
    nested.insert(side.amounts().into(), Value::Object(amounts));
    nested.extend(given);
    Value::Object(nested)
}

/// Whether these are amounts of `v2`, and not the object that a metric of `v1` is of.
fn is_amounts(value: &Value) -> bool {
    ["type", "value", "averageValue", "averageUtilization"].iter().any(|name| value.get(*name).is_some())
        && value.get("kind").is_none()
}

/// An object in the making, whose members have Go's order.
#[derive(Default)]
struct Members(Vec<String>);

impl Members {
    fn put(&mut self, name: &str, value: Option<Value>) {
        if let Some(value) = value.filter(|value| !value.is_null()) {
            self.put_text(name, value.to_string());
        }
    }

    fn put_text(&mut self, name: &str, text: String) {
        self.0.push(format!("{}:{text}", Value::from(name)));
    }

    fn finish(self) -> String {
        format!("{{{}}}", self.0.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_have_upstreams_members() {
        for (side, v2, v1) in [
            (
                Side::Target,
                json!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 7}}}),
                r#"{"type":"Resource","resource":{"name":"memory","targetAverageUtilization":7}}"#,
            ),
            (
                Side::Target,
                json!({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c", "target": {"type": "AverageValue", "averageValue": "1"}}}),
                r#"{"type":"ContainerResource","containerResource":{"name":"cpu","targetAverageValue":"1","container":"c"}}"#,
            ),
            (
                Side::Target,
                json!({"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "2"}}}),
                r#"{"type":"Pods","pods":{"metricName":"m","targetAverageValue":"2"}}"#,
            ),
            (
                Side::Target,
                json!({"type": "Object", "object": {"describedObject": {"kind": "K", "name": "n"}, "metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "2"}}}),
                r#"{"type":"Object","object":{"target":{"kind":"K","name":"n"},"metricName":"m","targetValue":"0","averageValue":"2"}}"#,
            ),
            (
                Side::Target,
                json!({"type": "External", "external": {"metric": {"name": "m"}, "target": {"type": "Value", "value": "2"}}}),
                r#"{"type":"External","external":{"metricName":"m","targetValue":"2"}}"#,
            ),
            (
                Side::Current,
                json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 7, "averageValue": "3"}}}),
                r#"{"type":"Resource","resource":{"name":"cpu","currentAverageUtilization":7,"currentAverageValue":"3"}}"#,
            ),
        ] {
            let metrics = [v2];
            let written = text(&metrics, side);
            assert_eq!(written, format!("[{v1}]"));
            let read = read(serde_json::from_str(&written).expect("JSON"), side);
            assert_eq!(read, json!(metrics));
        }
    }
}
