//! Services, endpoints and endpoint slices.

use super::check::{At, Report, same};
use super::names::{label, label_key_errors, port_number, subdomain};
use super::values::{cidr, ip, labels, port};
use crate::tree::Tree;
use apimachinery::Value;

const SPEC: At<'static> = At::root("spec");
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const DAY: i64 = 86_400;

pub(super) fn service(service: &Value, out: &mut Report) {
    let spec = service.at("spec").unwrap_or(&Value::Null);
    kind(spec, out);
    ports(spec, out);
    labels(&SPEC.child("selector"), spec.object("selector"), out);
    affinity(spec, out);
    addresses(spec, out);
    out.one_of(&SPEC.child("type"), spec.text("type"), &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]);
    traffic(spec, out);
    let ranges = SPEC.child("loadBalancerSourceRanges");
    for (index, range) in spec.texts("loadBalancerSourceRanges").enumerate() {
        cidr(&ranges.index(index), range.trim(), out);
    }
}

fn is_headless(spec: &Value) -> bool {
    spec.text("clusterIP") == "None"
}

/// What each type needs and forbids.
fn kind(spec: &Value, out: &mut Report) {
    let kind = spec.text("type");
    if spec.items("ports").is_empty() && !is_headless(spec) && kind != "ExternalName" {
        out.required(&SPEC.child("ports"), "");
    }
    let ips = SPEC.child("clusterIPs");
    match kind {
        "LoadBalancer" | "NodePort" if is_headless(spec) => {
            out.invalid(&ips.index(0), "None", format!("may not be set to 'None' for {kind} services"));
        }
        "ExternalName" => {
            if !spec.items("clusterIPs").is_empty() {
                out.forbidden(&ips, "may not be set for ExternalName services");
            }
            let name = spec.text("externalName");
            let name = name.strip_suffix('.').unwrap_or(name);
            match name {
                "" => out.required(&SPEC.child("externalName"), ""),
                name => out.invalid_each(&SPEC.child("externalName"), name, subdomain(name)),
            }
        }
        _ => {}
    }
}

fn ports(spec: &Value, out: &mut Report) {
    let at = SPEC.child("ports");
    let ports = spec.items("ports");
    for (index, port) in ports.iter().enumerate() {
        let at = at.index(index);
        service_port(&at, port, ports.len() > 1, out);
        let before = &ports[..index];
        let name = port.text("name");
        if !name.is_empty() && before.iter().any(|p| p.text("name") == name) {
            out.duplicate(&at.child("name"), name);
        }
        let pair = |p: &Value| (p.text("protocol").to_owned(), p.int("port"));
        if before.iter().any(|p| pair(p) == pair(port)) {
            let key = serde_json::json!({"port": port.int("port"), "protocol": port.text("protocol")});
            out.duplicate(&at, &key);
        }
        let node = |p: &Value| (p.text("protocol").to_owned(), p.int("nodePort"));
        if port.int("nodePort") != 0 {
            if spec.text("type") == "ClusterIP" {
                out.forbidden(&at.child("nodePort"), "may not be used when `type` is 'ClusterIP'");
            }
            if before.iter().any(|p| node(p) == node(port)) {
                out.duplicate(&at.child("nodePort"), port.int("nodePort"));
            }
        }
    }
}

fn service_port(at: &At<'_>, service_port: &Value, needs_name: bool, out: &mut Report) {
    match service_port.text("name") {
        "" if needs_name => out.required(&at.child("name"), ""),
        "" => {}
        name => out.invalid_each(&at.child("name"), name, label(name)),
    }
    if let Some(finding) = port_number(service_port.int("port")) {
        out.invalid(&at.child("port"), service_port.int("port"), finding);
    }
    out.one_of(&at.child("protocol"), service_port.text("protocol"), &PROTOCOLS);
    port(&at.child("targetPort"), service_port.at("targetPort"), out);
    app_protocol(at, service_port, out);
}

fn app_protocol(at: &At<'_>, port: &Value, out: &mut Report) {
    let name = port.text("appProtocol");
    if port.has("appProtocol") {
        out.invalid_each(&at.child("appProtocol"), name, label_key_errors(name));
    }
}

fn affinity(spec: &Value, out: &mut Report) {
    out.one_of(&SPEC.child("sessionAffinity"), spec.text("sessionAffinity"), &["ClientIP", "None"]);
    let at = SPEC.child("sessionAffinityConfig");
    let client = spec.at("sessionAffinityConfig").and_then(|c| c.at("clientIP"));
    match (spec.text("sessionAffinity"), client) {
        ("ClientIP", None) => out.required(&at, "when session affinity type is ClientIP"),
        ("ClientIP", Some(client)) => {
            let seconds = client.int("timeoutSeconds");
            if !(1..=DAY).contains(&seconds) {
                let at = at.child("clientIP");
                let detail = format!("must be greater than 0 and less than {DAY}");
                out.invalid(&at.child("timeoutSeconds"), seconds, detail);
            }
        }
        ("None", Some(_)) => out.forbidden(&at, "must not be set when session affinity is None"),
        _ => {}
    }
}

fn addresses(spec: &Value, out: &mut Report) {
    let at = SPEC.child("clusterIPs");
    let ips: Vec<&str> = spec.texts("clusterIPs").collect();
    for (index, address) in ips.iter().enumerate().filter(|(_, ip)| **ip != "None") {
        self::ip(&at.index(index), address, out);
    }
    if let Some(first) = ips.first()
        && *first != spec.text("clusterIP")
    {
        let list = spec.at("clusterIPs").unwrap_or(&Value::Null);
        out.invalid(&at, list, "first value must match `clusterIP`");
    }
    let external = SPEC.child("externalIPs");
    for (index, address) in spec.texts("externalIPs").enumerate() {
        ip(&external.index(index), address, out);
        let parsed = address.parse::<std::net::IpAddr>();
        if parsed.is_ok_and(|ip| ip.is_unspecified() || ip.is_loopback() || ip.is_multicast()) {
            out.invalid(&external.index(index), address, "may not be unspecified, loopback or multicast");
        }
    }
}

fn traffic(spec: &Value, out: &mut Report) {
    let external = spec.text("externalTrafficPolicy");
    let at = SPEC.child("externalTrafficPolicy");
    let kind = spec.text("type");
    let reachable =
        matches!(kind, "LoadBalancer" | "NodePort") || kind == "ClusterIP" && !spec.items("externalIPs").is_empty();
    match reachable {
        true => out.one_of(&at, external, &["Cluster", "Local"]),
        false if !external.is_empty() => {
            out.invalid(&at, external, "may only be set for externally-accessible services");
        }
        false => {}
    }
    let needs_check = kind == "LoadBalancer" && external == "Local";
    if !needs_check && spec.int("healthCheckNodePort") != 0 {
        let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        out.invalid(&SPEC.child("healthCheckNodePort"), spec.int("healthCheckNodePort"), detail);
    }
    out.one_of_or_empty(
        &SPEC.child("internalTrafficPolicy"),
        spec.text("internalTrafficPolicy"),
        &["Cluster", "Local"],
    );
}

/// The address stays as long as there is one.
pub(super) fn update(new: &Value, old: &Value, out: &mut Report) {
    let (new, old) = (new.at("spec").unwrap_or(&Value::Null), old.at("spec").unwrap_or(&Value::Null));
    if new.text("type") == "ExternalName" || old.text("type") == "ExternalName" {
        return;
    }
    let at = SPEC.child("clusterIPs");
    match (old.text("clusterIP"), new.text("clusterIP")) {
        ("", _) => {}
        (_, "") => out.invalid(&at.index(0), "", "primary clusterIP can not be unset"),
        (old, new) if old != new => out.invalid(&at.index(0), new, "may not change once set"),
        _ => {}
    }
}

pub(super) fn endpoints(endpoints: &Value, out: &mut Report) {
    let at = At::root("subsets");
    for (index, subset) in endpoints.items("subsets").iter().enumerate() {
        let at = at.index(index);
        if subset.items("addresses").is_empty() && subset.items("notReadyAddresses").is_empty() {
            out.required(&at, "must specify `addresses` or `notReadyAddresses`");
        }
        for list in ["addresses", "notReadyAddresses"] {
            let at = at.child(list);
            for (index, address) in subset.items(list).iter().enumerate() {
                endpoint_address(&at.index(index).child("ip"), address.text("ip"), out);
            }
        }
        let ports = at.child("ports");
        let several = subset.items("ports").len() > 1;
        for (index, port) in subset.items("ports").iter().enumerate() {
            endpoint_port(&ports.index(index), port, several, out);
        }
    }
}

fn endpoint_port(at: &At<'_>, port: &Value, needs_name: bool, out: &mut Report) {
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

/// An address that can be another machine's.
fn endpoint_address(at: &At<'_>, address: &str, out: &mut Report) {
    ip(at, address, out);
    let Ok(parsed) = address.parse::<std::net::IpAddr>() else { return };
    if parsed.is_unspecified() {
        out.invalid(at, address, format!("may not be unspecified ({address})"));
    } else if parsed.is_loopback() {
        out.invalid(at, address, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    } else if parsed.is_multicast() {
        out.invalid(at, address, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
}

pub(super) fn slice(slice: &Value, out: &mut Report) {
    const MAX_ENDPOINTS: usize = 1000;
    const MAX_PORTS: usize = 100;
    let kind = slice.text("addressType");
    out.one_of(&At::root("addressType"), kind, &["FQDN", "IPv4", "IPv6"]);
    let (endpoints, at) = (slice.items("endpoints"), At::root("endpoints"));
    if endpoints.len() > MAX_ENDPOINTS {
        return out.too_many(&at, endpoints.len(), MAX_ENDPOINTS);
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        slice_endpoint(&at.index(index).child("addresses"), endpoint, kind, out);
    }
    let (ports, at) = (slice.items("ports"), At::root("ports"));
    if ports.len() > MAX_PORTS {
        return out.too_many(&at, ports.len(), MAX_PORTS);
    }
    for (index, port) in ports.iter().enumerate() {
        let at = at.index(index);
        let name = port.text("name");
        if ports[..index].iter().any(|p| p.text("name") == name) {
            out.duplicate(&at.child("name"), name);
        }
        if !name.is_empty() {
            out.invalid_each(&at.child("name"), name, label(name));
        }
        out.one_of(&at.child("protocol"), port.text("protocol"), &PROTOCOLS);
        app_protocol(&at, port, out);
    }
}

fn slice_endpoint(at: &At<'_>, endpoint: &Value, kind: &str, out: &mut Report) {
    const MAX: usize = 100;
    let addresses = endpoint.items("addresses");
    match addresses.len() {
        0 => return out.required(at, "must contain at least 1 address"),
        n if n > MAX => return out.too_many(at, n, MAX),
        _ => {}
    }
    for (index, address) in endpoint.texts("addresses").enumerate() {
        let at = at.index(index);
        match kind {
            "IPv4" if address.parse::<std::net::Ipv4Addr>().is_err() => {
                out.invalid(&at, address, "must be a valid IPv4 address");
            }
            "IPv6" if address.parse::<std::net::Ipv6Addr>().is_err() => {
                out.invalid(&at, address, "must be a valid IPv6 address");
            }
            "IPv4" | "IPv6" => endpoint_address(&at, address, out),
            _ => out.invalid_each(&at, address, subdomain(address)),
        }
    }
}

pub(super) fn slice_update(new: &Value, old: &Value, out: &mut Report) {
    if !same(new.at("addressType"), old.at("addressType")) {
        out.immutable(&At::root("addressType"), new.at("addressType"), old.at("addressType"));
    }
}
