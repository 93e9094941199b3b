//! Services: their types, ports, affinity and traffic policies.
//!
//! Upstream: `ValidateServiceCreate` and `ValidateServiceUpdate` in
//! `pkg/apis/core/validation/validation.go`.

mod addresses;
mod balancer;
mod ports;

pub use addresses::related as related_addresses;

use super::addresses::{endpoint, legacy};
use super::check::{At, Report};
use super::names::{port_number, subdomain};
use super::values::labels;
use super::workloads::spec_of;
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

pub(super) use balancer::{ingress_status, status};
pub(super) use ports::{PROTOCOLS, app_protocol};

const SPEC: At<'static> = At::root("spec");
const DAY: i64 = 86_400;
const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const TOPOLOGY_MODE: &str = "service.kubernetes.io/topology-mode";
const TOPOLOGY_HINTS: &str = "service.kubernetes.io/topology-aware-hints";

pub(super) fn create(service: &Value, out: &mut Report) {
    check(service, None, out);
}

pub(super) fn update(new: &Value, old: &Value, out: &mut Report) {
    let (spec, before) = (spec_of(new), spec_of(old));
    addresses::change(spec, before, out);
    balancer::class(spec, Some(before), out);
    if needs_health_check(spec)
        && needs_health_check(before)
        && spec.int("healthCheckNodePort") != before.int("healthCheckNodePort")
    {
        out.forbidden(&SPEC.child("healthCheckNodePort"), "field is immutable");
    }
    check(new, Some(old), out);
}

fn check(service: &Value, old: Option<&Value>, out: &mut Report) {
    let spec = spec_of(service);
    let before = old.map_or(&Value::Null, spec_of);
    topology(service, out);
    kind(spec, out);
    ports::each(spec, out);
    labels(&SPEC.child("selector"), spec.object("selector"), out);
    affinity(spec, out);
    addresses::related_in(spec, before, out);
    external(spec, before, out);
    out.one_of(&SPEC.child("type"), spec.text("type"), &TYPES);
    ports::together(spec, out);
    balancer::sources(service, old, out);
    balancer::allocation(spec, out);
    balancer::class(spec, None, out);
    external_traffic(spec, out);
    internal_traffic(spec, out);
    distribution(spec, out);
}

/// Both annotations say the same.
fn topology(service: &Value, out: &mut Report) {
    let annotation = |key| service.annotations().and_then(|all| all.get(key)).and_then(Value::as_str);
    let Some(mode) = annotation(TOPOLOGY_MODE) else { return };
    if annotation(TOPOLOGY_HINTS).is_some_and(|hints| hints != mode) {
        let metadata = At::root("metadata");
        let at = metadata.child("annotations");
        let why = format!("must match annotations[{TOPOLOGY_HINTS}] when both are specified");
        out.invalid(&at.key(TOPOLOGY_MODE), mode, why);
    }
}

fn is_headless(spec: &Value) -> bool {
    matches!(spec.items("clusterIPs"), [only] if only == "None")
}

/// What each type needs and forbids.
fn kind(spec: &Value, out: &mut Report) {
    let kind = spec.text("type");
    if spec.items("ports").is_empty() && !is_headless(spec) && kind != "ExternalName" {
        out.required(&SPEC.child("ports"), "");
    }
    match kind {
        "LoadBalancer" | "NodePort" if is_headless(spec) => {
            let why = format!("may not be set to 'None' for {kind} services");
            out.invalid(&SPEC.child("clusterIPs").index(0), "None", why);
        }
        "ExternalName" => external_name(spec, out),
        _ => {}
    }
}

fn external_name(spec: &Value, out: &mut Report) {
    const WHY: &str = "may not be set for ExternalName services";
    for key in ["clusterIPs", "ipFamilies"] {
        if !spec.items(key).is_empty() {
            out.forbidden(&SPEC.child(key), WHY);
        }
    }
    if spec.has("ipFamilyPolicy") {
        out.forbidden(&SPEC.child("ipFamilyPolicy"), WHY);
    }
    let name = spec.text("externalName");
    match name.strip_suffix('.').unwrap_or(name) {
        "" => out.required(&SPEC.child("externalName"), ""),
        name => out.invalid_each(&SPEC.child("externalName"), name, subdomain(name)),
    }
}

fn affinity(spec: &Value, out: &mut Report) {
    const WHY: &str = "when session affinity type is ClientIP";
    out.one_of(&SPEC.child("sessionAffinity"), spec.text("sessionAffinity"), &["ClientIP", "None"]);
    let at = SPEC.child("sessionAffinityConfig");
    match (spec.text("sessionAffinity"), spec.at("sessionAffinityConfig")) {
        ("ClientIP", None) => out.required(&at, WHY),
        ("ClientIP", Some(config)) => {
            let client_at = at.child("clientIP");
            let timeout_at = client_at.child("timeoutSeconds");
            let timeout = |client: &Value| client.at("timeoutSeconds").and_then(Value::as_i64);
            match config.at("clientIP").map(timeout) {
                None => out.required(&client_at, WHY),
                Some(None) => out.required(&timeout_at, WHY),
                Some(Some(seconds)) if !(1..=DAY).contains(&seconds) => {
                    out.invalid(&timeout_at, seconds, format!("must be greater than 0 and less than {DAY}"));
                }
                Some(Some(_)) => {}
            }
        }
        ("None", Some(_)) => out.forbidden(&at, "must not be set when session affinity is None"),
        _ => {}
    }
}

/// Addresses that others route to the nodes.
fn external(spec: &Value, before: &Value, out: &mut Report) {
    let at = SPEC.child("externalIPs");
    for (index, address) in spec.texts("externalIPs").enumerate() {
        let at = at.index(index);
        if legacy(&at, address, before.texts("externalIPs"), out) {
            endpoint(&at, address, out);
        }
    }
}

fn is_reachable(spec: &Value) -> bool {
    match spec.text("type") {
        "LoadBalancer" | "NodePort" => true,
        "ClusterIP" => !spec.items("externalIPs").is_empty(),
        _ => false,
    }
}

fn needs_health_check(spec: &Value) -> bool {
    spec.text("type") == "LoadBalancer" && spec.text("externalTrafficPolicy") == "Local"
}

fn external_traffic(spec: &Value, out: &mut Report) {
    let policy = spec.text("externalTrafficPolicy");
    let at = SPEC.child("externalTrafficPolicy");
    match is_reachable(spec) {
        true => out.one_of(&at, policy, &["Cluster", "Local"]),
        false if policy.is_empty() => {}
        false => out.invalid(&at, policy, "may only be set for externally-accessible services"),
    }
    let (at, port) = (SPEC.child("healthCheckNodePort"), spec.int("healthCheckNodePort"));
    match (needs_health_check(spec), port) {
        (true, 0) => out.required(&at, ""),
        (true, port) => {
            if let Some(finding) = port_number(port) {
                out.invalid(&at, port, finding);
            }
        }
        (false, 0) => {}
        (false, port) => {
            let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            out.invalid(&at, port, why);
        }
    }
}

fn internal_traffic(spec: &Value, out: &mut Report) {
    let at = SPEC.child("internalTrafficPolicy");
    match spec.at("internalTrafficPolicy").and_then(Value::as_str) {
        Some("Cluster" | "Local") => {}
        Some(other) => out.not_supported(&at, other, &["Cluster", "Local"]),
        None if matches!(spec.text("type"), "NodePort" | "LoadBalancer" | "ClusterIP") => out.required(&at, ""),
        None => {}
    }
}

fn distribution(spec: &Value, out: &mut Report) {
    const KNOWN: &[&str] = &["PreferClose", "PreferSameZone", "PreferSameNode"];
    if let Some(policy) = spec.at("trafficDistribution").and_then(Value::as_str)
        && !KNOWN.contains(&policy)
    {
        out.not_supported(&SPEC.child("trafficDistribution"), policy, KNOWN);
    }
}

#[cfg(test)]
mod tests;
