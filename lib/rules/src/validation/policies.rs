//! Validating and mutating admission policies, and their bindings.
//!
//! Upstream: `pkg/apis/admissionregistration/validation/validation.go`.

use super::admission::{conditions, match_resources, no_delete};
use super::check::{At, Report};
use super::names::{label_1035, label_key_errors, path_segment, subdomain};
use super::values::selector;
use super::workloads::spec_of;
use crate::expressions::Compiler;
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

const SPEC: At<'static> = At::root("spec");

/// Most audit annotations of one policy.
const MAX_ANNOTATIONS: usize = 20;
/// Longest expression of an audit annotation, in bytes.
const MAX_ANNOTATION: usize = 5 * 1024;

pub(super) fn validating(policy: &Value, out: &mut Report) {
    let spec = spec_of(policy);
    let is_composed = !spec.items("variables").is_empty();
    let params = head(spec, out);
    let mut compiler = if is_composed { Compiler::composed(params) } else { Compiler::plain(params) };
    conditions(&SPEC, spec, params, out);
    variables(spec, &mut compiler, out);
    if spec.items("validations").is_empty() && spec.items("auditAnnotations").is_empty() {
        for key in ["validations", "auditAnnotations"] {
            out.required(&SPEC.child(key), "validations or auditAnnotations must contain at least one item");
        }
        return;
    }
    let at = SPEC.child("validations");
    for (index, validation) in spec.items("validations").iter().enumerate() {
        check(&at.index(index), validation, &compiler, out);
    }
    annotations(policy.name(), spec, &compiler, out);
}

pub(super) fn mutating(policy: &Value, out: &mut Report) {
    let spec = spec_of(policy);
    let params = head(spec, out);
    let mut compiler = Compiler::composed(params);
    if let Some(constraints) = spec.at("matchConstraints") {
        no_delete(&SPEC.child("matchConstraints"), constraints, out);
    }
    conditions(&SPEC, spec, params, out);
    variables(spec, &mut compiler, out);
    let at = SPEC.child("mutations");
    if spec.items("mutations").is_empty() {
        out.required(&at, "mutations must contain at least one item");
    }
    for (index, one) in spec.items("mutations").iter().enumerate() {
        mutation(&at.index(index), one, &compiler, out);
    }
    out.one_of(&SPEC.child("reinvocationPolicy"), spec.text("reinvocationPolicy"), &["IfNeeded", "Never"]);
}

/// What both kinds of policies begin with; whether there are parameters.
fn head(spec: &Value, out: &mut Report) -> bool {
    let at = SPEC.child("failurePolicy");
    match spec.at("failurePolicy").and_then(Value::as_str) {
        None => out.required(&at, ""),
        Some("Fail" | "Ignore") => {}
        Some(other) => out.not_supported(&at, other, &["Fail", "Ignore"]),
    }
    if let Some(kind) = spec.at("paramKind") {
        param_kind(&SPEC.child("paramKind"), kind, out);
    }
    let at = SPEC.child("matchConstraints");
    match spec.at("matchConstraints") {
        None => out.required(&at, ""),
        Some(constraints) => {
            match_resources(&at, constraints, out);
            if constraints.items("resourceRules").is_empty() {
                out.required(&at.child("resourceRules"), "");
            }
        }
    }
    spec.has("paramKind")
}

fn param_kind(at: &At<'_>, kind: &Value, out: &mut Report) {
    let version_at = at.child("apiVersion");
    match kind.text("apiVersion") {
        "" => out.required(&version_at, ""),
        text if text.matches('/').count() > 1 => {
            out.invalid(&version_at, text, format!("unexpected GroupVersion string: {text}"));
        }
        text => {
            let (group, version) = text.split_once('/').unwrap_or(("", text));
            if !group.is_empty() && !subdomain(group).is_empty() {
                out.invalid(&version_at, group, subdomain(group).join(","));
            }
            match label_1035(version) {
                _ if version.is_empty() => out.invalid(&version_at, text, "version must be specified"),
                errors if errors.is_empty() => {}
                errors => out.invalid(&version_at, version, errors.join(",")),
            }
        }
    }
    let name = kind.text("kind");
    match label_1035(&name.to_lowercase()) {
        _ if name.is_empty() => out.required(&at.child("kind"), ""),
        errors if errors.is_empty() => {}
        errors => {
            let why = format!("may have mixed case, but should otherwise match: {}", errors.join(","));
            out.invalid(&at.child("kind"), name, why);
        }
    }
}

fn variables(spec: &Value, compiler: &mut Compiler, out: &mut Report) {
    let at = SPEC.child("variables");
    for (index, variable) in spec.items("variables").iter().enumerate() {
        let at = at.index(index);
        let (name, source) = (variable.text("name"), variable.text("expression"));
        if name.trim().is_empty() {
            out.required(&at.child("name"), "name is not specified");
        } else if !cel::is_identifier(name) {
            out.invalid(&at.child("name"), name, "must be a valid CEL identifier");
        }
        if source.trim().is_empty() {
            out.required(&at.child("expression"), "expression is not specified");
        } else if let Err(why) = compiler.variable(name, source) {
            out.invalid(&at.child("expression"), source, why);
        }
    }
}

fn check(at: &At<'_>, validation: &Value, compiler: &Compiler, out: &mut Report) {
    let source = validation.text("expression");
    if source.trim().is_empty() {
        out.required(&at.child("expression"), "expression is not specified");
    } else if let Err(why) = compiler.condition(source) {
        out.invalid(&at.child("expression"), source, why);
    }
    let source = validation.text("messageExpression");
    if !source.is_empty() && source.trim().is_empty() {
        out.invalid(&at.child("messageExpression"), source, "must be non-empty if specified");
    } else if !source.is_empty()
        && let Err(why) = compiler.message(source)
    {
        out.invalid(&at.child("messageExpression"), source, why);
    }
    let message = validation.text("message");
    if !message.is_empty() && message.trim().is_empty() {
        out.invalid(&at.child("message"), message, "must be non-empty if specified");
    } else if message.trim().contains(['\n', '\r']) {
        out.invalid(&at.child("message"), message, "must not contain line breaks");
    }
    if let Some(reason) = validation.at("reason").and_then(Value::as_str)
        && !REASONS.contains(&reason)
    {
        out.not_supported(&at.child("reason"), reason, REASONS);
    }
}

const REASONS: &[&str] = &["Forbidden", "Invalid", "RequestEntityTooLarge"];

fn annotations(policy: &str, spec: &Value, compiler: &Compiler, out: &mut Report) {
    let at = SPEC.child("auditAnnotations");
    let all = spec.items("auditAnnotations");
    if let Some(list) = spec.at("auditAnnotations").filter(|_| all.len() > MAX_ANNOTATIONS) {
        out.invalid(&at, list, format!("must not have more than {MAX_ANNOTATIONS} auditAnnotations"));
    }
    for (index, annotation) in all.iter().enumerate() {
        let at = at.index(index);
        let key = annotation.text("key");
        match policy {
            "" => out.invalid(&at.child("key"), key, "requires metadata.name be non-empty"),
            policy => {
                let name = format!("{policy}/{key}");
                out.invalid_each(&at.child("key"), &name, label_key_errors(&name));
            }
        }
        let source = annotation.text("valueExpression");
        let source_at = at.child("valueExpression");
        match source.trim() {
            "" => out.required(&source_at, "valueExpression is not specified"),
            long if long.len() > MAX_ANNOTATION => {
                out.required(&source_at, &format!("must not exceed {MAX_ANNOTATION} bytes in length"));
            }
            trimmed => {
                if let Err(why) = compiler.annotation(trimmed) {
                    out.invalid(&source_at, source, why);
                }
            }
        }
        if all[..index].iter().any(|other| other.text("key") == key) {
            out.duplicate(&at.child("key"), key);
        }
    }
}

fn mutation(at: &At<'_>, mutation: &Value, compiler: &Compiler, out: &mut Report) {
    let (own, other) = match mutation.text("patchType") {
        "ApplyConfiguration" => ("applyConfiguration", "jsonPatch"),
        "JSONPatch" => ("jsonPatch", "applyConfiguration"),
        "" => return out.required(&at.child("patchType"), ""),
        kind => return out.not_supported(&at.child("patchType"), kind, &["ApplyConfiguration", "JSONPatch"]),
    };
    let kind = mutation.text("patchType");
    let own_at = at.child(own);
    match mutation.at(own) {
        None => out.required(&own_at, &format!("must be specified when patchType is {kind}")),
        Some(patch) => match patch.text("expression").trim() {
            "" => out.required(&own_at.child("expression"), ""),
            source => {
                let compiled = match own {
                    "jsonPatch" => compiler.json_patch(source),
                    _ => compiler.apply_configuration(source),
                };
                if let Err(why) = compiled {
                    out.invalid(&own_at.child("expression"), source, why);
                }
            }
        },
    }
    if mutation.has(other) {
        let value = format!("{{{other}}}");
        out.invalid(&at.child(other), value.as_str(), format!("must not be specified when patchType is {kind}"));
    }
}

pub(super) fn validating_binding(binding: &Value, out: &mut Report) {
    let spec = spec_of(binding);
    bound(spec, out);
    let at = SPEC.child("validationActions");
    let all: Vec<&str> = spec.texts("validationActions").collect();
    for (index, action) in all.iter().enumerate() {
        if !["Audit", "Deny", "Warn"].contains(action) {
            out.not_supported(&at.index(index), *action, &["Audit", "Deny", "Warn"]);
        }
        if all[..index].contains(action) {
            out.duplicate(&at.index(index), *action);
        }
    }
    if let Some(list) = spec.at("validationActions").filter(|_| all.contains(&"Deny") && all.contains(&"Warn")) {
        let why = "must not contain both Deny and Warn (repeating the same validation failure information in the API \
                   response and headers serves no purpose)";
        out.invalid(&at, list, why);
    }
    if all.is_empty() {
        out.required(&at, "at least one validation action is required");
    }
}

pub(super) fn mutating_binding(binding: &Value, out: &mut Report) {
    let spec = spec_of(binding);
    bound(spec, out);
    if let Some(resources) = spec.at("matchResources") {
        no_delete(&SPEC.child("matchResources"), resources, out);
    }
}

/// What both kinds of bindings begin with.
fn bound(spec: &Value, out: &mut Report) {
    super::config::named(&SPEC.child("policyName"), spec.text("policyName"), out);
    if let Some(reference) = spec.at("paramRef") {
        param_ref(&SPEC.child("paramRef"), reference, out);
    }
    if let Some(resources) = spec.at("matchResources") {
        match_resources(&SPEC.child("matchResources"), resources, out);
    }
}

fn param_ref(at: &At<'_>, reference: &Value, out: &mut Report) {
    const BOTH: &str = "name and selector are mutually exclusive";
    let (name, is_selected) = (reference.text("name"), reference.has("selector"));
    if !name.is_empty() {
        out.invalid_each(&at.child("name"), name, path_segment(name));
    }
    if !name.is_empty() && is_selected {
        out.forbidden(&at.child("name"), BOTH);
    }
    selector(&at.child("selector"), reference.at("selector"), out);
    if !name.is_empty() && is_selected {
        out.forbidden(&at.child("selector"), BOTH);
    }
    if name.is_empty() && !is_selected {
        out.required(at, "one of name or selector must be specified");
    }
    let missing = reference.text("parameterNotFoundAction");
    out.one_of(&at.child("parameterNotFoundAction"), missing, &["Deny", "Allow"]);
}

/// The status of a validating policy: what its controller has found.
pub(super) fn status(policy: &Value, _: &Value, out: &mut Report) {
    let status = At::root("status");
    let (checking, warnings) = (status.child("typeChecking"), "expressionWarnings");
    let at = checking.child(warnings);
    let found = policy.pointer("/status/typeChecking").map(|checking| checking.items(warnings)).unwrap_or_default();
    for (index, warning) in found.iter().enumerate() {
        let at = at.index(index);
        if warning.text("warning").is_empty() {
            out.required(&at.child("warning"), "");
        }
        if warning.text("fieldRef").trim().is_empty() {
            out.required(&at.child("fieldRef"), "");
        }
    }
}

#[cfg(test)]
mod tests;
