//! What is wrong with a definition.
//!
//! Upstream: `apiextensions-apiserver/pkg/apis/apiextensions/validation`.

mod conversion;
mod defaults;
mod field_path;
mod formats;
mod openapi;
mod spec;
mod structural;
mod unsupported;

use crate::definition::Names;
use crate::status;
use apimachinery::Value;
use apimachinery::field::FieldError;
use apimachinery::meta::ObjectMeta;
use rules::tree::Tree;
use rules::validation::check::{At, Report};

pub use formats::warnings as formats;

const SPEC: At<'static> = At::root("spec");
const STATUS: At<'static> = At::root("status");

/// What is wrong with a new definition.
pub fn create(definition: &Value) -> Vec<FieldError> {
    let mut out = Report::default();
    let spec_value = definition.at("spec").unwrap_or(&Value::Null);
    let names = Names::read(spec_value.at("names"));
    let (metadata, expected) = (At::root("metadata"), format!("{}.{}", names.plural, spec_value.text("group")));
    for (key, name) in [("generateName", definition.meta_str("generateName")), ("name", definition.name())] {
        if !name.is_empty() && name != expected {
            out.invalid(&metadata.child(key), name, "must be spec.names.plural+\".\"+spec.group");
        }
    }
    spec::check(spec_value, None, &mut out);
    if spec_value.flag("preserveUnknownFields") {
        let why =
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        out.invalid(&SPEC.child("preserveUnknownFields"), true, why);
    }
    shared(definition, spec_value, None, &mut out);
    out.finish()
}

/// What is wrong with a changed definition; what was wrong before may stay where upstream lets it.
pub fn update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut out = Report::default();
    let (spec_value, old_spec) = (new.at("spec").unwrap_or(&Value::Null), old.at("spec").unwrap_or(&Value::Null));
    spec::check(spec_value, Some(old), &mut out);
    let names_at = SPEC.child("names");
    let names = |spec: &Value, key: &str| spec.at("names").and_then(|n| n.at(key)).cloned();
    if status::is_true(old, "Established") {
        out.immutable(&SPEC.child("scope"), spec_value.at("scope"), old_spec.at("scope"));
        out.immutable(&names_at.child("kind"), names(spec_value, "kind").as_ref(), names(old_spec, "kind").as_ref());
    }
    out.immutable(&SPEC.child("group"), spec_value.at("group"), old_spec.at("group"));
    out.immutable(&names_at.child("plural"), names(spec_value, "plural").as_ref(), names(old_spec, "plural").as_ref());
    shared(new, spec_value, Some(old), &mut out);
    out.finish()
}

/// What is wrong with a changed status.
pub fn update_status(new: &Value) -> Vec<FieldError> {
    let mut out = Report::default();
    accepted_names(new, &mut out);
    out.finish()
}

fn shared(definition: &Value, spec_value: &Value, old: Option<&Value>, out: &mut Report) {
    accepted_names(definition, out);
    stored_versions(definition, spec_value, out);
    approval(definition, old, out);
}

fn accepted_names(definition: &Value, out: &mut Report) {
    let accepted = Names::read(definition.pointer("/status/acceptedNames"));
    spec::names(&accepted, &STATUS.child("acceptedNames"), out);
}

fn stored_versions(definition: &Value, spec_value: &Value, out: &mut Report) {
    let at = STATUS.child("storedVersions");
    let stored = definition.pointer("/status/storedVersions").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
    let list: Vec<&str> = stored.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if list.is_empty() {
        return out.invalid(&at, &stored, "must have at least one stored version");
    }
    let versions = spec_value.items("versions");
    for version in versions.iter().filter(|v| v.flag("storage") && !list.contains(&v.text("name"))) {
        out.invalid(&at, &stored, format!("must have the storage version {}", version.text("name")));
    }
    for (index, name) in list.iter().enumerate() {
        if !versions.iter().any(|version| version.text("name") == *name) {
            let why = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions \
                 until a storage migration ensures no data remains persisted in {name} and removes {name} from \
                 status.storedVersions"
            );
            out.invalid(&at.index(index), *name, why);
        }
    }
}

/// Protected groups need an approval annotation that makes sense, unless it has not changed.
fn approval(definition: &Value, old: Option<&Value>, out: &mut Report) {
    let of = |definition: &Value| {
        status::approval(definition).filter(|c| matches!(c.reason, "MissingAnnotation" | "InvalidAnnotation"))
    };
    let Some(wrong) = of(definition) else { return };
    if old.is_some_and(|old| of(old).is_some_and(|before| before == wrong)) {
        return;
    }
    let metadata = At::root("metadata");
    let annotations = metadata.child("annotations");
    let at = annotations.key("api-approved.kubernetes.io");
    match wrong.reason {
        "MissingAnnotation" => out.required(&at, &wrong.message),
        _ => {
            let annotation = definition.pointer("/metadata/annotations/api-approved.kubernetes.io");
            out.invalid(&at, annotation.unwrap_or(&Value::Null), wrong.message);
        }
    }
}

/// What is not structural about the schemas of a definition.
pub(crate) fn structural_errors(definition: &Value) -> Vec<FieldError> {
    let mut out = Report::default();
    let spec_value = definition.at("spec").unwrap_or(&Value::Null);
    if spec_value.flag("preserveUnknownFields") {
        out.invalid(&SPEC.child("preserveUnknownFields"), true, "must be false");
    }
    let versions = SPEC.child("versions");
    for (index, version) in spec_value.items("versions").iter().enumerate() {
        let Some(schema) = version.pointer("/schema/openAPIV3Schema") else { continue };
        let (at, mut found) = (versions.index(index), Report::default());
        let at = at.child("schema");
        structural::check(schema, &at.child("openAPIV3Schema"), &mut found);
        out = Report::from(out.with(found.finish()));
    }
    out.finish()
}

#[cfg(test)]
mod tests;
