//! Persistent volume claims.

use super::super::check::{At, Report, same};
use super::super::names::{label, label_key_errors, subdomain};
use super::super::printed::{Internal, difference};
use super::super::values::{NOT_POSITIVE, quantity, selector};
use super::super::workloads::spec_of;
use super::{SPEC, VOLUME_MODES, access_modes, class_name};
use crate::tree::{Fill, Tree};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::quantity::Quantity;

const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const CLAIM: &str = "PersistentVolumeClaim";

/// What an update tolerates because the stored claim has it.
#[derive(Clone, Copy)]
struct Leniency {
    /// A wrong selector.
    selector: bool,
    /// Wrong API groups of data sources.
    groups: bool,
}

pub(in super::super) fn claim(claim: &Value, out: &mut Report) {
    claim_spec(&SPEC, spec_of(claim), out);
}

/// A new claim, or the template of one.
pub(in super::super) fn claim_spec(at: &At<'_>, spec: &Value, out: &mut Report) {
    lenient_spec(at, spec, Leniency { selector: false, groups: false }, out);
}

fn lenient_spec(at: &At<'_>, spec: &Value, lenient: Leniency, out: &mut Report) {
    let modes = at.child("accessModes");
    if spec.items("accessModes").is_empty() {
        out.required(&modes, "at least 1 access mode is required");
    }
    if !lenient.selector {
        selector(&at.child("selector"), spec.at("selector"), out);
    }
    access_modes(&modes, spec, out);
    let resources = at.child("resources");
    let size_at = resources.key("storage");
    match size(spec) {
        None => out.required(&size_at, ""),
        Some(size) if size.is_zero() || size.is_negative() => {
            out.invalid(&size_at, size.to_string().as_str(), NOT_POSITIVE);
        }
        Some(_) => {}
    }
    class_name(&at.child("storageClassName"), spec.text("storageClassName"), out);
    if let Some(mode) = spec.at("volumeMode").and_then(Value::as_str)
        && !VOLUME_MODES.contains(&mode)
    {
        out.not_supported(&at.child("volumeMode"), mode, &VOLUME_MODES);
    }
    data_sources(at, spec, lenient, out);
    class_name(&at.child("volumeAttributesClassName"), spec.text("volumeAttributesClassName"), out);
}

fn size(spec: &Value) -> Option<Quantity> {
    spec.at("resources")?.at("requests")?.at("storage").and_then(quantity)
}

fn data_sources(at: &At<'_>, spec: &Value, lenient: Leniency, out: &mut Report) {
    let (source, reference) = (spec.at("dataSource"), spec.at("dataSourceRef"));
    for (key, source) in [("dataSource", source), ("dataSourceRef", reference)] {
        if let Some(source) = source {
            data_source(&at.child(key), source, lenient, out);
        }
    }
    let (Some(source), Some(reference)) = (source, reference) else { return };
    // Upstream's value here is a path, which prints as an empty object.
    let nothing = Value::Object(apimachinery::Map::new());
    if !reference.text("namespace").is_empty() {
        out.invalid(at, &nothing, "may not be specified when dataSourceRef.namespace is specified");
    } else if ["apiGroup", "kind", "name"]
        .iter()
        .any(|key| source.at(key).map(Value::as_str) != reference.at(key).map(Value::as_str))
    {
        out.invalid(at, &nothing, "must match dataSourceRef");
    }
}

fn data_source(at: &At<'_>, source: &Value, lenient: Leniency, out: &mut Report) {
    for key in ["name", "kind"] {
        if source.text(key).is_empty() {
            out.required(&at.child(key), "");
        }
    }
    let (group, kind) = (source.text("apiGroup"), source.text("kind"));
    if group.is_empty() && kind != CLAIM {
        out.invalid(at, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
    }
    if !group.is_empty() && !lenient.groups {
        out.invalid_each(&at.child("apiGroup"), group, subdomain(group));
    }
    // Only references have one.
    let namespace = source.text("namespace");
    if !namespace.is_empty() {
        out.invalid_each(&at.child("namespace"), namespace, label(namespace));
    }
}

pub(in super::super) fn claim_update(new: &Value, old: &Value, out: &mut Report) {
    let (spec, before) = (spec_of(new), spec_of(old));
    lenient_spec(&SPEC, spec, leniency(before), out);
    let class_change = class_change(new, old);
    if class_change != ClassChange::FromAnnotation && class_annotation(new) != class_annotation(old) {
        let metadata = At::root("metadata");
        let annotations = metadata.child("annotations");
        let value = class_annotation(new).unwrap_or_default();
        out.invalid(&annotations.child(CLASS_ANNOTATION), value, super::super::check::IMMUTABLE);
    }
    let bound = new.at("status").is_some_and(|s| s.text("phase") == "Bound");
    if !keeps_spec(spec, before, bound, class_change) {
        let why =
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        out.forbidden(&SPEC, format!("{why}\n{}", spec_difference(spec, before, bound, class_change)));
    }
    shrinks(spec, old, out);
    out.immutable(&At::root("volumeMode"), spec.at("volumeMode"), before.at("volumeMode"));
    let applied = old.at("status").is_some_and(|s| s.has("currentVolumeAttributesClassName"));
    let at = SPEC.child("volumeAttributesClassName");
    match (spec.at("volumeAttributesClassName"), before.at("volumeAttributesClassName")) {
        (None, Some(_)) if applied => {
            out.forbidden(&at, "update to nil is forbidden when status.currentVolumeAttributesClassName is not nil");
        }
        (Some(class), other) if applied && other != Some(class) && class.as_str() == Some("") => out.forbidden(
            &at,
            "update to empty string is forbidden when status.currentVolumeAttributesClassName is not nil",
        ),
        _ => {}
    }
}

fn leniency(old: &Value) -> Leniency {
    let mut found = Report::default();
    selector(&SPEC, old.at("selector"), &mut found);
    let grouped = |key: &str| old.at(key).is_some_and(|source| source.has("apiGroup"));
    Leniency { selector: !found.is_empty(), groups: grouped("dataSource") || grouped("dataSourceRef") }
}

/// What happens to the storage class, which may be named once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ClassChange {
    /// It moves from the old annotation to the specification.
    FromAnnotation,
    /// It is named for the first time.
    FromNothing,
    /// Anything else.
    Other,
}

fn class_annotation(claim: &Value) -> Option<&str> {
    claim.annotations()?.at(CLASS_ANNOTATION)?.as_str()
}

fn class_change(new: &Value, old: &Value) -> ClassChange {
    let name = spec_of(new).at("storageClassName").and_then(Value::as_str);
    let (Some(name), false) = (name, spec_of(old).has("storageClassName")) else { return ClassChange::Other };
    match class_annotation(old) {
        Some(noted) if noted != name => ClassChange::Other,
        Some(_) if class_annotation(new).is_none_or(|noted| noted == name) => ClassChange::FromAnnotation,
        _ => ClassChange::FromNothing,
    }
}

/// Whether nothing changes but what may.
fn keeps_spec(new: &Value, old: &Value, bound: bool, class: ClassChange) -> bool {
    let may_change = |key: &str| match key {
        "volumeName" => old.lacks(key),
        "storageClassName" => class != ClassChange::Other,
        "volumeAttributesClassName" => bound,
        _ => false,
    };
    let keys = |spec: &Value| spec.as_object().map(|m| m.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    keys(new).iter().chain(&keys(old)).filter(|key| !may_change(key)).all(|key| match key.as_str() {
        "resources" if bound => same_but_size(new.at(key), old.at(key)),
        "dataSource" | "dataSourceRef" => same_source(source(new, key), source(old, key)),
        key => same(new.at(key), old.at(key)),
    })
}

/// What has changed of a specification, all that may change aside.
fn spec_difference(spec: &Value, before: &Value, bound: bool, class: ClassChange) -> String {
    const SPEC: &str = "@core.PersistentVolumeClaimSpec";
    let put = |to: &mut Value, key: &str, value: Option<&Value>| {
        let Some(members) = to.as_object_mut() else { return };
        match value {
            Some(value) => drop(members.insert(key.to_owned(), value.clone())),
            None => drop(members.remove(key)),
        }
    };
    let (mut new, mut old) = (spec.clone(), before.clone());
    for key in ["dataSource", "dataSourceRef"] {
        put(&mut new, key, source(spec, key));
        put(&mut old, key, source(before, key));
    }
    if before.lacks("volumeName") {
        put(&mut old, "volumeName", spec.at("volumeName"));
    }
    match class {
        ClassChange::FromAnnotation => put(&mut new, "storageClassName", None),
        ClassChange::FromNothing => put(&mut new, "storageClassName", before.at("storageClassName")),
        ClassChange::Other => {}
    }
    if bound {
        let requested = before.at("resources").and_then(|r| r.at("requests")?.at("storage"));
        if let Some(requests) = new.inner("resources").and_then(|r| r.inner("requests")) {
            put(requests, "storage", requested);
        }
        put(&mut new, "volumeAttributesClassName", before.at("volumeAttributesClassName"));
    }
    difference(&Internal(Some(&old), SPEC), &Internal(Some(&new), SPEC))
}

/// A data source; where old clients have named it in one member only, it is the other's, too.
fn source<'a>(spec: &'a Value, key: &str) -> Option<&'a Value> {
    let other = if key == "dataSource" { "dataSourceRef" } else { "dataSource" };
    spec.at(key).or_else(|| spec.at(other).filter(|source| source.text("namespace").is_empty()))
}

fn same_source(new: Option<&Value>, old: Option<&Value>) -> bool {
    let (Some(new), Some(old)) = (new, old) else { return new.is_none() && old.is_none() };
    ["apiGroup", "kind", "name", "namespace"].iter().all(|key| same(new.at(key), old.at(key)))
}

/// Whether a claim asks for the same resources, the size aside.
fn same_but_size(new: Option<&Value>, old: Option<&Value>) -> bool {
    let limits = |resources: Option<&Value>| resources.and_then(|r| r.at("limits")).cloned();
    let others = |resources: Option<&Value>| {
        let requests = resources.and_then(|r| r.object("requests")).into_iter().flatten();
        requests.filter(|(key, _)| *key != "storage").map(|(k, v)| (k.clone(), v.clone())).collect::<Vec<_>>()
    };
    same(limits(new).as_ref(), limits(old).as_ref()) && others(new) == others(old)
}

/// A claim may shrink to no less than what its volume has.
fn shrinks(new: &Value, old: &Value, out: &mut Report) {
    // What is not asked for is asked for as nothing.
    let asked = |spec: &Value| size(spec).or_else(|| "0".parse().ok());
    let (Some(size), Some(before)) = (asked(new), asked(spec_of(old))) else { return };
    let held = old.at("status").and_then(|s| s.at("capacity")).and_then(|c| c.at("storage")).and_then(quantity);
    let at_most_held = match held {
        Some(held) => size <= held,
        None => size.is_zero() || size.is_negative(),
    };
    if size < before && at_most_held {
        let at = SPEC.child("resources");
        let at = at.child("requests");
        out.forbidden(&at.child("storage"), "field can not be less than status.capacity");
    }
}

/// A changed status: amounts, and how far growing has got.
pub(in super::super) fn claim_status(new: &Value, _: &Value, out: &mut Report) {
    if new.resource_version().is_empty() {
        out.required(&At::root("resourceVersion"), "");
    }
    if spec_of(new).items("accessModes").is_empty() {
        out.required(&At::root("Spec").child("accessModes"), "");
    }
    let at = At::root("status");
    let Some(status) = new.at("status") else { return };
    let capacity = at.child("capacity");
    for (name, amount) in status.entries("capacity") {
        super::not_negative_amount(&capacity.key(name), amount, out);
    }
    const STATES: [&str; 5] = [
        "ControllerResizeInProgress",
        "ControllerResizeInfeasible",
        "NodeResizePending",
        "NodeResizeInProgress",
        "NodeResizeInfeasible",
    ];
    let statuses = at.child("allocatedResourceStatuses");
    for (name, state) in status.entries("allocatedResourceStatuses") {
        resource_key(&statuses, name, out);
        if !state.as_str().is_some_and(|state| STATES.contains(&state)) {
            let mut sorted = STATES;
            sorted.sort_unstable();
            out.not_supported(&statuses, name, &sorted);
        }
    }
    let allocated = at.child("allocatedResources");
    for (name, amount) in status.entries("allocatedResources") {
        if resource_key(&allocated, name, out) {
            super::not_negative_amount(&allocated.key(name), amount, out);
        }
    }
}

/// A resource that a claim can have; whether it is right.
fn resource_key(at: &At<'_>, name: &str, out: &mut Report) -> bool {
    let findings = label_key_errors(name);
    if !findings.is_empty() {
        out.invalid_each(at, name, findings);
        return false;
    }
    let native = !name.contains('/') || name.contains("kubernetes.io/");
    if native && name != "storage" {
        out.not_supported(at, name, &["storage"]);
    }
    !native || name == "storage"
}
