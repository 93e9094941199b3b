//! What only a service of a load balancer has, and the addresses that it says it has got; an
//! ingress says its own the same way.

use super::super::addresses::{legacy, legacy_range, parse};
use super::super::check::{At, Report};
use super::super::names::{label_key_errors, subdomain};
use super::super::workloads::spec_of;
use super::SPEC;
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

const ONLY: &str = "may only be used when `type` is 'LoadBalancer'";
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

fn is_balanced(spec: &Value) -> bool {
    spec.text("type") == "LoadBalancer"
}

/// Where traffic may come from: a member, or an annotation of old. Spaces around ranges are part
/// of the API.
pub(super) fn sources(service: &Value, old: Option<&Value>, out: &mut Report) {
    let spec = spec_of(service);
    if !spec.items("loadBalancerSourceRanges").is_empty() {
        // This is how upstream spells it.
        let at = SPEC.child("LoadBalancerSourceRanges");
        if !is_balanced(spec) {
            out.forbidden(&at, ONLY);
        }
        let before = old.map_or(&Value::Null, spec_of);
        for (index, range) in spec.texts("loadBalancerSourceRanges").enumerate() {
            let before = before.texts("loadBalancerSourceRanges").map(str::trim);
            legacy_range(&at.index(index), range.trim(), before, out);
        }
        return;
    }
    let annotation = |service: &Value| {
        service.annotations().and_then(|all| all.get(SOURCE_RANGES)).and_then(Value::as_str).map(str::to_owned)
    };
    let Some(value) = annotation(service) else { return };
    let metadata = At::root("metadata");
    let annotations = metadata.child("annotations");
    let at = annotations.key(SOURCE_RANGES);
    if !is_balanced(spec) {
        out.forbidden(&at, ONLY);
    }
    if old.and_then(annotation).as_ref() != Some(&value) && !value.trim().is_empty() {
        for range in value.split(',') {
            legacy_range(&at, range.trim(), [], out);
        }
    }
}

pub(super) fn allocation(spec: &Value, out: &mut Report) {
    match (is_balanced(spec), spec.has("allocateLoadBalancerNodePorts")) {
        (false, true) => out.forbidden(&SPEC.child("allocateLoadBalancerNodePorts"), ONLY),
        (true, false) => out.required(&At::root("allocateLoadBalancerNodePorts"), ""),
        _ => {}
    }
}

/// The class of the load balancer; it stays as long as there is one.
pub(super) fn class(spec: &Value, before: Option<&Value>, out: &mut Report) {
    let at = SPEC.child("loadBalancerClass");
    let class = spec.at("loadBalancerClass");
    if let Some(before) = before.filter(|before| is_balanced(before) && is_balanced(spec))
        && before.at("loadBalancerClass") != class
    {
        out.invalid(&at, class.unwrap_or(&Value::Null), "may not change once set");
    }
    match class.and_then(Value::as_str) {
        Some(name) if is_balanced(spec) => out.invalid_each(&at, name, label_key_errors(name)),
        Some(_) => out.forbidden(&at, ONLY),
        None => {}
    }
}

/// The status of a service.
pub(crate) fn status(new: &Value, old: &Value, out: &mut Report) {
    let root = At::root("status");
    let balancer = root.child("loadBalancer");
    let at = balancer.child("ingress");
    let given = ingress(new);
    if !given.is_empty() && !is_balanced(spec_of(new)) {
        return out.forbidden(&at, "may only be used when `spec.type` is 'LoadBalancer'");
    }
    for (index, point) in given.iter().enumerate() {
        let at = at.index(index);
        address(&at, point, old, out);
        ip_mode(&at, point, out);
        host(&at, point, out);
    }
}

/// The status of an ingress.
pub(crate) fn ingress_status(new: &Value, old: &Value, out: &mut Report) {
    let root = At::root("status");
    let balancer = root.child("loadBalancer");
    let at = balancer.child("ingress");
    for (index, point) in ingress(new).iter().enumerate() {
        address(&at.index(index), point, old, out);
        host(&at.index(index), point, out);
    }
}

fn ingress(object: &Value) -> &[Value] {
    object.at("status").and_then(|status| status.at("loadBalancer")).map(|b| b.items("ingress")).unwrap_or_default()
}

fn address(at: &At<'_>, point: &Value, old: &Value, out: &mut Report) {
    let address = point.text("ip");
    if !address.is_empty() {
        legacy(&at.child("ip"), address, ingress(old).iter().map(|before| before.text("ip")), out);
    }
}

fn ip_mode(at: &At<'_>, point: &Value, out: &mut Report) {
    let at = at.child("ipMode");
    match (point.at("ipMode").and_then(Value::as_str), point.text("ip")) {
        (None, "") => {}
        (None, _) => out.required(&at, "must be specified when `ip` is set"),
        (Some(_), "") => out.forbidden(&at, "may not be specified when `ip` is not set"),
        (Some("VIP" | "Proxy"), _) => {}
        (Some(mode), _) => out.not_supported(&at, mode, &["Proxy", "VIP"]),
    }
}

fn host(at: &At<'_>, point: &Value, out: &mut Report) {
    let name = point.text("hostname");
    if name.is_empty() {
        return;
    }
    out.invalid_each(&at.child("hostname"), name, subdomain(name));
    if parse(name).is_some() {
        out.invalid(&at.child("hostname"), name, "must be a DNS name, not an IP address");
    }
}
