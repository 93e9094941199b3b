//! Resource claims and their templates: which devices, under which conditions.

use super::super::check::{At, IMMUTABLE, Report, same};
use super::super::meta::template;
use super::super::names::{label, subdomain};
use super::super::printed::{Form, Printed};
use super::super::workloads::spec_of;
use super::parts::{self, list, set, text};
use super::{MAX_PARTS, SPEC, names, printed, taints};
use crate::tree::Tree;
use apimachinery::meta::ObjectMeta;
use apimachinery::{Map, Value};

/// Most choices of one request.
const MAX_CHOICES: usize = 8;

const NO_REQUEST: &str = "must be the name of a request in the claim or the name of a request and a subrequest \
                          separated by '/'";

/// A new claim.
pub(in super::super) fn claim(claim: &Value, out: &mut Report) {
    claim_spec(&SPEC, spec_of(claim), out);
}

/// A template of claims.
pub(in super::super) fn claim_template(object: &Value, out: &mut Report) {
    let spec = spec_of(object);
    template_metadata(&SPEC.child("metadata"), spec.metadata(), out);
    claim_spec(&SPEC.child("spec"), spec_of(spec), out);
}

/// A change of a claim: its spec stays.
pub(in super::super) fn claim_update(new: &Value, old: &Value, out: &mut Report) {
    fixed_spec(new, old, printed::CLAIM, out);
}

/// A change of a template: its spec stays.
pub(in super::super) fn claim_template_update(new: &Value, old: &Value, out: &mut Report) {
    fixed_spec(new, old, printed::TEMPLATE, out);
}

fn fixed_spec(new: &Value, old: &Value, form: Form, out: &mut Report) {
    if !same(new.at("spec"), old.at("spec")) {
        out.invalid(&SPEC, Printed(new.at("spec"), form), IMMUTABLE);
    }
}

/// A template's metadata is labels and annotations.
fn template_metadata(at: &At<'_>, metadata: Option<&Map>, out: &mut Report) {
    template(at, metadata, out);
    const OTHERS: [&str; 12] = [
        "name",
        "generateName",
        "namespace",
        "selfLink",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "ownerReferences",
        "finalizers",
    ];
    let is_set = |key: &str| metadata.is_some_and(|m| !m.lacks(key) && m.at(key).and_then(Value::as_i64) != Some(0));
    for key in OTHERS.into_iter().filter(|key| is_set(key)) {
        // Upstream makes the name from Go's, by its first letter only.
        out.forbidden(&at.child(if key == "uid" { "uID" } else { key }), "cannot be set");
    }
}

fn claim_spec(at: &At<'_>, spec: &Value, out: &mut Report) {
    let at = at.child("devices");
    let devices = spec.at("devices").unwrap_or(&Value::Null);
    set(&at.child("requests"), devices.items("requests"), MAX_PARTS, |r| r.text("name"), request, out);
    let check = |at: &At<'_>, one: &Value, out: &mut Report| constraint(at, one, devices, out);
    list(&at.child("constraints"), devices.items("constraints"), MAX_PARTS, check, out);
    let check = |at: &At<'_>, one: &Value, out: &mut Report| {
        references(at, one, devices, out);
        parts::config(at, one, false, out);
    };
    list(&at.child("config"), devices.items("config"), MAX_PARTS, check, out);
}

fn request(at: &At<'_>, request: &Value, out: &mut Report) {
    parts::named(&at.child("name"), request.text("name"), label, out);
    let choices = request.items("firstAvailable");
    match (request.at("exactly"), choices.is_empty()) {
        (None, true) => out.required(at, "exactly one of `exactly` or `firstAvailable` is required"),
        (Some(_), false) => {
            let detail = "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
            out.invalid(at, &Value::Null, detail);
        }
        (Some(exactly), true) => wanted(&at.child("exactly"), exactly, out),
        (None, false) => {
            let check = |at: &At<'_>, choice: &Value, out: &mut Report| {
                parts::named(&at.child("name"), choice.text("name"), label, out);
                wanted(at, choice, out);
            };
            set(&at.child("firstAvailable"), choices, MAX_CHOICES, |c| c.text("name"), check, out);
        }
    }
}

/// What is wanted of a class.
fn wanted(at: &At<'_>, request: &Value, out: &mut Report) {
    let class = at.child("deviceClassName");
    match request.text("deviceClassName") {
        "" => out.required(&class, ""),
        name => parts::named(&class, name, subdomain, out),
    }
    parts::selectors(at, request, out);
    let (mode, count) = (request.text("allocationMode"), request.int("count"));
    match mode {
        "All" if count != 0 => {
            out.invalid(&at.child("count"), count, "must not be specified when allocationMode is 'All'");
        }
        "ExactCount" if count <= 0 => out.invalid(&at.child("count"), count, "must be greater than zero"),
        "All" | "ExactCount" => {}
        mode => out.not_supported(&at.child("allocationMode"), mode, &["All", "ExactCount"]),
    }
    let tolerations = at.child("tolerations");
    for (index, toleration) in request.items("tolerations").iter().enumerate() {
        taints::toleration(&tolerations.index(index), toleration, out);
    }
}

fn constraint(at: &At<'_>, constraint: &Value, devices: &Value, out: &mut Report) {
    references(at, constraint, devices, out);
    let attribute = |key: &str| constraint.at(key).and_then(Value::as_str);
    match (attribute("matchAttribute"), attribute("distinctAttribute")) {
        (Some(name), _) => names::fully_qualified(&at.child("matchAttribute"), name, out),
        (None, Some(name)) => names::fully_qualified(&at.child("distinctAttribute"), name, out),
        // Upstream says so of none, too.
        (None, None) => out.required(
            at,
            "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set",
        ),
    }
}

/// The names of requests that a constraint or a configuration is about.
pub(super) fn references(at: &At<'_>, owner: &Value, devices: &Value, out: &mut Report) {
    let check = |at: &At<'_>, name: &Value, out: &mut Report| reference(at, text(name), devices, out);
    set(&at.child("requests"), owner.items("requests"), MAX_PARTS, text, check, out);
}

/// The name of a request, perhaps with that of one of its choices.
pub(super) fn reference(at: &At<'_>, name: &str, devices: &Value, out: &mut Report) {
    if name.matches('/').count() > 1 {
        return out.invalid(at, name, NO_REQUEST);
    }
    for part in name.split('/') {
        parts::named(at, part, label, out);
    }
    let (request, choice) = name.split_once('/').map_or((name, None), |(request, choice)| (request, Some(choice)));
    // The last of several with the same name counts.
    let found = devices.items("requests").iter().rev().find(|r| r.text("name") == request);
    let is_there =
        |choice: &str| found.is_some_and(|r| r.items("firstAvailable").iter().any(|c| c.text("name") == choice));
    if found.is_none() || choice.is_some_and(|choice| !is_there(choice)) {
        out.invalid(at, name, NO_REQUEST);
    }
}
