//! What an autoscaler measures.

use super::super::check::{At, Report};
use super::super::names::{label, label_key_errors, path_segment};
use super::super::pod::resources::{OF_CONTAINERS, STANDARD, is_extended};
use super::super::values::quantity;
use super::autoscaler::{ApiVersion, reference};
use crate::tree::Tree;
use apimachinery::Value;

/// Kinds of metrics and the members that describe them, in upstream's order.
const SOURCES: [(&str, &str); 5] = [
    ("Object", "object"),
    ("External", "external"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
];
const KINDS: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];

pub(super) fn metric(at: &At<'_>, metric: &Value, objects: ApiVersion, out: &mut Report) {
    let (kind, kind_at) = (metric.text("type"), at.child("type"));
    if kind.is_empty() {
        out.required(&kind_at, "must specify a metric source type");
    }
    if !KINDS.contains(&kind) {
        out.not_supported(&kind_at, kind, &KINDS);
    }
    let given = || SOURCES.iter().filter_map(|(_, member)| Some((*member, metric.at(member)?)));
    if let Some((member, source)) = given().next() {
        self::source(&at.child(member), member, source, objects, out);
    }
    let expected = SOURCES.iter().find(|(name, _)| *name == kind).map(|(_, member)| *member);
    match expected {
        Some(member) if !metric.has(member) => {
            out.required(&at.child(member), "must populate information for the given metric source");
        }
        Some(_) => {}
        // Upstream says this at both ends of the check.
        None => out.not_supported(&kind_at, kind, &KINDS),
    }
    if given().count() > 1 {
        for (member, _) in given().filter(|(member, _)| Some(*member) != expected) {
            out.forbidden(&at.child(member), "must populate the given metric source only");
        }
    }
}

fn source(at: &At<'_>, member: &str, source: &Value, objects: ApiVersion, out: &mut Report) {
    let null = &Value::Null;
    match member {
        "object" => {
            reference(&at.child("describedObject"), source.at("describedObject").unwrap_or(null), objects, out);
            identifier(&at.child("metric"), source.at("metric").unwrap_or(null), out);
        }
        "external" | "pods" => identifier(&at.child("metric"), source.at("metric").unwrap_or(null), out),
        "containerResource" => container_resource(at, source, out),
        _ if source.text("name").is_empty() => out.required(&at.child("name"), "must specify a resource name"),
        _ => {}
    }
    let target_at = at.child("target");
    let target = source.at("target").unwrap_or(null);
    self::target(&target_at, target, out);
    let has = |key: &str| target.has(key);
    let both = |one: &str, other: &str| has(one) && has(other);
    match member {
        "object" if !has("value") && !has("averageValue") => {
            out.required(&target_at.child("averageValue"), "must set either a target value or averageValue");
        }
        "external" if !has("value") && !has("averageValue") => {
            let detail = "must set either a target value for metric or a per-pod target";
            out.required(&target_at.child("averageValue"), detail);
        }
        "external" if both("value", "averageValue") => {
            let detail = "may not set both a target value for metric and a per-pod target";
            out.forbidden(&target_at.child("value"), detail);
        }
        "pods" if !has("averageValue") => {
            out.required(&target_at.child("averageValue"), "must specify a positive target averageValue");
        }
        "resource" | "containerResource" if !has("averageUtilization") && !has("averageValue") => {
            let detail = "must set either a target raw value or a target utilization";
            out.required(&target_at.child("averageUtilization"), detail);
        }
        "resource" | "containerResource" if both("averageUtilization", "averageValue") => {
            let detail = "may not set both a target raw value and a target utilization";
            out.forbidden(&target_at.child("averageValue"), detail);
        }
        _ => {}
    }
}

fn container_resource(at: &At<'_>, source: &Value, out: &mut Report) {
    match source.text("name") {
        "" => out.required(&at.child("name"), "must specify a resource name"),
        name => resource_name(&at.child("name"), name, out),
    }
    match source.text("container") {
        "" => out.required(&at.child("container"), "must specify a container"),
        name => out.invalid_each(&at.child("container"), name, label(name)),
    }
}

/// A resource that containers can have.
fn resource_name(at: &At<'_>, name: &str, out: &mut Report) {
    let findings = label_key_errors(name);
    let is_qualified = findings.is_empty();
    out.invalid_each(at, name, findings);
    let of_containers = OF_CONTAINERS.contains(&name) || name.starts_with("hugepages-");
    let standard = of_containers || STANDARD.contains(&name) || name.starts_with("requests.hugepages-");
    if name.contains('/') {
        if !name.contains("kubernetes.io/") && !is_extended(name) {
            out.invalid(at, name, "doesn't follow extended resource name standard");
        }
        return;
    }
    if is_qualified && !standard {
        out.invalid(at, name, "must be a standard resource type or fully qualified");
    }
    if !of_containers {
        out.invalid(at, name, "must be a standard resource for containers");
    }
}

fn identifier(at: &At<'_>, metric: &Value, out: &mut Report) {
    match metric.text("name") {
        "" => out.required(&at.child("name"), "must specify a metric name"),
        name => out.invalid_each(&at.child("name"), name, path_segment(name)),
    }
}

fn target(at: &At<'_>, target: &Value, out: &mut Report) {
    let (kind, kind_at) = (target.text("type"), at.child("type"));
    if kind.is_empty() {
        out.required(&kind_at, "must specify a metric target type");
    }
    if !["Utilization", "Value", "AverageValue"].contains(&kind) {
        out.invalid(&kind_at, kind, "must be either Utilization, Value, or AverageValue");
    }
    for key in ["value", "averageValue"] {
        let amount = target.at(key).and_then(quantity).filter(|amount| amount.is_zero() || amount.is_negative());
        if let Some(amount) = amount {
            out.invalid(&at.child(key), amount.to_string().as_str(), "must be positive");
        }
    }
    if let Some(percent) = target.at("averageUtilization").and_then(Value::as_i64)
        && percent < 1
    {
        out.invalid(&at.child("averageUtilization"), percent, "must be greater than 0");
    }
}
