//! Network policies, IP addresses and service ranges.
//!
//! Upstream: `pkg/apis/networking/validation/validation.go`.

use super::addresses::{Range, legacy_range, parse_range, strict_range};
use super::check::{At, IMMUTABLE, Report, Show};
use super::names::{path_segment, port_name, port_number, subdomain};
use super::printed::Internal;
use super::values::selector;
use super::workloads::spec_of;
use crate::tree::Tree;
use apimachinery::Value;

const SPEC: At<'static> = At::root("spec");

/// The rules of a policy by direction, and where they name peers.
const RULES: [(&str, &str); 2] = [("ingress", "from"), ("egress", "to")];

pub(super) fn policy(policy: &Value, out: &mut Report) {
    check_policy(policy, &Value::Null, out);
}

pub(super) fn policy_update(new: &Value, old: &Value, out: &mut Report) {
    check_policy(new, spec_of(old), out);
}

fn check_policy(policy: &Value, before: &Value, out: &mut Report) {
    let spec = spec_of(policy);
    selector(&SPEC.child("podSelector"), spec.at("podSelector"), out);
    for (list, peers) in RULES {
        let at = SPEC.child(list);
        for (index, rule) in spec.items(list).iter().enumerate() {
            let at = at.index(index);
            let ports = at.child("ports");
            for (index, port) in rule.items("ports").iter().enumerate() {
                policy_port(&ports.index(index), port, out);
            }
            let at = at.child(peers);
            for (index, peer) in rule.items(peers).iter().enumerate() {
                policy_peer(&at.index(index), peer, before, out);
            }
        }
    }
    let (at, types) = (SPEC.child("policyTypes"), spec.items("policyTypes"));
    if let Some(list) = spec.at("policyTypes").filter(|_| types.len() > 2) {
        return out.invalid(&at, list, "may not specify more than two policyTypes");
    }
    for (index, kind) in spec.texts("policyTypes").enumerate() {
        if !matches!(kind, "Ingress" | "Egress") {
            out.not_supported(&at.index(index), kind, &["Ingress", "Egress"]);
        }
    }
}

fn policy_port(at: &At<'_>, port: &Value, out: &mut Report) {
    if let Some(protocol) = port.at("protocol").and_then(Value::as_str)
        && !matches!(protocol, "TCP" | "UDP" | "SCTP")
    {
        out.not_supported(&at.child("protocol"), protocol, &["TCP", "UDP", "SCTP"]);
    }
    let end = port.at("endPort").and_then(Value::as_i64);
    let (start_at, end_at) = (at.child("port"), at.child("endPort"));
    match port.at("port") {
        None => {
            if let Some(end) = end {
                out.invalid(&end_at, end, "may not be specified when `port` is not specified");
            }
        }
        Some(Value::String(name)) => {
            if let Some(end) = end {
                out.invalid(&end_at, end, "may not be specified when `port` is non-numeric");
            }
            out.invalid_each(&start_at, name, port_name(name));
        }
        Some(number) => {
            let start = number.as_i64().unwrap_or_default();
            if let Some(finding) = port_number(start) {
                out.invalid(&start_at, start, finding);
            }
            let Some(end) = end else { return };
            if end < start {
                // Upstream shows the start here.
                out.invalid(&end_at, start, "must be greater than or equal to `port`");
            }
            if let Some(finding) = port_number(end) {
                out.invalid(&end_at, end, finding);
            }
        }
    }
}

fn policy_peer(at: &At<'_>, peer: &Value, before: &Value, out: &mut Report) {
    let selects = peer.has("podSelector") || peer.has("namespaceSelector");
    for key in ["podSelector", "namespaceSelector"] {
        selector(&at.child(key), peer.at(key), out);
    }
    let block = peer.at("ipBlock");
    if let Some(block) = block {
        ip_block(&at.child("ipBlock"), block, before, out);
    }
    match (selects, block) {
        (false, None) => out.required(at, "must specify a peer"),
        (true, Some(_)) => out.forbidden(at, "may not specify both ipBlock and another peer"),
        _ => {}
    }
}

fn ip_block(at: &At<'_>, block: &Value, before: &Value, out: &mut Report) {
    let text = block.text("cidr");
    if text.is_empty() {
        return out.required(&at.child("cidr"), "");
    }
    legacy_range(&at.child("cidr"), text, ranges_of(before), out);
    let Some(range) = parse_range(text) else { return };
    let at = at.child("except");
    for (index, text) in block.texts("except").enumerate() {
        let at = at.index(index);
        legacy_range(&at, text, ranges_of(before), out);
        if parse_range(text).is_some_and(|except| !is_part(range, except)) {
            out.invalid(&at, text, "must be a strict subset of `cidr`");
        }
    }
}

fn is_part(whole: Range, part: Range) -> bool {
    whole.contains(part.network()) && whole.prefix < part.prefix
}

/// All ranges that the spec of a policy names.
fn ranges_of(spec: &Value) -> impl Iterator<Item = &str> {
    let peers =
        RULES.into_iter().flat_map(|(list, peers)| spec.items(list).iter().flat_map(move |rule| rule.items(peers)));
    peers
        .filter_map(|peer| peer.at("ipBlock"))
        .flat_map(|block| std::iter::once(block.text("cidr")).chain(block.texts("except")))
}

/// An IP address names the object that has it.
pub(super) fn address(address: &Value, out: &mut Report) {
    let at = SPEC.child("parentRef");
    let Some(parent) = spec_of(address).at("parentRef") else { return out.required(&at, "") };
    let group = parent.text("group");
    if !group.is_empty() {
        out.invalid_each(&at.child("group"), group, subdomain(group));
    }
    for (key, needed) in [("resource", true), ("name", true), ("namespace", false)] {
        match parent.text(key) {
            "" if needed => out.required(&at.child(key), ""),
            "" => {}
            text => out.invalid_each(&at.child(key), text, path_segment(text)),
        }
    }
}

pub(super) fn address_update(new: &Value, old: &Value, out: &mut Report) {
    let (new, old) = (spec_of(new).at("parentRef"), spec_of(old).at("parentRef"));
    let differs = |key| new.map(|parent| parent.text(key)) != old.map(|parent| parent.text(key));
    if ["group", "resource", "namespace", "name"].into_iter().any(differs) {
        out.invalid(&SPEC.child("parentRef"), Parent(new), IMMUTABLE);
    }
}

/// The owner of an address, shown as upstream's own type is.
struct Parent<'a>(Option<&'a Value>);

impl Show for Parent<'_> {
    fn show(&self) -> String {
        let Some(parent) = self.0 else { return "null".into() };
        let [group, resource, namespace, name] = ["group", "resource", "namespace", "name"].map(|key| parent.text(key));
        format!(r#"{{"Group":{group:?},"Resource":{resource:?},"Namespace":{namespace:?},"Name":{name:?}}}"#)
    }
}

/// The ranges that cluster IPs come from: one, or one of each family.
pub(super) fn ranges(config: &Value, out: &mut Report) {
    let spec = spec_of(config);
    let at = SPEC.child("cidrs");
    match spec.items("cidrs").len() {
        0 => return out.required(&at, "at least one CIDR required"),
        1 | 2 => {}
        _ => {
            let shown = Internal(Some(spec), "@networking.ServiceCIDRSpec");
            return out.invalid(&at, shown, "may only hold up to 2 values");
        }
    }
    for (index, text) in spec.texts("cidrs").enumerate() {
        strict_range(&at.index(index), text, out);
    }
    let families: Vec<bool> =
        spec.texts("cidrs").filter_map(|text| Some(parse_range(text)?.address.is_ipv4())).collect();
    if let ([first, second], Some(list)) = (&*families, spec.at("cidrs"))
        && first == second
    {
        let why = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        out.invalid(&at, list, why);
    }
}

/// A second range may be added, and nothing else changed.
pub(super) fn ranges_update(new: &Value, old: &Value, out: &mut Report) {
    let at = SPEC.child("cidrs");
    let (spec, before) = (spec_of(new), spec_of(old));
    let (now, before) = (spec.items("cidrs"), before.items("cidrs"));
    let adds = before.len() == 1 && now.len() == 2;
    if now.len() != before.len() && !adds {
        return out.invalid(&at, spec.at("cidrs").unwrap_or(&Value::Null), IMMUTABLE);
    }
    for (index, (now, _)) in now.iter().zip(before).enumerate().filter(|(_, (now, before))| now != before) {
        out.invalid(&at.index(index), now, IMMUTABLE);
    }
    if adds {
        ranges(new, out);
    }
}

#[cfg(test)]
mod tests;
