//! Conditions of a status, in the form that all newer kinds share.
//!
//! Upstream: `apimachinery/pkg/apis/meta/v1/validation`, `ValidateConditions`.

use super::check::{At, Report};
use super::names::label_key_errors;
use crate::tree::Tree;
use apimachinery::Value;

const MAX_REASON: usize = 1024;
const MAX_MESSAGE: usize = 32 * 1024;
const REASON: &str = "a condition reason must start with alphabetic character, optionally followed by a string of \
                      alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. \
                      'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used \
                      for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')";

/// Conditions, one of each type.
pub(super) fn conditions(at: &At<'_>, conditions: &[Value], out: &mut Report) {
    for (index, condition) in conditions.iter().enumerate() {
        let at = at.index(index);
        let kind = condition.text("type");
        if conditions[..index].iter().any(|other| other.text("type") == kind) {
            out.duplicate(&at.child("type"), kind);
        }
        self::condition(&at, condition, out);
    }
}

fn condition(at: &At<'_>, condition: &Value, out: &mut Report) {
    let kind = condition.text("type");
    out.invalid_each(&at.child("type"), kind, label_key_errors(kind));
    const STATUSES: [&str; 3] = ["False", "True", "Unknown"];
    if !STATUSES.contains(&condition.text("status")) {
        out.not_supported(&at.child("status"), condition.text("status"), &STATUSES);
    }
    let generation = condition.int("observedGeneration");
    if generation < 0 {
        out.invalid(&at.child("observedGeneration"), generation, "must be greater than or equal to zero");
    }
    if condition.text("lastTransitionTime").is_empty() {
        out.required(&at.child("lastTransitionTime"), "");
    }
    let (reason, reason_at) = (condition.text("reason"), at.child("reason"));
    match reason {
        "" => out.required(&reason_at, ""),
        reason if !is_reason(reason) => out.invalid(&reason_at, reason, REASON),
        _ => {}
    }
    if reason.len() > MAX_REASON {
        out.too_long(&reason_at, MAX_REASON);
    }
    if condition.text("message").len() > MAX_MESSAGE {
        out.too_long(&at.child("message"), MAX_MESSAGE);
    }
}

fn is_reason(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_,:".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_are_whole() {
        let good =
            json!({"type": "A", "status": "True", "reason": "B_1", "lastTransitionTime": "2024-01-01T00:00:00Z"});
        let mut report = Report::default();
        conditions(&At::root("c"), &[good.clone(), good, json!({"type": "B", "status": "x"})], &mut report);
        let found: Vec<String> = report.finish().iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "c[1].type: Duplicate value: \"A\"",
                "c[2].status: Unsupported value: \"x\": supported values: \"False\", \"True\", \"Unknown\"",
                "c[2].lastTransitionTime: Required value",
                "c[2].reason: Required value",
            ]
        );
        assert!(is_reason("a") && is_reason("A,b:C_") && !is_reason("1a") && !is_reason("a,") && !is_reason("a b"));
    }
}
