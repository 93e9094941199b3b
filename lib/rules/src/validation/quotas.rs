//! Resource quotas and limit ranges.
//!
//! Upstream: `pkg/apis/core/validation/validation.go` (`ValidateResourceQuota`, `ValidateLimitRange`).

mod limits;
mod scopes;

pub(super) use limits::limit_range;

use super::check::{At, IMMUTABLE, Report};
use super::names::label_key_errors;
use super::pod::resources::{COUNTED, is_extended};
use super::values::{NEGATIVE, quantity};
use super::workloads::spec_of;
use crate::placement::requests::is_hugepages;
use crate::tree::Tree;
use apimachinery::Value;

const SPEC: At<'static> = At::root("spec");

/// What is measured.
const MEASURED: [&str; 10] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];

/// What a quota without a domain may be of.
fn is_quota_resource(name: &str) -> bool {
    COUNTED.contains(&name) || MEASURED.contains(&name) || is_hugepages(name) || name.starts_with("requests.hugepages-")
}

/// The name of a resource, and whether it is one: qualified, or one that everybody knows.
fn resource_name(at: &At<'_>, name: &str, out: &mut Report) {
    let findings = label_key_errors(name);
    let is_name = findings.is_empty();
    out.invalid_each(at, name, findings);
    if is_name && !name.contains('/') && name != "storage" && !is_quota_resource(name) {
        out.invalid(at, name, "must be a standard resource type or fully qualified");
    }
}

/// A quota's spec.
pub(super) fn quota(quota: &Value, out: &mut Report) {
    let spec = spec_of(quota);
    amounts(&SPEC, spec, "hard", out);
    scopes::scopes(&SPEC, spec, out);
    scopes::selector(&SPEC, spec, out);
}

/// A change of a quota's spec.
pub(super) fn quota_update(new: &Value, old: &Value, out: &mut Report) {
    let (new, old) = (spec_of(new), spec_of(old));
    let is_part = |one: &Value, other: &Value| one.texts("scopes").all(|s| other.texts("scopes").any(|o| o == s));
    if !is_part(new, old) || !is_part(old, new) {
        out.invalid(&SPEC.child("scopes"), new.at("scopes").unwrap_or(&Value::Null), IMMUTABLE);
    }
}

/// A change of a quota's status.
pub(super) fn quota_status(new: &Value, _: &Value, out: &mut Report) {
    let at = At::root("status");
    let status = new.at("status").unwrap_or(&Value::Null);
    amounts(&at, status, "hard", out);
    amounts(&at, status, "used", out);
}

fn amounts(at: &At<'_>, object: &Value, key: &str, out: &mut Report) {
    let at = at.child(key);
    for (name, amount) in object.entries(key) {
        let at = at.key(name);
        resource_name(&at, name, out);
        if !name.contains('/') && !is_quota_resource(name) {
            out.invalid(&at, name, "must be a standard resource for quota");
        }
        quota_amount(&at, name, amount, out);
    }
}

fn quota_amount(at: &At<'_>, name: &str, amount: &Value, out: &mut Report) {
    let Some(amount) = quantity(amount) else { return };
    if amount.is_negative() {
        out.invalid(at, amount.to_string().as_str(), NEGATIVE);
    }
    if (COUNTED.contains(&name) || is_extended(name)) && amount.milli_value() % 1000 != 0 {
        out.invalid(at, amount.to_string().as_str(), "must be an integer");
    }
}

#[cfg(test)]
mod tests;
