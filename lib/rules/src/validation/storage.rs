//! Volumes, claims and storage classes.
//!
//! Upstream: `pkg/apis/core/validation`, `pkg/apis/storage/validation`.

use super::check::{At, Report, same};
use super::names::{label_key_errors, subdomain};
use super::pod::{node_selector, volumes};
use super::values::{NOT_POSITIVE, quantity, selector};
use super::workloads::spec_of;
use crate::tree::{Fill, Tree};
use apimachinery::Value;

const SPEC: At<'static> = At::root("spec");
const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];
/// Members of a persistent volume's specification that are not its source.
const NOT_SOURCES: [&str; 9] = [
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

fn access_modes(spec: &Value, out: &mut Report) {
    let at = SPEC.child("accessModes");
    let modes: Vec<&str> = spec.texts("accessModes").collect();
    if modes.is_empty() {
        out.required(&at, "at least 1 access mode is required");
    }
    for mode in modes.iter().filter(|mode| !MODES.contains(mode)) {
        out.not_supported(&at, *mode, &MODES);
    }
    if modes.len() > 1 && modes.contains(&"ReadWriteOncePod") {
        out.forbidden(&at, "may not use ReadWriteOncePod with other access modes");
    }
}

fn source(spec: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let members = spec.as_object().into_iter().flatten();
    members.filter(|(k, v)| !v.is_null() && !NOT_SOURCES.contains(&k.as_str())).map(|(k, v)| (k.as_str(), v))
}

pub(super) fn volume(volume: &Value, out: &mut Report) {
    let spec = spec_of(volume);
    access_modes(spec, out);
    let capacity = SPEC.child("capacity");
    if spec.lacks("capacity") {
        out.required(&capacity, "");
    } else if spec.at("capacity").is_some_and(|c| !c.has("storage") || c.as_object().is_some_and(|m| m.len() > 1)) {
        out.not_supported(&capacity, spec.at("capacity").unwrap_or(&Value::Null), &["storage"]);
    }
    if let Some(size) = spec.at("capacity").and_then(|c| c.at("storage")).and_then(quantity)
        && (size.is_zero() || size.is_negative())
    {
        out.invalid(&capacity.key("storage"), size.to_string().as_str(), NOT_POSITIVE);
    }
    const POLICIES: [&str; 3] = ["Delete", "Recycle", "Retain"];
    let policy = spec.text("persistentVolumeReclaimPolicy");
    out.one_of_or_empty(&SPEC.child("persistentVolumeReclaimPolicy"), policy, &POLICIES);
    if let Some(required) = spec.at("nodeAffinity").and_then(|a| a.at("required")) {
        let at = SPEC.child("nodeAffinity");
        node_selector(&at.child("required"), required, out);
    } else if spec.has("local") {
        out.required(&SPEC.child("nodeAffinity"), "Local volume requires node affinity");
    }
    let mut sources = source(spec);
    match sources.next() {
        None => out.required(&SPEC, "must specify a volume type"),
        Some(("hostPath", path)) => volumes::host_path(&SPEC.child("hostPath"), path, out),
        Some(_) => {}
    }
    for (kind, _) in sources {
        out.forbidden(&SPEC.child(kind), "may not specify more than 1 volume type");
    }
    out.one_of_or_empty(&SPEC.child("volumeMode"), spec.text("volumeMode"), &VOLUME_MODES);
    class_name(spec, out);
}

fn class_name(spec: &Value, out: &mut Report) {
    let name = spec.text("storageClassName");
    if !name.is_empty() {
        out.invalid_each(&SPEC.child("storageClassName"), name, subdomain(name));
    }
}

pub(super) fn volume_update(new: &Value, old: &Value, out: &mut Report) {
    let (new, old) = (spec_of(new), spec_of(old));
    let sources = |spec| source(spec).map(|(k, v)| (k.to_owned(), v.clone())).collect::<apimachinery::Map>();
    if !same(Some(&Value::Object(sources(new))), Some(&Value::Object(sources(old)))) {
        out.forbidden(&SPEC.child("persistentvolumesource"), "spec.persistentvolumesource is immutable after creation");
    }
    out.immutable(&SPEC.child("volumeMode"), new.at("volumeMode"), old.at("volumeMode"));
    if old.has("nodeAffinity") {
        out.immutable(&SPEC.child("nodeAffinity"), new.at("nodeAffinity"), old.at("nodeAffinity"));
    }
}

pub(super) fn claim(claim: &Value, out: &mut Report) {
    let spec = spec_of(claim);
    access_modes(spec, out);
    selector(&SPEC.child("selector"), spec.at("selector"), out);
    let resources = SPEC.child("resources");
    let at = resources.child("requests");
    let at = at.key("storage");
    let size = spec.at("resources").and_then(|r| r.at("requests")).and_then(|r| r.at("storage")).and_then(quantity);
    match size {
        None => out.required(&at, ""),
        Some(size) if size.is_zero() || size.is_negative() => {
            out.invalid(&at, size.to_string().as_str(), NOT_POSITIVE);
        }
        Some(_) => {}
    }
    class_name(spec, out);
    out.one_of_or_empty(&SPEC.child("volumeMode"), spec.text("volumeMode"), &VOLUME_MODES);
}

pub(super) fn claim_update(new: &Value, old: &Value, out: &mut Report) {
    let bound = new.at("status").is_some_and(|s| s.text("phase") == "Bound");
    let capacity = old.at("status").and_then(|s| s.at("capacity")).and_then(|c| c.at("storage")).and_then(quantity);
    let (new, old) = (spec_of(new), spec_of(old));
    let size = |spec: &Value| spec.at("resources")?.at("requests")?.at("storage").and_then(quantity);
    let mut rest = new.clone();
    // These may be set once, or for bound claims.
    for key in ["volumeName", "storageClassName"] {
        if old.lacks(key) {
            rest.members().map(|m| m.remove(key));
        }
    }
    if bound {
        for key in ["resources", "volumeAttributesClassName"] {
            let before = old.at(key).cloned();
            let Some(members) = rest.members() else { continue };
            match before {
                Some(value) => members.insert(key.to_owned(), value),
                None => members.remove(key),
            };
        }
    }
    if !same(Some(&rest), Some(old)) {
        out.forbidden(
            &SPEC,
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        );
    }
    if let (Some(new), Some(old)) = (size(new), size(old))
        && new < old
        && capacity.is_none_or(|held| new <= held)
    {
        let at = SPEC.child("resources");
        let at = at.child("requests");
        out.forbidden(&at.child("storage"), "field can not be less than status.capacity");
    }
}

pub(super) fn class(class: &Value, out: &mut Report) {
    let provisioner = class.text("provisioner");
    match provisioner {
        "" => out.required(&At::root("provisioner"), ""),
        name => out.invalid_each(&At::root("provisioner"), name, label_key_errors(&name.to_lowercase())),
    }
    let at = At::root("parameters");
    let parameters: Vec<(&str, &Value)> = class.entries("parameters").collect();
    if parameters.len() > 512 {
        out.too_long(&at, 512);
    }
    if parameters.iter().any(|(key, _)| key.is_empty()) {
        out.invalid(&at, "", "field can not be empty.");
    }
    const POLICIES: [&str; 2] = ["Delete", "Retain"];
    out.one_of_or_empty(&At::root("reclaimPolicy"), class.text("reclaimPolicy"), &POLICIES);
    const BINDINGS: [&str; 2] = ["Immediate", "WaitForFirstConsumer"];
    out.one_of(&At::root("volumeBindingMode"), class.text("volumeBindingMode"), &BINDINGS);
}

pub(super) fn class_update(new: &Value, old: &Value, out: &mut Report) {
    for key in ["parameters", "provisioner", "reclaimPolicy"] {
        if !same(new.at(key), old.at(key)) {
            out.forbidden(&At::root(key), format!("updates to {key} are forbidden."));
        }
    }
    out.immutable(&At::root("volumeBindingMode"), new.at("volumeBindingMode"), old.at("volumeBindingMode"));
}

pub(super) fn attachment(attachment: &Value, out: &mut Report) {
    let spec = spec_of(attachment);
    for key in ["attacher", "nodeName"] {
        if spec.text(key).is_empty() {
            out.required(&SPEC.child(key), "");
        }
    }
    if spec.at("source").is_none_or(|s| s.lacks("persistentVolumeName") && !s.has("inlineVolumeSpec")) {
        out.required(&SPEC.child("source"), "must specify exactly one of inlineVolumeSpec and persistentVolumeName");
    }
}

pub(super) fn spec_update(new: &Value, old: &Value, out: &mut Report) {
    out.immutable(&SPEC, new.at("spec"), old.at("spec"));
}
