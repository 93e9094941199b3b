//! Endpoints and endpoint slices.
//!
//! Upstream: `pkg/apis/{core,discovery}/validation/validation.go`.

use super::addresses::{endpoint, legacy, parse, strict};
use super::check::{At, Report};
use super::names::{label, label_value_errors, port_number, subdomain};
use super::service::{PROTOCOLS, app_protocol};
use super::values::labels;
use crate::tree::Tree;
use apimachinery::Value;

pub(super) fn endpoints(endpoints: &Value, out: &mut Report) {
    let at = At::root("subsets");
    for (index, subset) in endpoints.items("subsets").iter().enumerate() {
        self::subset(&at.index(index), subset, out);
    }
}

/// Subsets that were there before may be wrong: older versions have let them pass.
pub(super) fn endpoints_update(new: &Value, old: &Value, out: &mut Report) {
    unless_same("subsets", new, old, endpoints, out);
}

/// What a check finds, unless the member is as it was. It is compared only if something is wrong.
fn unless_same(key: &str, new: &Value, old: &Value, check: fn(&Value, &mut Report), out: &mut Report) {
    let mut found = Report::default();
    check(new, &mut found);
    if !found.is_empty() && new.at(key) != old.at(key) {
        out.append(found);
    }
}

fn subset(at: &At<'_>, subset: &Value, out: &mut Report) {
    if subset.items("addresses").is_empty() && subset.items("notReadyAddresses").is_empty() {
        out.required(at, "must specify `addresses` or `notReadyAddresses`");
    }
    for list in ["addresses", "notReadyAddresses"] {
        let at = at.child(list);
        for (index, address) in subset.items(list).iter().enumerate() {
            subset_address(&at.index(index), address, out);
        }
    }
    let ports = at.child("ports");
    let several = subset.items("ports").len() > 1;
    for (index, port) in subset.items("ports").iter().enumerate() {
        subset_port(&ports.index(index), port, several, out);
    }
}

fn subset_address(at: &At<'_>, address: &Value, out: &mut Report) {
    let ip = address.text("ip");
    legacy(&at.child("ip"), ip, [], out);
    let host = address.text("hostname");
    if !host.is_empty() {
        out.invalid_each(&at.child("hostname"), host, label(host));
    }
    node_name(at, address, out);
    endpoint(&at.child("ip"), ip, out);
}

fn node_name(at: &At<'_>, owner: &Value, out: &mut Report) {
    if let Some(name) = owner.at("nodeName").and_then(Value::as_str) {
        out.invalid_each(&at.child("nodeName"), name, subdomain(name));
    }
}

fn subset_port(at: &At<'_>, port: &Value, needs_name: bool, out: &mut Report) {
    match port.text("name") {
        "" if needs_name => out.required(&at.child("name"), ""),
        "" => {}
        name => out.invalid_each(&at.child("name"), name, label(name)),
    }
    if let Some(finding) = port_number(port.int("port")) {
        out.invalid(&at.child("port"), port.int("port"), finding);
    }
    out.one_of(&at.child("protocol"), port.text("protocol"), &PROTOCOLS);
    app_protocol(at, port, out);
}

pub(super) fn slice(slice: &Value, out: &mut Report) {
    address_type(slice, out);
    slice_ports(slice, out);
    slice_endpoints(slice, out);
}

pub(super) fn slice_update(new: &Value, old: &Value, out: &mut Report) {
    address_type(new, out);
    slice_ports(new, out);
    unless_same("endpoints", new, old, slice_endpoints, out);
    out.immutable(&At::root("addressType"), new.at("addressType"), old.at("addressType"));
}

fn address_type(slice: &Value, out: &mut Report) {
    out.one_of(&At::root("addressType"), slice.text("addressType"), &["FQDN", "IPv4", "IPv6"]);
}

fn slice_ports(slice: &Value, out: &mut Report) {
    const MAX: usize = 20_000;
    let (ports, at) = (slice.items("ports"), At::root("ports"));
    if ports.len() > MAX {
        return out.too_many(&at, ports.len(), MAX);
    }
    for (index, port) in ports.iter().enumerate() {
        let at = at.index(index);
        let name = port.text("name");
        if !name.is_empty() {
            out.invalid_each(&at.child("name"), name, label(name));
        }
        if ports[..index].iter().any(|other| other.text("name") == name) {
            out.duplicate(&at.child("name"), name);
        }
        match port.at("protocol").and_then(Value::as_str) {
            None => out.required(&at.child("protocol"), ""),
            Some(protocol) if !PROTOCOLS.contains(&protocol) => {
                out.not_supported(&at.child("protocol"), protocol, &PROTOCOLS);
            }
            Some(_) => {}
        }
        app_protocol(&at, port, out);
    }
}

fn slice_endpoints(slice: &Value, out: &mut Report) {
    const MAX: usize = 1000;
    let (endpoints, at) = (slice.items("endpoints"), At::root("endpoints"));
    if endpoints.len() > MAX {
        return out.too_many(&at, endpoints.len(), MAX);
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        slice_endpoint(&at.index(index), endpoint, slice.text("addressType"), out);
    }
}

fn slice_endpoint(at: &At<'_>, endpoint: &Value, kind: &str, out: &mut Report) {
    const MAX_ADDRESSES: usize = 100;
    const MAX_LABELS: usize = 16;
    let addresses = at.child("addresses");
    match endpoint.items("addresses").len() {
        0 => out.required(&addresses, "must contain at least 1 address"),
        n if n > MAX_ADDRESSES => out.too_many(&addresses, n, MAX_ADDRESSES),
        _ => {}
    }
    for (index, address) in endpoint.texts("addresses").enumerate() {
        slice_address(&addresses, index, address, kind, out);
    }
    node_name(at, endpoint, out);
    if let Some(topology) = endpoint.object("deprecatedTopology") {
        let at = at.child("deprecatedTopology");
        if topology.len() > MAX_LABELS {
            out.too_many(&at, topology.len(), MAX_LABELS);
        }
        labels(&at, Some(topology), out);
    }
    if let Some(host) = endpoint.at("hostname").and_then(Value::as_str) {
        out.invalid_each(&at.child("hostname"), host, label(host));
    }
    if let Some(hints) = endpoint.at("hints") {
        self::hints(&at.child("hints"), hints, out);
    }
}

/// An address of the slice's type; those of types that are not known are not looked at.
fn slice_address(list: &At<'_>, index: usize, address: &str, kind: &str, out: &mut Report) {
    let at = list.index(index);
    let right = match kind {
        "IPv4" => legacy(&at, address, [], out),
        "IPv6" => strict(&at, address, out),
        "FQDN" => return domain(&at, address, out),
        _ => return,
    };
    let Some(parsed) = parse(address).filter(|_| right) else { return };
    if parsed.is_ipv4() != (kind == "IPv4") {
        out.invalid(list, address, format!("must be an {kind} address"));
    }
    endpoint(&at, address, out);
}

/// A name of at least two labels; it may end in a dot.
fn domain(at: &At<'_>, name: &str, out: &mut Report) {
    if name.is_empty() {
        return out.required(at, "");
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let errors = subdomain(name);
    if !errors.is_empty() {
        return out.invalid(at, name, errors.join(","));
    }
    if !name.contains('.') {
        return out.invalid(at, name, "should be a domain with at least two segments separated by dots");
    }
    let wrong = name.split('.').map(|part| (part, label(part))).find(|(_, errors)| !errors.is_empty());
    if let Some((part, errors)) = wrong {
        out.invalid(at, part, errors.join(","));
    }
}

/// Where an endpoint's traffic should come from: zones and nodes.
fn hints(at: &At<'_>, hints: &Value, out: &mut Report) {
    const MAX: usize = 8;
    let lists: [(&str, fn(&str) -> Vec<String>); 2] = [("forZones", label_value_errors), ("forNodes", subdomain)];
    for (key, check) in lists {
        let (at, all) = (at.child(key), hints.items(key));
        if all.len() > MAX {
            return out.too_many(&at, all.len(), MAX);
        }
        for (index, hint) in all.iter().enumerate() {
            let (at, name) = (at.index(index), hint.text("name"));
            if all[..index].iter().any(|other| other.text("name") == name) {
                out.duplicate(&at.child("name"), name);
            }
            out.invalid_each(&at.child("name"), name, check(name));
        }
    }
}

#[cfg(test)]
mod tests;
