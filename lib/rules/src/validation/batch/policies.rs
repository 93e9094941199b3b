//! A job's policies: which failures count, when it has succeeded, when pods are replaced.

use super::super::check::{At, Report};
use super::super::names::label_key_errors;
use super::super::printed::Internal;
use super::super::values::not_negative;
use super::indexes;
use crate::tree::Tree;
use apimachinery::Value;

const MAX_RULES: usize = 20;
const MAX_PATTERNS: usize = 20;
const MAX_EXIT_CODES: usize = 255;
const MAX_INDEXES: usize = 64 * 1024;
const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];

/// All policies of a specification.
pub(super) fn all(at: &At<'_>, spec: &Value, out: &mut Report) {
    if let Some(policy) = spec.at("podFailurePolicy") {
        let at = at.child("podFailurePolicy");
        let (at, rules) = (at.child("rules"), policy.items("rules"));
        if rules.len() > MAX_RULES {
            out.too_many(&at, rules.len(), MAX_RULES);
        }
        for (index, rule) in rules.iter().enumerate() {
            failure_rule(&at.index(index), rule, spec, out);
        }
    }
    if let Some(policy) = spec.at("successPolicy") {
        let at = at.child("successPolicy");
        match spec.text("completionMode") {
            "Indexed" => success(&at, policy, spec, out),
            _ => out.invalid(&at, Internal(Some(policy), "@batch.SuccessPolicy"), "requires indexed completion mode"),
        }
    }
    if let Some(policy) = spec.at("podReplacementPolicy").and_then(Value::as_str) {
        let known: &[&str] =
            if spec.has("podFailurePolicy") { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
        if !known.contains(&policy) {
            out.not_supported(&at.child("podReplacementPolicy"), policy, known);
        }
    }
}

/// A text that must be there and be one of these, which Go prints as a list.
fn one_of(at: &At<'_>, text: &str, known: &[&str], out: &mut Report) {
    match text {
        "" => {
            let list: Vec<String> = known.iter().map(|k| format!("{k:?}")).collect();
            out.required(at, &format!("valid values: [{}]", list.join(" ")));
        }
        text if !known.contains(&text) => out.not_supported(at, text, known),
        _ => {}
    }
}

fn failure_rule(at: &At<'_>, rule: &Value, spec: &Value, out: &mut Report) {
    let action = rule.text("action");
    one_of(&at.child("action"), action, &ACTIONS, out);
    if action == "FailIndex" && !spec.has("backoffLimitPerIndex") {
        out.invalid(&at.child("action"), action, "requires the backoffLimitPerIndex to be set");
    }
    let (codes, conditions) = (rule.at("onExitCodes"), rule.items("onPodConditions"));
    if let Some(codes) = codes {
        exit_codes(&at.child("onExitCodes"), codes, spec, out);
    }
    pod_conditions(&at.child("onPodConditions"), conditions, out);
    match (codes.is_some(), !conditions.is_empty()) {
        (true, true) => out.invalid_whole(at, "specifying both OnExitCodes and OnPodConditions is not supported"),
        (false, false) => out.invalid_whole(at, "specifying one of OnExitCodes and OnPodConditions is required"),
        _ => {}
    }
}

fn pod_conditions(at: &At<'_>, patterns: &[Value], out: &mut Report) {
    if patterns.len() > MAX_PATTERNS {
        out.too_many(at, patterns.len(), MAX_PATTERNS);
    }
    for (index, pattern) in patterns.iter().enumerate() {
        let at = at.index(index);
        let kind = pattern.text("type");
        out.invalid_each(&at.child("type"), kind, label_key_errors(kind));
        one_of(&at.child("status"), pattern.text("status"), &["False", "True", "Unknown"], out);
    }
}

fn exit_codes(at: &At<'_>, requirement: &Value, spec: &Value, out: &mut Report) {
    let operator = requirement.text("operator");
    one_of(&at.child("operator"), operator, &["In", "NotIn"], out);
    let pod = spec.at("template").and_then(|t| t.at("spec"));
    let has_container = |name: &str| {
        ["containers", "initContainers"]
            .iter()
            .any(|key| pod.is_some_and(|pod| pod.items(key).iter().any(|container| container.text("name") == name)))
    };
    if let Some(name) = requirement.at("containerName").and_then(Value::as_str)
        && !has_container(name)
    {
        let detail = "must be one of the container or initContainer names in the pod template";
        out.invalid(&at.child("containerName"), name, detail);
    }
    let (at, codes) = (at.child("values"), requirement.items("values"));
    let list = requirement.at("values").unwrap_or(&Value::Null);
    if codes.is_empty() {
        out.invalid(&at, list, "at least one value is required");
    } else if codes.len() > MAX_EXIT_CODES {
        out.too_many(&at, codes.len(), MAX_EXIT_CODES);
    }
    for (index, code) in codes.iter().enumerate() {
        let at = at.index(index);
        if operator == "In" && code.as_i64() == Some(0) {
            out.invalid(&at, code, "must not be 0 for the In operator");
        }
        if codes[..index].contains(code) {
            out.duplicate(&at, code);
        }
    }
    if !codes.is_sorted_by_key(Value::as_i64) {
        out.invalid(&at, list, "must be ordered");
    }
}

fn success(at: &At<'_>, policy: &Value, spec: &Value, out: &mut Report) {
    let (at, rules) = (at.child("rules"), policy.items("rules"));
    if rules.is_empty() {
        out.required(&at, "at least one rules must be specified when the successPolicy is specified");
    }
    if rules.len() > MAX_RULES {
        out.too_many(&at, rules.len(), MAX_RULES);
    }
    for (index, rule) in rules.iter().enumerate() {
        success_rule(&at.index(index), rule, spec.int("completions"), out);
    }
}

fn success_rule(at: &At<'_>, rule: &Value, completions: i64, out: &mut Report) {
    let list = rule.at("succeededIndexes").and_then(Value::as_str);
    let count = rule.at("succeededCount").and_then(Value::as_i64);
    if list.is_none() && count.is_none() {
        out.required(at, "at least one of succeededCount or succeededIndexes must be specified");
    }
    let mut total = None;
    if let Some(list) = list {
        let at = at.child("succeededIndexes");
        if list.len() > MAX_INDEXES {
            out.too_long(&at, MAX_INDEXES);
        }
        total = Some(indexes::count(list, completions).unwrap_or_else(|why| {
            out.invalid(&at, list, format!("error parsing succeededIndexes: {why}"));
            0
        }));
    }
    let Some(count) = count else { return };
    not_negative(at, rule, "succeededCount", out);
    let at = at.child("succeededCount");
    if count > completions {
        let detail = format!("must be less than or equal to {completions} (the number of specified completions)");
        out.invalid(&at, count, detail);
    }
    if let Some(total) = total.filter(|total| count > *total) {
        let detail = format!(
            "must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
        );
        out.invalid(&at, count, detail);
    }
}
