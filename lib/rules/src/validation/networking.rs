//! Ingresses and network policies.
//!
//! Upstream: `pkg/apis/networking/validation/validation.go`.

use super::check::{At, Report};
use super::names::{in_range, label, subdomain, wildcard};
use super::values::{cidr, port, selector};
use super::workloads::spec_of;
use crate::tree::Tree;
use apimachinery::Value;

const SPEC: At<'static> = At::root("spec");

pub(super) fn ingress(ingress: &Value, out: &mut Report) {
    let spec = spec_of(ingress);
    if spec.items("rules").is_empty() && !spec.has("defaultBackend") {
        let value = spec.at("rules").unwrap_or(&Value::Null);
        out.invalid(&SPEC, value, "either `defaultBackend` or `rules` must be specified");
    }
    if let Some(backend) = spec.at("defaultBackend") {
        self::backend(&SPEC.child("defaultBackend"), backend, out);
    }
    let at = SPEC.child("rules");
    for (index, rule) in spec.items("rules").iter().enumerate() {
        ingress_rule(&at.index(index), rule, out);
    }
    let class = spec.text("ingressClassName");
    if spec.has("ingressClassName") {
        out.invalid_each(&SPEC.child("ingressClassName"), class, subdomain(class));
    }
}

fn ingress_rule(at: &At<'_>, rule: &Value, out: &mut Report) {
    let host = rule.text("host");
    if !host.is_empty() {
        let findings = match () {
            () if host.parse::<std::net::IpAddr>().is_ok() => vec!["must be a DNS name, not an IP address".into()],
            () if host.contains('*') => wildcard(host),
            () => subdomain(host),
        };
        out.invalid_each(&at.child("host"), host, findings);
    }
    let Some(http) = rule.at("http") else { return };
    let at = at.child("http");
    let at = at.child("paths");
    if http.items("paths").is_empty() {
        out.required(&at, "");
    }
    for (index, path) in http.items("paths").iter().enumerate() {
        ingress_path(&at.index(index), path, out);
    }
}

fn ingress_path(at: &At<'_>, path: &Value, out: &mut Report) {
    let text = path.text("path");
    match path.text("pathType") {
        "" => out.required(&at.child("pathType"), "pathType must be specified"),
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                out.invalid(&at.child("path"), text, "must be an absolute path");
            }
            for bad in ["//", "/./", "/../", "%2f", "%2F"].into_iter().filter(|bad| text.contains(bad)) {
                out.invalid(&at.child("path"), text, format!("must not contain '{bad}'"));
            }
        }
        "ImplementationSpecific" => {
            if !text.is_empty() && !text.starts_with('/') {
                out.invalid(&at.child("path"), text, "must be an absolute path");
            }
        }
        kind => out.not_supported(&at.child("pathType"), kind, &["Exact", "ImplementationSpecific", "Prefix"]),
    }
    backend(&at.child("backend"), path.at("backend").unwrap_or(&Value::Null), out);
}

fn backend(at: &At<'_>, backend: &Value, out: &mut Report) {
    match (backend.at("service"), backend.at("resource")) {
        (Some(_), Some(_)) => {
            out.invalid(at, "", "cannot set both resource and service backends");
        }
        (None, None) => out.required(at, "port name or number is required"),
        (None, Some(_)) => {}
        (Some(service), None) => {
            let at = at.child("service");
            match service.text("name") {
                "" => out.required(&at.child("name"), ""),
                name => out.invalid_each(&at.child("name"), name, label(name)),
            }
            let given = service.at("port").unwrap_or(&Value::Null);
            let at = at.child("port");
            match (given.text("name"), given.int("number")) {
                ("", 0) => out.required(&at, "port name or number is required"),
                ("", _) => port(&at.child("number"), given.at("number"), out),
                (_, 0) => port(&at.child("name"), given.at("name"), out),
                (_, number) => out.invalid(&at, number, "cannot set both port name & port number"),
            }
        }
    }
}

pub(super) fn network_policy(policy: &Value, out: &mut Report) {
    let spec = spec_of(policy);
    selector(&SPEC.child("podSelector"), spec.at("podSelector"), out);
    for (list, peers) in [("ingress", "from"), ("egress", "to")] {
        let at = SPEC.child(list);
        for (index, rule) in spec.items(list).iter().enumerate() {
            let at = at.index(index);
            let ports = at.child("ports");
            for (index, port) in rule.items("ports").iter().enumerate() {
                policy_port(&ports.index(index), port, out);
            }
            let at = at.child(peers);
            for (index, peer) in rule.items(peers).iter().enumerate() {
                policy_peer(&at.index(index), peer, out);
            }
        }
    }
    let at = SPEC.child("policyTypes");
    for (index, kind) in spec.texts("policyTypes").enumerate() {
        out.one_of(&at.index(index), kind, &["Egress", "Ingress"]);
    }
}

fn policy_port(at: &At<'_>, policy_port: &Value, out: &mut Report) {
    out.one_of_or_empty(&at.child("protocol"), policy_port.text("protocol"), &["SCTP", "TCP", "UDP"]);
    let number = policy_port.at("port");
    if number.is_some() {
        port(&at.child("port"), number, out);
    }
    if let Some(end) = policy_port.at("endPort").and_then(Value::as_i64) {
        let at = at.child("endPort");
        match number {
            None => out.required(&at, "must be specified when `endPort` is set"),
            Some(Value::String(_)) => out.invalid(&at, end, "may not be specified when `port` is non-numeric"),
            Some(start) if start.as_i64() > Some(end) => {
                out.invalid(&at, end, "must be greater than or equal to `port`");
            }
            Some(_) => {
                if let Some(finding) = in_range(end, 1, 65535) {
                    out.invalid(&at, end, finding);
                }
            }
        }
    }
}

fn policy_peer(at: &At<'_>, peer: &Value, out: &mut Report) {
    let selects = peer.has("podSelector") || peer.has("namespaceSelector");
    for key in ["podSelector", "namespaceSelector"] {
        selector(&at.child(key), peer.at(key), out);
    }
    match peer.at("ipBlock") {
        None if !selects => out.required(at, "must specify a peer"),
        None => {}
        Some(_) if selects => out.forbidden(at, "may not specify both ipBlock and another peer"),
        Some(block) => {
            let at = at.child("ipBlock");
            match block.text("cidr") {
                "" => out.required(&at.child("cidr"), ""),
                range => cidr(&at.child("cidr"), range, out),
            }
            let except = at.child("except");
            for (index, range) in block.texts("except").enumerate() {
                cidr(&except.index(index), range, out);
            }
        }
    }
}

pub(super) fn ingress_class_update(new: &Value, old: &Value, out: &mut Report) {
    let controller = |class| spec_of(class).at("controller");
    out.immutable(&SPEC.child("controller"), controller(new), controller(old));
}
