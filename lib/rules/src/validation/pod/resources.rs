//! Requests and limits.

use super::super::check::{At, Report};
use super::super::names::label_key_errors;
use super::super::values::{NEGATIVE, quantity};
use crate::placement::requests::{PodAmounts, is_hugepages, is_pod_level};
use crate::tree::Tree;
use apimachinery::Value;

const STANDARD: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// The resources of a container.
pub(super) fn of_container(at: &At<'_>, container: &Value, spec: &Value, out: &mut Report) {
    let Some(resources) = container.at("resources") else { return };
    requirements(at, resources, out);
    claims(&at.child("claims"), resources, spec, out);
}

/// The resources of the pod as a whole.
pub(super) fn of_pod(at: &At<'_>, spec: &Value, out: &mut Report) {
    let Some(resources) = spec.at("resources") else { return };
    let at = at.child("resources");
    if resources.has("claims") {
        out.forbidden(&at.child("claims"), "claims cannot be set for Resources at pod-level");
    }
    for list in ["limits", "requests"] {
        let list_at = at.child(list);
        for (name, _) in resources.entries(list).filter(|(name, _)| !is_pod_level(name)) {
            out.not_supported(&list_at.key(name), name, &["cpu", "hugepages-", "memory"]);
        }
    }
    requirements(&at, resources, out);
    let requests = PodAmounts::of(spec);
    let at = at.child("requests");
    for (name, needed) in requests.containers_total().iter().filter(|(name, _)| is_pod_level(name)) {
        let whole = requests.pod.get(name).copied().unwrap_or(apimachinery::quantity::Quantity::ZERO);
        if *needed > whole {
            let detail = format!("must be greater than or equal to aggregate container requests of {needed}");
            out.invalid(&at.key(name), whole.to_string().as_str(), detail);
        }
    }
}

/// Limits, requests, and that no request is above its limit.
pub(in super::super) fn requirements(at: &At<'_>, resources: &Value, out: &mut Report) {
    list(&at.child("limits"), resources, "limits", out);
    list(&at.child("requests"), resources, "requests", out);
    let requests = at.child("requests");
    for (name, request) in resources.entries("requests") {
        let limit = resources.at("limits").and_then(|l| l.at(name));
        match (quantity(request), limit.and_then(quantity)) {
            (Some(request), Some(limit)) if is_exact(name) && request != limit => {
                let detail = format!("must be equal to {name} limit of {limit}");
                out.invalid(&requests, request.to_string().as_str(), detail);
            }
            (Some(request), Some(limit)) if request > limit => {
                let detail = format!("must be less than or equal to {name} limit of {limit}");
                out.invalid(&requests, request.to_string().as_str(), detail);
            }
            (Some(_), None) if is_exact(name) => {
                out.required(&at.child("limits"), "Limit must be set for non overcommitable resources")
            }
            _ => {}
        }
    }
    let has = |list: &str, name: &dyn Fn(&str) -> bool| resources.entries(list).any(|(key, _)| name(key));
    let any = |name: &dyn Fn(&str) -> bool| has("limits", name) || has("requests", name);
    if any(&is_hugepages) && !any(&|name| name == "cpu" || name == "memory") {
        out.forbidden(at, "HugePages require cpu or memory");
    }
}

/// Whether there can be no more limits than there is of the resource.
fn is_exact(name: &str) -> bool {
    is_hugepages(name) || is_extended(name)
}

/// Resources that are not Kubernetes' own, such as a vendor's devices.
pub(in super::super) fn is_extended(name: &str) -> bool {
    let native = !name.contains('/') || name.contains("kubernetes.io/");
    !native && !name.starts_with("requests.")
}

/// A resource list of a container.
pub(super) fn list(at: &At<'_>, object: &Value, key: &str, out: &mut Report) {
    for (name, amount) in object.entries(key) {
        let at = at.key(name);
        resource_name(&at, name, out);
        amount_of(&at, name, amount, out);
    }
}

fn resource_name(at: &At<'_>, name: &str, out: &mut Report) {
    let findings = label_key_errors(name);
    let qualified = findings.is_empty();
    out.invalid_each(at, name, findings);
    let known = STANDARD.contains(&name) || is_hugepages(name);
    if qualified && !name.contains('/') && !known {
        out.invalid(at, name, "must be a standard resource type or fully qualified");
        out.invalid(at, name, "must be a standard resource for containers");
    }
}

/// An amount: not negative, and whole where there are no parts.
pub(in super::super) fn amount_of(at: &At<'_>, name: &str, value: &Value, out: &mut Report) {
    let Some(amount) = quantity(value) else { return };
    let text = amount.to_string();
    if amount.is_negative() {
        out.invalid(at, text.as_str(), NEGATIVE);
    }
    let whole = is_extended(name) || matches!(name, "pods" | "services" | "secrets" | "configmaps");
    if whole && amount.milli_value() % 1000 != 0 {
        out.invalid(at, text.as_str(), "must be an integer");
    }
}

fn claims(at: &At<'_>, resources: &Value, spec: &Value, out: &mut Report) {
    let claims = resources.items("claims");
    for (index, claim) in claims.iter().enumerate() {
        let at = at.index(index);
        let name = claim.text("name");
        let same = |c: &Value| c.text("name") == name && c.text("request") == claim.text("request");
        if name.is_empty() {
            out.required(&at.child("name"), "");
        } else if claims[..index].iter().any(same) {
            out.duplicate(&at, name);
        } else if !spec.items("resourceClaims").iter().any(|c| c.text("name") == name) {
            out.not_found(&at.child("name"), name);
        }
    }
}
