//! Which of the objects of a namespace a quota counts.

use super::super::check::{At, Report};
use super::super::printed::Internal;
use super::is_quota_resource;
use crate::tree::Tree;
use apimachinery::Value;

const PODS: [&str; 7] = ["pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];

/// Scopes that exclude each other.
const CONFLICTS: [[&str; 2]; 2] = [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]];

/// Scopes that an object has or has not, without values.
const PLAIN: [&str; 5] = ["BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity"];

fn is_scope(scope: &str) -> bool {
    PLAIN.contains(&scope) || matches!(scope, "PriorityClass" | "VolumeAttributesClass")
}

/// Whether there are objects in this scope that take up this resource.
fn fits(scope: &str, resource: &str) -> bool {
    match scope {
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        scope if is_scope(scope) => PODS.contains(&resource),
        _ => true,
    }
}

/// One error for each limit that the scope has nothing to do with.
fn unfit(at: &At<'_>, spec: &Value, scope: &str, shown: Internal<'_>, out: &mut Report) {
    for _ in spec.entries("hard").filter(|(name, _)| is_quota_resource(name) && !fits(scope, name)) {
        out.invalid(at, shown, "unsupported scope applied to resource");
    }
}

fn conflicts(at: &At<'_>, spec: &Value, has: impl Fn(&str) -> bool, out: &mut Report) {
    for [one, other] in CONFLICTS {
        if has(one) && has(other) {
            out.invalid(at, spec.at("scopes").unwrap_or(&Value::Null), "conflicting scopes");
        }
    }
}

pub(super) fn scopes(at: &At<'_>, spec: &Value, out: &mut Report) {
    let at = at.child("scopes");
    for scope in spec.texts("scopes") {
        if !is_scope(scope) {
            out.invalid(&at, spec.at("scopes").unwrap_or(&Value::Null), "unsupported scope");
        }
        unfit(&at, spec, scope, Internal(spec.at("scopes"), "p"), out);
    }
    conflicts(&at, spec, |name| spec.texts("scopes").any(|scope| scope == name), out);
}

pub(super) fn selector(at: &At<'_>, spec: &Value, out: &mut Report) {
    let Some(selector) = spec.at("scopeSelector") else { return };
    let at = at.child("scopeSelector");
    // Upstream does not say which of the expressions it is.
    let at = at.child("matchExpressions");
    let expressions = selector.items("matchExpressions");
    for expression in expressions {
        let scope = expression.text("scopeName");
        if !is_scope(scope) {
            out.invalid(&at.child("scopeName"), scope, "unsupported scope");
        }
        unfit(&at, spec, scope, Internal(Some(selector), "*@core.ScopeSelector"), out);
        requirement(&at, scope, expression, out);
    }
    conflicts(&at, spec, |name| expressions.iter().any(|e| e.text("scopeName") == name), out);
}

fn requirement(at: &At<'_>, scope: &str, expression: &Value, out: &mut Report) {
    let operator = expression.text("operator");
    if PLAIN.contains(&scope) && operator != "Exists" {
        let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, \
                      ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort \
                      or ResourceQuotaScopeCrossNamespacePodAffinity";
        out.invalid(&at.child("operator"), operator, detail);
    }
    let values = at.child("values");
    match (operator, expression.items("values").is_empty()) {
        ("In" | "NotIn", true) => {
            out.required(&values, "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector");
        }
        ("Exists" | "DoesNotExist", false) => {
            let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
            out.invalid(&values, expression.at("values").unwrap_or(&Value::Null), detail);
        }
        ("In" | "NotIn" | "Exists" | "DoesNotExist", _) => {}
        _ => out.invalid(&at.child("operator"), operator, "not a valid selector operator"),
    }
}
