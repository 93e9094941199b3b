//! Tolerations of pods and taints of nodes.

use super::super::check::{At, Report};
use super::super::names::{label_key_errors, label_value_errors};
use super::kept::{Kept, Rule};
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::go::quoted;

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// The tolerations that a runtime class gives to its pods.
pub(in super::super) fn of_class(at: &At<'_>, tolerations: &[Value], out: &mut Report) {
    all(at, tolerations, Kept::NOTHING, out);
}

pub(super) fn all(at: &At<'_>, tolerations: &[Value], kept: Kept, out: &mut Report) {
    for (index, toleration) in tolerations.iter().enumerate() {
        self::toleration(&at.index(index), toleration, kept, out);
    }
}

fn toleration(at: &At<'_>, toleration: &Value, kept: Kept, out: &mut Report) {
    let (key, operator) = (toleration.text("key"), toleration.text("operator"));
    if !key.is_empty() {
        out.invalid_each(&at.child("key"), key, label_key_errors(key));
    } else if operator != "Exists" {
        out.invalid(
            &at.child("operator"),
            operator,
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
        );
    }
    let effect = toleration.text("effect");
    if toleration.has("tolerationSeconds") && effect != "NoExecute" {
        out.invalid(&at.child("effect"), effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
    }
    self::operator(at, operator, toleration.text("value"), kept, out);
    out.one_of_or_empty(&at.child("effect"), effect, &EFFECTS);
}

fn operator(at: &At<'_>, operator: &str, value: &str, kept: Kept, out: &mut Report) {
    let operator_at = at.child("operator");
    match operator {
        "" | "Equal" => {
            let findings = label_value_errors(value);
            if !findings.is_empty() {
                out.invalid(&operator_at, value, findings.join(";"));
            }
        }
        "Exists" if value.is_empty() => {}
        "Exists" => out.invalid(&operator_at, value, "value must be empty when `operator` is 'Exists'"),
        "Lt" | "Gt" if kept.has(Rule::TolerationOperators) => number(&at.child("value"), value, out),
        "Lt" | "Gt" => out.not_supported(&operator_at, operator, &["Equal", "Exists", "Lt", "Gt"]),
        other => out.not_supported(&operator_at, other, &["Equal", "Exists"]),
    }
}

/// The value of a toleration that compares numbers.
fn number(at: &At<'_>, value: &str, out: &mut Report) {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let is_plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let is_shortest = is_plain && (!digits.starts_with('0') || value == "0");
    if !is_shortest {
        out.invalid(at, value, "must be a valid decimal integer in canonical form");
    }
    if value.parse::<i64>().is_err() {
        let why = if is_plain { "value out of range" } else { "invalid syntax" };
        out.invalid(at, value, format!("strconv.ParseInt: parsing {}: {why}", quoted(value)));
    }
}

/// A taint of a node.
pub(in super::super) fn taint(at: &At<'_>, taint: &Value, out: &mut Report) {
    let (key, value) = (taint.text("key"), taint.text("value"));
    out.invalid_each(&at.child("key"), key, label_key_errors(key));
    let findings = label_value_errors(value);
    if !findings.is_empty() {
        out.invalid(&at.child("value"), value, findings.join(";"));
    }
    out.one_of(&at.child("effect"), taint.text("effect"), &EFFECTS);
}
