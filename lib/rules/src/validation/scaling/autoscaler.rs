//! Autoscalers: what they scale, how far and how fast.

use super::super::check::{At, Report};
use super::super::names::path_segment;
use super::super::values::{NEGATIVE, NOT_POSITIVE, not_negative, quantity};
use super::super::workloads::spec_of;
use super::{SPEC, metrics};
use crate::tree::Tree;
use apimachinery::Value;

const MAX_PERIOD: i64 = 1800;
const MAX_WINDOW: i64 = 3600;

/// What the `apiVersion` of a reference to another object may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ApiVersion {
    /// Anything: it was wrong before, or has not changed.
    Unchecked,
    /// Any group, the core's included.
    AnyGroup,
    /// A group other than the core's.
    Grouped,
}

pub(in super::super) fn autoscaler(object: &Value, out: &mut Report) {
    let spec = spec_of(object);
    check(spec, 1, target_version(spec), ApiVersion::AnyGroup, out);
}

pub(in super::super) fn autoscaler_update(new: &Value, old: &Value, out: &mut Report) {
    let (spec, before) = (spec_of(new), spec_of(old));
    // Scaling to zero is for those that do already.
    let lowest = if before.at("minReplicas").and_then(Value::as_i64) == Some(0) { 0 } else { 1 };
    let named = |spec: &Value, key: &str| spec.at("scaleTargetRef").map_or("", |t| t.text(key)).to_owned();
    let target = match ["apiVersion", "kind"].iter().all(|key| named(spec, key) == named(before, key)) {
        true => ApiVersion::Unchecked,
        false => target_version(spec),
    };
    let objects = before.items("metrics").iter().filter(|m| m.text("type") == "Object");
    let mut described = objects.filter_map(|m| m.at("object")).map(|o| o.at("describedObject"));
    let metrics = match described.any(|object| parse(object.map_or("", |o| o.text("apiVersion"))).is_err()) {
        true => ApiVersion::Unchecked,
        false => ApiVersion::AnyGroup,
    };
    check(spec, lowest, target, metrics, out);
}

/// Replication controllers are all that scales in the core group.
fn target_version(spec: &Value) -> ApiVersion {
    match spec.at("scaleTargetRef").map_or("", |target| target.text("kind")) {
        "ReplicationController" => ApiVersion::AnyGroup,
        _ => ApiVersion::Grouped,
    }
}

fn check(spec: &Value, lowest: i64, target: ApiVersion, objects: ApiVersion, out: &mut Report) {
    let min = spec.at("minReplicas").and_then(Value::as_i64);
    let (max, max_at) = (spec.int("maxReplicas"), SPEC.child("maxReplicas"));
    if let Some(min) = min.filter(|min| *min < lowest) {
        out.invalid(&SPEC.child("minReplicas"), min, format!("must be greater than or equal to {lowest}"));
    }
    match max {
        0 => out.required(&max_at, "must be set and greater than 0"),
        max if max < 0 => out.invalid(&max_at, max, "must be greater than or equal to 1"),
        _ => {}
    }
    if min.is_some_and(|min| max < min) {
        out.invalid(&max_at, max, "must be greater than or equal to `minReplicas`");
    }
    reference(&SPEC.child("scaleTargetRef"), spec.at("scaleTargetRef").unwrap_or(&Value::Null), target, out);
    let at = SPEC.child("metrics");
    let metrics = spec.items("metrics");
    for (index, metric) in metrics.iter().enumerate() {
        metrics::metric(&at.index(index), metric, objects, out);
    }
    if min == Some(0) && !metrics.iter().any(|m| matches!(m.text("type"), "Object" | "External")) {
        out.forbidden(&at, "must specify at least one Object or External metric to support scaling to zero replicas");
    }
    let Some(behavior) = spec.at("behavior") else { return };
    let at = SPEC.child("behavior");
    for key in ["scaleUp", "scaleDown"] {
        if let Some(rules) = behavior.at(key) {
            scaling_rules(&at.child(key), rules, out);
        }
    }
}

/// A reference to an object of any kind.
pub(super) fn reference(at: &At<'_>, reference: &Value, version: ApiVersion, out: &mut Report) {
    for key in ["kind", "name"] {
        match reference.text(key) {
            "" => out.required(&at.child(key), ""),
            text => out.invalid_each(&at.child(key), text, path_segment(text)),
        }
    }
    let text = reference.text("apiVersion");
    let finding = match parse(text) {
        _ if version == ApiVersion::Unchecked => return,
        Err(finding) => finding,
        Ok("") if version == ApiVersion::Grouped => "apiVersion must specify API group".to_owned(),
        Ok(_) => return,
    };
    out.invalid(&at.child("apiVersion"), text, finding);
}

/// The group of an `apiVersion`, or what is wrong with it.
fn parse(text: &str) -> Result<&str, String> {
    match text.matches('/').count() {
        0 => Ok(""),
        1 => Ok(text.split('/').next().unwrap_or_default()),
        _ => Err(format!("unexpected GroupVersion string: {text}")),
    }
}

fn scaling_rules(at: &At<'_>, rules: &Value, out: &mut Report) {
    let window = rules.int("stabilizationWindowSeconds");
    let window_at = at.child("stabilizationWindowSeconds");
    if window < 0 {
        out.invalid(&window_at, window, "must be greater than or equal to zero");
    }
    if window > MAX_WINDOW {
        out.invalid(&window_at, window, format!("must be less than or equal to {MAX_WINDOW}"));
    }
    const CHOICES: [&str; 3] = ["Disabled", "Max", "Min"];
    if let Some(choice) = rules.at("selectPolicy").and_then(Value::as_str)
        && !CHOICES.contains(&choice)
    {
        out.not_supported(&at.child("selectPolicy"), choice, &CHOICES);
    }
    let policies = at.child("policies");
    if rules.items("policies").is_empty() {
        out.required(&policies, "must specify at least one Policy");
    }
    for (index, policy) in rules.items("policies").iter().enumerate() {
        scaling_policy(&policies.index(index), policy, out);
    }
    if let Some(tolerance) = rules.at("tolerance").and_then(quantity).filter(|t| t.is_negative()) {
        out.invalid(&at.child("tolerance"), tolerance.to_string().as_str(), NEGATIVE);
    }
}

fn scaling_policy(at: &At<'_>, policy: &Value, out: &mut Report) {
    const KINDS: [&str; 2] = ["Percent", "Pods"];
    if !KINDS.contains(&policy.text("type")) {
        out.not_supported(&at.child("type"), policy.text("type"), &KINDS);
    }
    for key in ["value", "periodSeconds"].into_iter().filter(|key| policy.int(key) <= 0) {
        out.invalid(&at.child(key), policy.int(key), NOT_POSITIVE);
    }
    let period = policy.int("periodSeconds");
    if period > MAX_PERIOD {
        out.invalid(&at.child("periodSeconds"), period, format!("must be less than or equal to {MAX_PERIOD}"));
    }
}

pub(in super::super) fn autoscaler_status(new: &Value, _: &Value, out: &mut Report) {
    let status = new.at("status").unwrap_or(&Value::Null);
    for key in ["currentReplicas", "desiredReplicas"] {
        not_negative(&At::root("status"), status, key, out);
    }
}
