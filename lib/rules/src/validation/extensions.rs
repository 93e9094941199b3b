//! Aggregated APIs. Custom resource definitions are checked where they are compiled, in the
//! apiserver.
//!
//! Upstream: `kube-aggregator/pkg/apis/apiregistration/validation`.

use super::check::{At, Report};
use super::names::{label_1035, path_segment, port_number, subdomain};
use super::workloads::spec_of;
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

const SPEC: At<'static> = At::root("spec");

/// A new API is named as its version and group say; so would be those that are generated.
pub(super) fn api_service(service: &Value, out: &mut Report) {
    let spec = spec_of(service);
    let expected = format!("{}.{}", spec.text("version"), spec.text("group"));
    let metadata = At::root("metadata");
    for (key, name) in [("generateName", service.meta_str("generateName")), ("name", service.name())] {
        // Names that stand in no path have been refused by then.
        if !name.is_empty() && path_segment(name).is_empty() && name != expected {
            let detail = format!("must be `spec.version+\".\"+spec.group`: {expected:?}");
            out.invalid(&metadata.child(key), name, detail);
        }
    }
    match (spec.text("group"), spec.text("version")) {
        ("", "v1") => {}
        ("", _) => out.required(&SPEC.child("group"), "only v1 may have an empty group and it better be legacy kube"),
        (group, _) => out.invalid_each(&SPEC.child("group"), group, subdomain(group)),
    }
    let version = spec.text("version");
    out.invalid_each(&SPEC.child("version"), version, label_1035(version));
    for (key, max) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
        let value = spec.int(key);
        if !(1..=max).contains(&value) {
            out.invalid(&SPEC.child(key), value, format!("must be positive and less than {max}"));
        }
    }
    match spec.at("service") {
        Some(reference) => remote(spec, reference, out),
        None => local_only(spec, out),
    }
}

fn remote(spec: &Value, reference: &Value, out: &mut Report) {
    let at = SPEC.child("service");
    for key in ["namespace", "name"] {
        if reference.text(key).is_empty() {
            out.required(&at.child(key), "");
        }
    }
    let port = reference.int("port");
    if let Some(finding) = port_number(port) {
        out.invalid(&at.child("port"), port, format!("port is not valid: {finding}"));
    }
    if spec.flag("insecureSkipTLSVerify") && !spec.lacks("caBundle") {
        out.invalid(&SPEC.child("insecureSkipTLSVerify"), true, "may not be true if caBundle is present");
    }
}

/// What makes no sense without a connection.
fn local_only(spec: &Value, out: &mut Report) {
    let bundle = spec.text("caBundle");
    if !bundle.is_empty() {
        let padding = bundle.bytes().rev().take_while(|b| *b == b'=').count();
        let size = format!("{} bytes", bundle.len() / 4 * 3 - padding);
        out.invalid(&SPEC.child("caBundle"), size.as_str(), "local APIServices may not have a caBundle");
    }
    if spec.flag("insecureSkipTLSVerify") {
        let why = "local APIServices may not have insecureSkipTLSVerify";
        out.invalid(&SPEC.child("insecureSkipTLSVerify"), true, why);
    }
}

/// The status says of each condition whether it holds.
pub(super) fn api_service_status(new: &Value, _: &Value, out: &mut Report) {
    let status = At::root("status");
    let at = status.child("conditions");
    let conditions = new.at("status").map(|status| status.items("conditions")).unwrap_or_default();
    for (index, condition) in conditions.iter().enumerate() {
        let text = condition.text("status");
        if !matches!(text, "True" | "False" | "Unknown") {
            out.not_supported(&at.index(index).child("status"), text, &["True", "False", "Unknown"]);
        }
    }
}
