//! Restarts of single containers, and what becomes of containers whose resources change.

use super::super::check::{At, Report};
use super::Context;
use super::kept::Rule;
use crate::tree::Tree;
use apimachinery::Value;

const POLICIES: [&str; 3] = ["Always", "Never", "OnFailure"];
const ACTIONS: [&str; 2] = ["Restart", "RestartAllContainers"];
const OPERATORS: [&str; 2] = ["In", "NotIn"];
const MAX_RULES: usize = 20;
const MAX_CODES: usize = 255;

/// The restart policy of a regular container.
pub(super) fn policy(at: &At<'_>, container: &Value, out: &mut Report) {
    let rules = container.items("restartPolicyRules");
    let policy_at = at.child("restartPolicy");
    match container.at("restartPolicy").and_then(Value::as_str) {
        None if rules.is_empty() => return,
        None => out.required(&policy_at, NEEDS_POLICY),
        Some(policy) if !POLICIES.contains(&policy) => out.not_supported(&policy_at, policy, &POLICIES),
        Some(_) => {}
    }
    let rules_at = at.child("restartPolicyRules");
    if rules.len() > MAX_RULES {
        out.too_many(&rules_at, rules.len(), MAX_RULES);
    }
    for (index, rule) in rules.iter().enumerate() {
        self::rule(&rules_at.index(index), rule, out);
    }
}

const NEEDS_POLICY: &str = "must specify restartPolicy when restart rules are used";

/// The restart policy of an init container: without one, rules are not looked at.
pub(super) fn init_policy(at: &At<'_>, container: &Value, out: &mut Report) {
    if container.has("restartPolicy") {
        policy(at, container, out);
    } else if !container.items("restartPolicyRules").is_empty() {
        out.required(&at.child("restartPolicy"), NEEDS_POLICY);
    }
}

fn rule(at: &At<'_>, rule: &Value, out: &mut Report) {
    let action = rule.text("action");
    if !ACTIONS.contains(&action) {
        out.not_supported(&at.child("action"), action, &ACTIONS);
    }
    let codes_at = at.child("exitCodes");
    let Some(codes) = rule.at("exitCodes") else {
        return out.required(&codes_at, "must be specified");
    };
    let operator = codes.text("operator");
    if !OPERATORS.contains(&operator) {
        out.not_supported(&codes_at.child("operator"), operator, &OPERATORS);
    }
    let count = codes.items("values").len();
    if count > MAX_CODES {
        out.too_many(&codes_at.child("values"), count, MAX_CODES);
    }
}

/// What a change of resources does to a container.
pub(super) fn resize_policy(at: &At<'_>, container: &Value, context: &Context<'_>, out: &mut Report) {
    let policies = container.items("resizePolicy");
    for (index, policy) in policies.iter().enumerate() {
        let name = policy.text("resourceName");
        if policies[..index].iter().any(|p| p.text("resourceName") == name) {
            out.duplicate(&at.index(index), name);
        }
        out.one_of(at, name, &["cpu", "memory"]);
        let restart = policy.text("restartPolicy");
        out.one_of(at, restart, &["NotRequired", "RestartContainer"]);
        if context.restart_policy == "Never" && restart != "NotRequired" {
            out.invalid(at, restart, "must be 'NotRequired' when pod `restartPolicy` is 'Never'");
        }
    }
}

/// An init container that ends is not restarted for its resources.
pub(super) fn no_resize_restarts(at: &At<'_>, container: &Value, context: &Context<'_>, out: &mut Report) {
    if container.text("restartPolicy") == "Always" || context.kept.has(Rule::InitResizes) {
        return;
    }
    let at = at.child("resizePolicy");
    for (index, policy) in container.items("resizePolicy").iter().enumerate() {
        let restart = policy.text("restartPolicy");
        if restart == "RestartContainer" {
            out.invalid(
                &at.index(index).child("restartPolicy"),
                restart,
                "must not be set to 'RestartContainer' for non-sidecar initContainers",
            );
        }
    }
}
