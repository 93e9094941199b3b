//! Webhooks and aggregated APIs. Custom resource definitions are checked where they are compiled,
//! in the apiserver.
//!
//! Upstream: `pkg/apis/admissionregistration/validation`, `kube-aggregator`.

use super::admission;
use super::check::{At, Report};
use super::config::named;
use super::names::{label_1035, subdomain};
use super::values::selector;
use super::workloads::spec_of;
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

const SPEC: At<'static> = At::root("spec");

pub(super) fn webhooks(configuration: &Value, out: &mut Report) {
    let at = At::root("webhooks");
    let hooks = configuration.items("webhooks");
    for (index, hook) in hooks.iter().enumerate() {
        let at = at.index(index);
        webhook(&at, hook, out);
        if hooks[..index].iter().any(|h| h.text("name") == hook.text("name")) {
            out.duplicate(&at.child("name"), hook.text("name"));
        }
    }
}

fn webhook(at: &At<'_>, hook: &Value, out: &mut Report) {
    let name = hook.text("name");
    let name_at = at.child("name");
    match name {
        "" => out.required(&name_at, ""),
        name if !subdomain(name).is_empty() => out.invalid(&name_at, name, subdomain(name).join(",")),
        name if name.split('.').count() < 3 => {
            out.invalid(&name_at, name, "should be a domain with at least three segments separated by dots");
        }
        _ => {}
    }
    if hook.items("admissionReviewVersions").is_empty() {
        out.required(&at.child("admissionReviewVersions"), "must specify one of v1, v1beta1");
    } else if !hook.texts("admissionReviewVersions").any(|v| v == "v1" || v == "v1beta1") {
        let value = hook.at("admissionReviewVersions").unwrap_or(&Value::Null);
        out.invalid(&at.child("admissionReviewVersions"), value, "must include at least one of v1, v1beta1");
    }
    match hook.text("sideEffects") {
        "" => out.required(&at.child("sideEffects"), "must specify one of None, NoneOnDryRun"),
        effects => out.one_of(&at.child("sideEffects"), effects, &["None", "NoneOnDryRun"]),
    }
    out.one_of_or_empty(&at.child("failurePolicy"), hook.text("failurePolicy"), &["Fail", "Ignore"]);
    out.one_of_or_empty(&at.child("matchPolicy"), hook.text("matchPolicy"), &["Equivalent", "Exact"]);
    let seconds = hook.at("timeoutSeconds").and_then(Value::as_i64).unwrap_or(10);
    if !(1..=30).contains(&seconds) {
        let detail = "the timeout value must be between 1 and 30 seconds";
        out.invalid(&at.child("timeoutSeconds"), seconds, detail);
    }
    for key in ["namespaceSelector", "objectSelector"] {
        selector(&at.child(key), hook.at(key), out);
    }
    let client = hook.at("clientConfig").unwrap_or(&Value::Null);
    if client.has("url") == client.has("service") {
        out.required(&at.child("clientConfig"), "exactly one of url or service is required");
    }
    let rules = at.child("rules");
    for (index, rule) in hook.items("rules").iter().enumerate() {
        admission::rule(&rules.index(index), rule, out);
    }
    admission::conditions(at, hook, false, out);
}

pub(super) fn api_service(service: &Value, out: &mut Report) {
    let spec = spec_of(service);
    let expected = format!("{}.{}", spec.text("version"), spec.text("group"));
    if service.name() != expected {
        let metadata = At::root("metadata");
        let detail = format!("must be `spec.version+\".\"+spec.group`: {expected:?}");
        out.invalid(&metadata.child("name"), service.name(), detail);
    }
    match (spec.text("group"), spec.text("version")) {
        ("", "v1") => {}
        ("", _) => out.required(&SPEC.child("group"), "only v1 may have an empty group and it better be legacy kube"),
        (group, _) => out.invalid_each(&SPEC.child("group"), group, subdomain(group)),
    }
    named_version(spec, out);
    for (key, max) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
        let value = spec.int(key);
        if !(1..=max).contains(&value) {
            out.invalid(&SPEC.child(key), value, format!("must be positive and less than {max}"));
        }
    }
    match spec.at("service") {
        Some(reference) => {
            let at = SPEC.child("service");
            for key in ["namespace", "name"] {
                named(&at.child(key), reference.text(key), out);
            }
            let port = reference.int("port");
            if !(1..=65535).contains(&port) {
                let why = "port is not valid: must be between 1 and 65535, inclusive";
                out.invalid(&at.child("port"), port, why);
            }
            if spec.flag("insecureSkipTLSVerify") && !spec.lacks("caBundle") {
                out.invalid(&SPEC.child("insecureSkipTLSVerify"), true, "may not be true if caBundle is present");
            }
        }
        None => local_only(spec, out),
    }
}

/// What makes no sense without a connection.
fn local_only(spec: &Value, out: &mut Report) {
    if !spec.lacks("caBundle") {
        out.invalid(&SPEC.child("caBundle"), "<omitted>", "local APIServices may not have a caBundle");
    }
    if spec.flag("insecureSkipTLSVerify") {
        let why = "local APIServices may not have insecureSkipTLSVerify";
        out.invalid(&SPEC.child("insecureSkipTLSVerify"), true, why);
    }
}

fn named_version(spec: &Value, out: &mut Report) {
    let version = spec.text("version");
    match version {
        "" => out.required(&SPEC.child("version"), ""),
        version => out.invalid_each(&SPEC.child("version"), version, label_1035(version)),
    }
}
