//! Horizontal pod autoscalers.

use super::containers::quantity;
use super::sections::{Sections, or_unset, shown};
use super::times::stamp;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use rules::tree::Tree;

pub(super) fn write(out: &mut Sections, autoscaler: &Value) {
    let (spec, status) = (&autoscaler["spec"], &autoscaler["status"]);
    let target = &spec["scaleTargetRef"];
    out.field(0, "Name", autoscaler.name());
    out.field(0, "Namespace", autoscaler.namespace());
    out.labels("Labels", autoscaler.labels());
    out.annotations("Annotations", autoscaler.annotations());
    out.field(0, "CreationTimestamp", stamp(autoscaler.meta_str("creationTimestamp")));
    out.field(0, "Reference", format_args!("{}/{}", target.text("kind"), target.text("name")));
    match autoscaler.text("apiVersion") {
        "autoscaling/v1" => processor(out, spec, status),
        _ => metrics(out, spec, status),
    }
    out.field(0, "Min replicas", or_unset(spec.at("minReplicas")));
    out.field(0, "Max replicas", spec.int("maxReplicas"));
    if let Some(behavior) = spec.at("behavior") {
        out.line(0, "Behavior:");
        direction(out, "Scale Up", behavior.at("scaleUp"));
        direction(out, "Scale Down", behavior.at("scaleDown"));
    }
    let (current, desired) = (status.int("currentReplicas"), status.int("desiredReplicas"));
    out.field(0, &format!("{} pods", target.text("kind")), format_args!("{current} current / {desired} desired"));
    let conditions = status.items("conditions");
    if conditions.is_empty() {
        return;
    }
    out.line(0, "Conditions:");
    out.head(1, &["Type", "Status", "Reason", "Message"]);
    for c in conditions {
        let (kind, status) = (c.text("type"), c.text("status"));
        out.line(1, format_args!("{kind}\t{status}\t{}\t{}", c.text("reason"), c.text("message")));
    }
}

/// All that the first version knew to measure.
fn processor(out: &mut Sections, spec: &Value, status: &Value) {
    let Some(target) = spec.at("targetCPUUtilizationPercentage") else { return };
    out.field(0, "Target CPU utilization", format_args!("{target}%"));
    let current = status.at("currentCPUUtilizationPercentage").map_or_else(|| "<unknown>".into(), shown);
    out.field(0, "Current CPU utilization", format_args!("{current}%"));
}

fn metrics(out: &mut Sections, spec: &Value, status: &Value) {
    out.field(0, "Metrics", "( current / target )");
    for (i, metric) in spec.items("metrics").iter().enumerate() {
        write_metric(out, metric, status.items("currentMetrics").get(i).unwrap_or(&Value::Null));
    }
}

fn write_metric(out: &mut Sections, metric: &Value, current: &Value) {
    match metric.text("type") {
        "External" => external(out, &metric["external"], current.at("external")),
        "Pods" => {
            let pods = &metric["pods"];
            let (now, aim) = (value(current.at("pods"), "averageValue"), amount(pods["target"].at("averageValue")));
            out.line(1, format_args!("{:?} on pods:\t{now} / {aim}", pods["metric"].text("name")));
        }
        "Object" => object(out, &metric["object"], current.at("object")),
        "Resource" => {
            let resource = &metric["resource"];
            let what = format!("resource {} on pods", resource.text("name"));
            usage(out, &what, resource, current.at("resource"));
        }
        "ContainerResource" => {
            let resource = &metric["containerResource"];
            let (name, container) = (resource.text("name"), resource.text("container"));
            let what = format!("resource {name} of container \"{container}\" on pods");
            usage(out, &what, resource, current.at("containerResource"));
        }
        other => out.line(1, format_args!("<unknown metric type {other:?}>")),
    }
}

/// What is measured now, once it is.
fn value(current: Option<&Value>, key: &str) -> String {
    current.map_or_else(|| "<unknown>".into(), |c| amount(c["current"].at(key)))
}

fn amount(value: Option<&Value>) -> String {
    value.map_or_else(|| "<nil>".into(), |v| quantity(Some(v)).to_string())
}

fn external(out: &mut Sections, external: &Value, current: Option<&Value>) {
    let (name, target) = (external["metric"].text("name"), &external["target"]);
    let (kind, key) = match target.has("averageValue") {
        true => ("target average value", "averageValue"),
        false => ("target value", "value"),
    };
    let known = current.filter(|c| key == "value" || c["current"].has(key));
    out.line(1, format_args!("{name:?} ({kind}):\t{} / {}", value(known, key), amount(target.at(key))));
}

fn object(out: &mut Sections, object: &Value, current: Option<&Value>) {
    let (described, target) = (&object["describedObject"], &object["target"]);
    let (kind, key) = match target.text("type") {
        "AverageValue" => ("target average value", "averageValue"),
        _ => ("target value", "value"),
    };
    let place =
        format!("\"{}\" on {}/{}", object["metric"].text("name"), described.text("kind"), described.text("name"));
    out.line(1, format_args!("{place} ({kind}):\t{} / {}", value(current, key), amount(target.at(key))));
}

fn usage(out: &mut Sections, what: &str, resource: &Value, current: Option<&Value>) {
    let target = &resource["target"];
    if target.has("averageValue") {
        let now = value(current, "averageValue");
        out.line(1, format_args!("{what}:\t{now} / {}", amount(target.at("averageValue"))));
        return;
    }
    let now = current.and_then(|c| {
        let share = c["current"].at("averageUtilization")?;
        Some(format!("{share}% ({})", amount(c["current"].at("averageValue"))))
    });
    let aim = target.at("averageUtilization").map(|share| format!("{share}%"));
    let (now, aim) = (now.unwrap_or_else(|| "<unknown>".into()), aim.unwrap_or_else(|| "<auto>".into()));
    // Upstream's second write is indented like its first.
    out.line(1, format_args!("{what}  (as a percentage of request):\t{now} / {aim}"));
}

fn direction(out: &mut Sections, title: &str, rules: Option<&Value>) {
    let Some(rules) = rules else { return };
    out.line(1, format_args!("{title}:"));
    if let Some(seconds) = rules.at("stabilizationWindowSeconds") {
        out.line(2, format_args!("Stabilization Window: {seconds} seconds"));
    }
    let policies = rules.items("policies");
    if policies.is_empty() {
        return;
    }
    out.line(2, format_args!("Select Policy: {}", rules.at("selectPolicy").map_or_else(|| "Max".into(), shown)));
    out.line(2, "Policies:");
    for p in policies {
        let (kind, value, period) = (p.text("type"), p.int("value"), p.int("periodSeconds"));
        out.line(3, format_args!("- Type: {kind}\tValue: {value}\tPeriod: {period} seconds"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use serde_json::json;

    #[test]
    fn metrics_as_text() {
        for (metric, current, want) in [
            (
                json!({"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 50}}}),
                json!({"resource": {"current": {"averageUtilization": 10, "averageValue": "5m"}}}),
                "  resource cpu on pods  (as a percentage of request):  10% (5m) / 50%\n",
            ),
            (
                json!({"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"averageValue": "1k"}}}),
                json!({}),
                "  \"m\" on pods:  <unknown> / 1k\n",
            ),
            (
                json!({"type": "Object", "object": {"metric": {"name": "m"}, "describedObject": {"kind": "K", "name": "n"},
                    "target": {"type": "Value", "value": "2"}}}),
                json!({"object": {"current": {"value": "1"}}}),
                "  \"m\" on K/n (target value):  1 / 2\n",
            ),
            (
                json!({"type": "External", "external": {"metric": {"name": "m"}, "target": {"averageValue": "2"}}}),
                json!({"external": {"current": {"value": "1"}}}),
                "  \"m\" (target average value):  <unknown> / 2\n",
            ),
        ] {
            let mut out = Sections::new(Timestamp::UNIX_EPOCH);
            write_metric(&mut out, &metric, &current);
            assert_eq!(out.aligned(), want);
        }
    }
}
