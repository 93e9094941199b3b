//! Which requests webhooks and admission policies mean.
//!
//! Upstream: `pkg/apis/admissionregistration/validation/validation.go`.

use super::check::{At, Report};
use super::names::{label_key_errors, path_segment};
use super::values::selector;
use crate::expressions::Compiler;
use crate::tree::Tree;
use apimachinery::Value;

/// Most match conditions of one webhook or policy.
const MAX_CONDITIONS: usize = 64;

/// Operations that a rule may name, as upstream lists them.
const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];

/// Operations that a mutating policy may name: there is nothing to mutate in what is deleted.
const MUTATING_OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "UPDATE"];

/// Operations on resources.
pub(super) fn rule(at: &At<'_>, rule: &Value, out: &mut Report) {
    not_empty(at, rule, "operations", out);
    alone(at, rule, "operations", "operations", out);
    let operations = at.child("operations");
    for (index, operation) in rule.texts("operations").enumerate() {
        if !OPERATIONS.contains(&operation) {
            out.not_supported(&operations.index(index), operation, OPERATIONS);
        }
    }
    not_empty(at, rule, "apiGroups", out);
    alone(at, rule, "apiGroups", "API groups", out);
    not_empty(at, rule, "apiVersions", out);
    alone(at, rule, "apiVersions", "API versions", out);
    let versions = at.child("apiVersions");
    for (index, _) in rule.texts("apiVersions").enumerate().filter(|(_, version)| version.is_empty()) {
        out.required(&versions.index(index), "");
    }
    resources(at, rule, out);
    if let Some(scope) = rule.at("scope").and_then(Value::as_str)
        && !["*", "Cluster", "Namespaced"].contains(&scope)
    {
        out.not_supported(&at.child("scope"), scope, &["*", "Cluster", "Namespaced"]);
    }
}

fn not_empty(at: &At<'_>, rule: &Value, key: &str, out: &mut Report) {
    if rule.items(key).is_empty() {
        out.required(&at.child(key), "");
    }
}

/// A star says it all.
fn alone(at: &At<'_>, rule: &Value, key: &str, what: &str, out: &mut Report) {
    if let Some(list) = rule.at(key)
        && rule.items(key).len() > 1
        && rule.texts(key).any(|item| item == "*")
    {
        out.invalid(&at.child(key), list, format!("if '*' is present, must not specify other {what}"));
    }
}

/// Stars that make other names of a list pointless.
fn resources(at: &At<'_>, rule: &Value, out: &mut Report) {
    not_empty(at, rule, "resources", out);
    let at = at.child("resources");
    let all: Vec<&str> = rule.texts("resources").collect();
    let (mut any_sub, mut any_resource) = (Vec::new(), Vec::new());
    for (index, name) in all.iter().enumerate() {
        if name.is_empty() {
            out.required(&at.index(index), "");
        }
        let Some((resource, sub)) = name.split_once('/') else { continue };
        for (covered, star) in
            [(any_sub.contains(&resource), format!("{resource}/*")), (any_resource.contains(&sub), format!("*/{sub}"))]
        {
            if covered {
                out.invalid(&at.index(index), *name, format!("if '{star}' is present, must not specify {name}"));
            }
        }
        any_sub.extend((sub == "*").then_some(resource));
        any_resource.extend((resource == "*").then_some(sub));
    }
    let Some(list) = rule.at("resources") else { return };
    if all.len() > 1 && all.contains(&"*/*") {
        out.invalid(&at, list, "if '*/*' is present, must not specify other resources");
    }
    let last_plain = all.iter().rev().find(|name| !name.contains('/'));
    if all.contains(&"*") && last_plain.is_some_and(|name| *name != "*") {
        out.invalid(&at, list, "if '*' is present, must not specify other resources without subresources");
    }
}

/// `matchConstraints` of a policy, `matchResources` of a binding.
pub(super) fn match_resources(at: &At<'_>, resources: &Value, out: &mut Report) {
    out.one_of(&at.child("matchPolicy"), resources.text("matchPolicy"), &["Equivalent", "Exact"]);
    for key in ["namespaceSelector", "objectSelector"] {
        match resources.at(key) {
            None => out.required(&at.child(key), ""),
            present => selector(&at.child(key), present, out),
        }
    }
    for key in ["resourceRules", "excludeResourceRules"] {
        let at = at.child(key);
        for (index, rule) in resources.items(key).iter().enumerate() {
            named_rule(&at.index(index), rule, out);
        }
    }
}

fn named_rule(at: &At<'_>, named: &Value, out: &mut Report) {
    let names = at.child("resourceNames");
    let all: Vec<&str> = named.texts("resourceNames").collect();
    for (index, name) in all.iter().enumerate() {
        out.invalid_each(&names.index(index), name, path_segment(name));
        if all[..index].contains(name) {
            out.duplicate(&names.index(index), *name);
        }
    }
    rule(at, named, out);
}

/// Rules of a mutating policy or its binding do not name what is deleted.
pub(super) fn no_delete(at: &At<'_>, resources: &Value, out: &mut Report) {
    let (rules, mut found) = (at.child("resourceRules"), Vec::new());
    resources.items("resourceRules").iter().for_each(|rule| found.extend(rule.texts("operations")));
    for operation in found.into_iter().filter(|operation| !MUTATING_OPERATIONS.contains(operation)) {
        out.not_supported(&rules.child("operations"), operation, MUTATING_OPERATIONS);
    }
}

/// `matchConditions`; with `params`, expressions may name those.
pub(super) fn conditions(at: &At<'_>, owner: &Value, params: bool, out: &mut Report) {
    let at = at.child("matchConditions");
    let all = owner.items("matchConditions");
    if all.len() > MAX_CONDITIONS {
        out.too_many(&at, all.len(), MAX_CONDITIONS);
    }
    let compiler = Compiler::plain(params);
    for (index, condition) in all.iter().enumerate() {
        let at = at.index(index);
        match condition.text("expression").trim() {
            "" => out.required(&at.child("expression"), ""),
            source => {
                if let Err(why) = compiler.condition(source) {
                    out.invalid(&at.child("expression"), source, why);
                }
            }
        }
        let name = condition.text("name");
        match name {
            "" => out.required(&at.child("name"), ""),
            name => out.invalid_each(&at.child("name"), name, label_key_errors(name)),
        }
        if !name.is_empty() && all[..index].iter().any(|other| other.text("name") == name) {
            out.duplicate(&at.child("name"), name);
        }
    }
}
