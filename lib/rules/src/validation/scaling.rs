//! Autoscalers and disruption budgets.
//!
//! Upstream: `pkg/apis/{autoscaling,policy}/validation/validation.go`.

use super::check::{At, Report};
use super::names::path_segment;
use super::values::{count_or_percent, selector};
use super::workloads::spec_of;
use crate::tree::Tree;
use apimachinery::Value;

const SPEC: At<'static> = At::root("spec");

pub(super) fn autoscaler(object: &Value, out: &mut Report) {
    let spec = spec_of(object);
    let min = spec.at("minReplicas").and_then(Value::as_i64);
    let max = spec.int("maxReplicas");
    if let Some(min) = min.filter(|min| *min < 1) {
        out.invalid(&SPEC.child("minReplicas"), min, "must be greater than or equal to 1");
    }
    if max < 1 {
        out.invalid(&SPEC.child("maxReplicas"), max, "must be greater than 0");
    }
    if min.is_some_and(|min| max < min) {
        out.invalid(&SPEC.child("maxReplicas"), max, "must be greater than or equal to `minReplicas`");
    }
    let at = SPEC.child("scaleTargetRef");
    let target = spec.at("scaleTargetRef").unwrap_or(&Value::Null);
    for key in ["kind", "name"] {
        match target.text(key) {
            "" => out.required(&at.child(key), ""),
            text => out.invalid_each(&at.child(key), text, path_segment(text)),
        }
    }
}

pub(super) fn disruption_budget(budget: &Value, out: &mut Report) {
    let spec = spec_of(budget);
    if spec.has("minAvailable") && spec.has("maxUnavailable") {
        out.invalid(&SPEC, spec, "minAvailable and maxUnavailable cannot be both set");
    }
    for key in ["minAvailable", "maxUnavailable"] {
        if let Some(value) = spec.at(key) {
            count_or_percent(&SPEC.child(key), value, out);
        }
    }
    const POLICIES: [&str; 2] = ["AlwaysAllow", "IfHealthyBudget"];
    let policy = spec.text("unhealthyPodEvictionPolicy");
    out.one_of_or_empty(&SPEC.child("unhealthyPodEvictionPolicy"), policy, &POLICIES);
    selector(&SPEC.child("selector"), spec.at("selector"), out);
}
