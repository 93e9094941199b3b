//! How pods spread over zones and hosts.

use super::super::check::{At, Report};
use super::super::names::label_key_errors;
use super::super::values::selector;
use super::affinity::label_keys;
use super::kept::{Kept, Rule};
use crate::tree::Tree;
use apimachinery::Value;

const WHEN: [&str; 2] = ["DoNotSchedule", "ScheduleAnyway"];

pub(super) fn all(at: &At<'_>, spec: &Value, kept: Kept, out: &mut Report) {
    let constraints = spec.items("topologySpreadConstraints");
    for (index, constraint) in constraints.iter().enumerate() {
        self::constraint(&at.index(index), constraint, &constraints[index + 1..], kept, out);
    }
}

/// The selectors of all constraints.
pub(super) fn selectors(spec: &Value, out: &mut Report) {
    for constraint in spec.items("topologySpreadConstraints") {
        selector(&At::root(""), constraint.at("labelSelector"), out);
    }
}

/// The label keys of all constraints.
pub(super) fn keys(spec: &Value, out: &mut Report) {
    for constraint in spec.items("topologySpreadConstraints") {
        label_keys(&At::root(""), constraint, out);
    }
}

fn constraint(at: &At<'_>, constraint: &Value, others: &[Value], kept: Kept, out: &mut Report) {
    let skew = constraint.int("maxSkew");
    if skew <= 0 {
        out.invalid(&at.child("maxSkew"), skew, "must be greater than zero");
    }
    let key = constraint.text("topologyKey");
    if key.is_empty() {
        out.required(&at.child("topologyKey"), "can not be empty");
    }
    let when = constraint.text("whenUnsatisfiable");
    if !WHEN.contains(&when) {
        out.not_supported(&at.child("whenUnsatisfiable"), when, &WHEN);
    }
    if others.iter().any(|o| o.text("topologyKey") == key && o.text("whenUnsatisfiable") == when) {
        out.duplicate(&at.child("{topologyKey, whenUnsatisfiable}"), format!("{{{key}, {when}}}").as_str());
    }
    min_domains(&at.child("minDomains"), constraint, out);
    for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
        if let Some(value) = constraint.at(policy).and_then(Value::as_str)
            && !["Honor", "Ignore"].contains(&value)
        {
            out.not_supported(&at.child(policy), value, &["Honor", "Ignore"]);
        }
    }
    match kept.has(Rule::SpreadKeys) {
        true => own_keys(&at.child("matchLabelKeys"), constraint, out),
        false => label_keys(at, constraint, out),
    }
    if !kept.has(Rule::SpreadSelectors) {
        selector(&at.child("labelSelector"), constraint.at("labelSelector"), out);
    }
}

/// Label keys as they were before they became part of the selector.
fn own_keys(at: &At<'_>, constraint: &Value, out: &mut Report) {
    if constraint.items("matchLabelKeys").is_empty() {
        return;
    }
    let selector = constraint.at("labelSelector");
    if selector.is_none() {
        out.forbidden(at, "must not be specified when labelSelector is not set");
    }
    let is_selected = |key: &str| {
        selector.is_some_and(|s| {
            let labels = s.object("matchLabels").is_some_and(|l| l.contains_key(key));
            labels || s.items("matchExpressions").iter().any(|e| e.text("key") == key)
        })
    };
    for (index, key) in constraint.texts("matchLabelKeys").enumerate() {
        out.invalid_each(&at.index(index), key, label_key_errors(key));
        if is_selected(key) {
            out.invalid(&at.index(index), key, "exists in both matchLabelKeys and labelSelector");
        }
    }
}

fn min_domains(at: &At<'_>, constraint: &Value, out: &mut Report) {
    let Some(domains) = constraint.at("minDomains").and_then(Value::as_i64) else { return };
    if domains <= 0 {
        out.invalid(at, domains, "must be greater than zero");
    }
    let when = constraint.text("whenUnsatisfiable");
    if when != "DoNotSchedule" {
        let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}");
        out.invalid(at, domains, detail);
    }
}
