//! How pods spread over zones and hosts.

use super::super::check::{At, Report};
use super::super::names::label_key_errors;
use super::super::values::selector;
use crate::tree::Tree;
use apimachinery::Value;

const WHEN: [&str; 2] = ["DoNotSchedule", "ScheduleAnyway"];

pub(super) fn all(at: &At<'_>, spec: &Value, out: &mut Report) {
    let constraints = spec.items("topologySpreadConstraints");
    for (index, constraint) in constraints.iter().enumerate() {
        let at = at.index(index);
        self::constraint(&at, constraint, out);
        let pair = |c: &Value| (c.text("topologyKey").to_owned(), c.text("whenUnsatisfiable").to_owned());
        let (key, when) = pair(constraint);
        if constraints[..index].iter().any(|other| pair(other) == (key.clone(), when.clone())) {
            out.duplicate(&at.child("{topologyKey, whenUnsatisfiable}"), format!("{{{key}, {when}}}").as_str());
        }
    }
}

fn constraint(at: &At<'_>, constraint: &Value, out: &mut Report) {
    let skew = constraint.int("maxSkew");
    if skew <= 0 {
        out.invalid(&at.child("maxSkew"), skew, "must be greater than zero");
    }
    let key = constraint.text("topologyKey");
    match key {
        "" => out.required(&at.child("topologyKey"), "can not be empty"),
        key => out.invalid_each(&at.child("topologyKey"), key, label_key_errors(key)),
    }
    let when = constraint.text("whenUnsatisfiable");
    if !WHEN.contains(&when) {
        out.not_supported(&at.child("whenUnsatisfiable"), when, &WHEN);
    }
    min_domains(&at.child("minDomains"), constraint, out);
    for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
        if let Some(value) = constraint.at(policy).and_then(Value::as_str)
            && !["Honor", "Ignore"].contains(&value)
        {
            out.not_supported(&at.child(policy), value, &["Honor", "Ignore"]);
        }
    }
    selector(&at.child("labelSelector"), constraint.at("labelSelector"), out);
    let keys = at.child("matchLabelKeys");
    for (index, key) in constraint.texts("matchLabelKeys").enumerate() {
        out.invalid_each(&keys.index(index), key, label_key_errors(key));
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
