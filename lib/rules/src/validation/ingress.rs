//! Ingresses and their classes.
//!
//! Upstream: `pkg/apis/networking/validation/validation.go`.

use super::addresses::parse;
use super::check::{At, IMMUTABLE, Report};
use super::names::{domain_prefixed_path, label, path_segment, port_name, port_number, subdomain, wildcard};
use super::workloads::spec_of;
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

const SPEC: At<'static> = At::root("spec");
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// What an ingress may keep that is wrong, because it has always been.
#[derive(Clone, Copy, Default)]
struct Grace {
    /// Names of TLS secrets.
    secrets: bool,
    /// What is behind hosts with a star.
    wildcards: bool,
}

impl Grace {
    fn of(old: &Value) -> Self {
        let spec = spec_of(old);
        let wrong = |rule: &Value| {
            let mut found = Report::default();
            paths(&SPEC, rule, &mut found);
            !found.is_empty()
        };
        Self {
            secrets: spec.items("tls").iter().any(|tls| !secret_name(tls.text("secretName")).is_empty()),
            wildcards: spec.items("rules").iter().any(|rule| rule.text("host").contains('*') && wrong(rule)),
        }
    }
}

pub(super) fn create(ingress: &Value, out: &mut Report) {
    check(ingress, Grace::default(), out);
    let annotation = ingress.annotations().and_then(|all| all.get(CLASS_ANNOTATION)).and_then(Value::as_str);
    let class = spec_of(ingress).at("ingressClassName").and_then(Value::as_str);
    if let (Some(annotation), Some(class)) = (annotation, class)
        && annotation != class
    {
        let annotations = At::root("annotations");
        let why = "must match `ingressClassName` when both are specified";
        out.invalid(&annotations.child(CLASS_ANNOTATION), annotation, why);
    }
}

/// The old ingress is looked at only if something is wrong with the new one.
pub(super) fn update(new: &Value, old: &Value, out: &mut Report) {
    let mut found = Report::default();
    check(new, Grace::default(), &mut found);
    if !found.is_empty() {
        check(new, Grace::of(old), out);
    }
}

fn check(ingress: &Value, grace: Grace, out: &mut Report) {
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
        let at = at.index(index);
        host(&at.child("host"), rule.text("host"), out);
        if !(grace.wildcards && rule.text("host").contains('*')) {
            paths(&at, rule, out);
        }
    }
    tls(spec, grace, out);
    if let Some(class) = spec.at("ingressClassName").and_then(Value::as_str) {
        out.invalid_each(&SPEC.child("ingressClassName"), class, subdomain(class));
    }
}

fn host(at: &At<'_>, host: &str, out: &mut Report) {
    if host.is_empty() {
        return;
    }
    if parse(host).is_some() {
        out.invalid(at, host, "must be a DNS name, not an IP address");
    }
    out.invalid_each(at, host, host_name(host));
}

fn host_name(host: &str) -> Vec<String> {
    if host.contains('*') { wildcard(host) } else { subdomain(host) }
}

fn tls(spec: &Value, grace: Grace, out: &mut Report) {
    let at = SPEC.child("tls");
    for (index, tls) in spec.items("tls").iter().enumerate() {
        let at = at.index(index);
        let hosts = at.child("hosts");
        for (index, host) in tls.texts("hosts").enumerate() {
            out.invalid_each(&hosts.index(index), host, host_name(host));
        }
        if !grace.secrets {
            let name = tls.text("secretName");
            out.invalid_each(&at.child("secretName"), name, secret_name(name));
        }
    }
}

fn secret_name(name: &str) -> Vec<String> {
    if name.is_empty() { Vec::new() } else { subdomain(name) }
}

fn paths(at: &At<'_>, rule: &Value, out: &mut Report) {
    let Some(http) = rule.at("http") else { return };
    let at = at.child("http");
    let at = at.child("paths");
    if http.items("paths").is_empty() {
        out.required(&at, "");
    }
    for (index, path) in http.items("paths").iter().enumerate() {
        self::path(&at.index(index), path, out);
    }
}

fn path(at: &At<'_>, path: &Value, out: &mut Report) {
    let (text, text_at) = (path.text("path"), at.child("path"));
    let Some(kind) = path.at("pathType").and_then(Value::as_str) else {
        return out.required(&at.child("pathType"), "pathType must be specified");
    };
    match kind {
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                out.invalid(&text_at, text, "must be an absolute path");
            }
            for bad in ["//", "/./", "/../", "%2f", "%2F"].into_iter().filter(|bad| text.contains(bad)) {
                out.invalid(&text_at, text, format!("must not contain '{bad}'"));
            }
            for bad in ["/..", "/."].into_iter().filter(|bad| text.ends_with(bad)) {
                out.invalid(&text_at, text, format!("cannot end with '{bad}'"));
            }
        }
        "ImplementationSpecific" => {
            if !text.is_empty() && !text.starts_with('/') {
                out.invalid(&text_at, text, "must be an absolute path");
            }
        }
        kind => out.not_supported(&at.child("pathType"), kind, &["Exact", "ImplementationSpecific", "Prefix"]),
    }
    backend(&at.child("backend"), path.at("backend").unwrap_or(&Value::Null), out);
}

fn backend(at: &At<'_>, backend: &Value, out: &mut Report) {
    match (backend.at("service"), backend.at("resource")) {
        (Some(_), Some(_)) => out.invalid(at, "", "cannot set both resource and service backends"),
        (None, None) => out.invalid(at, "", "resource or service backend is required"),
        (None, Some(resource)) => reference(&at.child("resource"), resource, out),
        (Some(service), None) => service_backend(at, service, out),
    }
}

fn service_backend(backend: &At<'_>, service: &Value, out: &mut Report) {
    let at = backend.child("service");
    match service.text("name") {
        "" => out.required(&at.child("name"), ""),
        name => out.invalid_each(&at.child("name"), name, label(name)),
    }
    let port = service.at("port").unwrap_or(&Value::Null);
    let at = at.child("port");
    match (port.text("name"), port.int("number")) {
        ("", 0) => out.required(backend, "port name or number is required"),
        ("", number) => {
            if let Some(finding) = port_number(number) {
                out.invalid(&at.child("number"), number, finding);
            }
        }
        (name, 0) => out.invalid_each(&at.child("name"), name, port_name(name)),
        _ => out.invalid(backend, "", "cannot set both port name & port number"),
    }
}

/// An object of any kind.
fn reference(at: &At<'_>, reference: &Value, out: &mut Report) {
    if let Some(group) = reference.at("apiGroup").and_then(Value::as_str) {
        out.invalid_each(&at.child("apiGroup"), group, subdomain(group));
    }
    for key in ["kind", "name"] {
        match reference.text(key) {
            "" => out.required(&at.child(key), ""),
            text => out.invalid_each(&at.child(key), text, path_segment(text)),
        }
    }
}

pub(super) fn class(class: &Value, out: &mut Report) {
    let spec = spec_of(class);
    controller(spec.text("controller"), out);
    if let Some(parameters) = spec.at("parameters") {
        self::parameters(&SPEC.child("parameters"), parameters, out);
    }
}

pub(super) fn class_update(new: &Value, old: &Value, out: &mut Report) {
    let controller = spec_of(new).text("controller");
    if controller != spec_of(old).text("controller") {
        out.invalid(&SPEC.child("controller"), controller, IMMUTABLE);
    }
    class(new, out);
}

/// A path below a domain.
fn controller(text: &str, out: &mut Report) {
    const MAX: usize = 250;
    let at = SPEC.child("controller");
    if text.len() > MAX {
        out.too_long(&at, MAX);
    }
    match text.is_empty() {
        true => out.required(&at, ""),
        false => domain_prefixed_path(text).into_iter().for_each(|(part, why)| out.invalid(&at, part, why)),
    }
}

fn parameters(at: &At<'_>, parameters: &Value, out: &mut Report) {
    reference(at, parameters, out);
    let (scope_at, namespace_at) = (at.child("scope"), at.child("namespace"));
    let namespace = parameters.at("namespace").and_then(Value::as_str);
    match (parameters.at("scope").and_then(Value::as_str), namespace) {
        (None, _) => out.required(&scope_at, ""),
        (Some("Namespace"), None) => out.required(&namespace_at, "`parameters.scope` is set to 'Namespace'"),
        (Some("Namespace"), Some(name)) => out.invalid_each(&namespace_at, name, label(name)),
        (Some("Cluster"), Some(_)) => out.forbidden(&namespace_at, "`parameters.scope` is set to 'Cluster'"),
        (Some("Cluster"), None) => {}
        (Some(other), _) => out.not_supported(&scope_at, other, &["Cluster", "Namespace"]),
    }
}

#[cfg(test)]
mod tests;
