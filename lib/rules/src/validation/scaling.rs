//! Autoscalers and disruption budgets.
//!
//! Upstream: `pkg/apis/{autoscaling,policy}/validation/validation.go`.

mod autoscaler;
mod metrics;
#[cfg(test)]
mod tests;

pub(super) use autoscaler::{autoscaler, autoscaler_status, autoscaler_update};

use super::check::{At, Report, same};
use super::printed::Internal;
use super::values::{count_or_percent, has_wrong_value, not_above_all, not_negative, selector};
use super::workloads::spec_of;
use crate::tree::Tree;
use apimachinery::Value;

const SPEC: At<'static> = At::root("spec");

pub(super) fn disruption_budget(budget: &Value, out: &mut Report) {
    budget_spec(spec_of(budget), true, out);
}

pub(super) fn disruption_budget_update(new: &Value, old: &Value, out: &mut Report) {
    let (new, old) = (spec_of(new), spec_of(old));
    // A selector that was wrong already may stay.
    let (selected, before) = (new.at("selector"), old.at("selector"));
    budget_spec(new, !(has_wrong_value(before) && same(selected, before)), out);
}

fn budget_spec(spec: &Value, check_selector: bool, out: &mut Report) {
    if spec.has("minAvailable") && spec.has("maxUnavailable") {
        let shown = Internal(Some(spec), "@policy.PodDisruptionBudgetSpec");
        out.invalid(&SPEC, shown, "minAvailable and maxUnavailable cannot be both set");
    }
    for key in ["minAvailable", "maxUnavailable"] {
        if let Some(value) = spec.at(key) {
            count_or_percent(&SPEC.child(key), value, out);
            not_above_all(&SPEC.child(key), value, out);
        }
    }
    if check_selector {
        selector(&SPEC.child("selector"), spec.at("selector"), out);
    }
    const POLICIES: [&str; 2] = ["AlwaysAllow", "IfHealthyBudget"];
    if let Some(policy) = spec.at("unhealthyPodEvictionPolicy").and_then(Value::as_str)
        && !POLICIES.contains(&policy)
    {
        out.not_supported(&SPEC.child("unhealthyPodEvictionPolicy"), policy, &POLICIES);
    }
}

pub(super) fn disruption_budget_status(new: &Value, _: &Value, out: &mut Report) {
    let at = At::root("status");
    let Some(status) = new.at("status") else { return };
    super::conditions::conditions(&at.child("conditions"), status.items("conditions"), out);
    for key in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
        not_negative(&at, status, key, out);
    }
}
