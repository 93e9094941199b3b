//! Metadata of objects.
//!
//! Upstream: `apimachinery/pkg/api/validation/objectmeta.go`.

use super::check::{At, Report, same};
use super::names::{NameRule, label, label_key_errors};
use super::values::labels;
use crate::tree::Tree;
use apimachinery::gvk::parse_api_version;
use apimachinery::meta::ObjectMeta;
use apimachinery::{Map, Value};

const METADATA: At<'static> = At::root("metadata");
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// A new object's metadata; its name has been generated.
pub(super) fn create(object: &Value, namespaced: bool, rule: NameRule, out: &mut Report) {
    names(object, rule, out);
    let namespace = METADATA.child("namespace");
    match (namespaced, object.namespace()) {
        (true, "") => out.required(&namespace, ""),
        (true, name) => out.invalid_each(&namespace, name, label(name)),
        (false, "") => {}
        (false, _) => out.forbidden(&namespace, "not allowed on this type"),
    }
    let Some(metadata) = object.metadata() else { return };
    if metadata.int("generation") < 0 {
        out.invalid(&METADATA.child("generation"), metadata.int("generation"), "must be greater than or equal to 0");
    }
    parts(metadata, out);
    finalizers(metadata, out);
}

/// The metadata of a pod template and the like: it has no name.
pub(super) fn template(at: &At<'_>, metadata: Option<&Map>, out: &mut Report) {
    let Some(metadata) = metadata else { return };
    labels(&at.child("labels"), metadata.object("labels"), out);
    annotations(&at.child("annotations"), metadata.object("annotations"), out);
    for finalizer in metadata.texts("finalizers") {
        out.invalid_each(&at.child("finalizers"), finalizer, label_key_errors(finalizer));
    }
}

/// What an update does to the metadata. The resource version is checked where it is compared with
/// the stored one: some resources may be overwritten without any.
pub(super) fn update(new: &Value, old: &Value, out: &mut Report) {
    if old.is_deleting() {
        no_new_finalizers(new, old, out);
    }
    let (new, old) = (new.metadata(), old.metadata());
    let at = |key: &str| (new.and_then(|m| m.at(key)), old.and_then(|m| m.at(key)));
    let generation = |m: Option<&Map>| m.map_or(0, |m| m.int("generation"));
    if generation(new) < generation(old) {
        out.invalid(&METADATA.child("generation"), generation(new), "must not be decremented");
    }
    const FIXED: [&str; 6] =
        ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"];
    for key in FIXED {
        let (new, old) = at(key);
        out.immutable(&METADATA.child(key), new, old);
    }
    if let Some(new) = new {
        parts(new, out);
    }
}

fn names(object: &Value, rule: NameRule, out: &mut Report) {
    let at = METADATA.child("name");
    let base = object.meta_str("generateName");
    if !base.is_empty() {
        out.invalid_each(&METADATA.child("generateName"), base, rule.check_prefix(base));
    }
    match object.name() {
        "" => out.required(&at, "name or generateName is required"),
        name => {
            out.invalid_each(&at, name, rule.check(name));
            if let NameRule::Short(max) = rule
                && name.len() > max
            {
                out.invalid(&at, name, format!("must be no more than {max} characters"));
            }
        }
    }
}

/// What is checked both of new and of changed metadata.
fn parts(metadata: &Map, out: &mut Report) {
    labels(&METADATA.child("labels"), metadata.object("labels"), out);
    annotations(&METADATA.child("annotations"), metadata.object("annotations"), out);
    owners(metadata, out);
}

pub(super) fn annotations(at: &At<'_>, annotations: Option<&Map>, out: &mut Report) {
    let Some(annotations) = annotations else { return };
    let mut size = 0;
    for (key, value) in annotations {
        size += key.len() + value.as_str().unwrap_or_default().len();
        // Case does not matter here.
        out.invalid_each(at, key, label_key_errors(&key.to_lowercase()));
    }
    if size > MAX_ANNOTATIONS {
        out.too_long(at, MAX_ANNOTATIONS);
    }
}

fn owners(metadata: &Map, out: &mut Report) {
    let at = METADATA.child("ownerReferences");
    let mut controller: Option<String> = None;
    for owner in metadata.items("ownerReferences") {
        owner_reference(&at, owner, out);
        if !owner.flag("controller") {
            continue;
        }
        let this = format!("{}/{}", owner.text("kind"), owner.text("name"));
        match &controller {
            None => controller = Some(this),
            Some(first) => out.invalid(
                &at,
                metadata.at("ownerReferences").unwrap_or(&Value::Null),
                format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"
                ),
            ),
        }
    }
}

fn owner_reference(at: &At<'_>, owner: &Value, out: &mut Report) {
    let version = parse_api_version(owner.text("apiVersion")).map_or("", |(_, version)| version);
    if version.is_empty() {
        out.invalid(&at.child("apiVersion"), owner.text("apiVersion"), "version must not be empty");
    }
    for key in ["kind", "name", "uid"] {
        if owner.text(key).is_empty() {
            out.invalid(&at.child(key), "", "must not be empty");
        }
    }
    if owner.text("apiVersion") == "v1" && owner.text("kind") == "Event" {
        out.invalid(at, owner, "/v1, Kind=Event is disallowed from being an owner");
    }
}

fn finalizers(metadata: &Map, out: &mut Report) {
    let at = METADATA.child("finalizers");
    let list: Vec<&str> = metadata.texts("finalizers").collect();
    for finalizer in &list {
        out.invalid_each(&at, finalizer, label_key_errors(finalizer));
    }
    if list.contains(&"orphan") && list.contains(&"foregroundDeletion") {
        let value = metadata.at("finalizers").unwrap_or(&Value::Null);
        out.invalid(&at, value, "finalizer orphan and foregroundDeletion cannot be both set");
    }
}

fn no_new_finalizers(new: &Value, old: &Value, out: &mut Report) {
    let old = old.finalizers();
    let mut extra: Vec<&str> = new.finalizers().into_iter().filter(|f| !old.contains(f)).collect();
    extra.sort_unstable();
    if !extra.is_empty() {
        let list: Vec<String> = extra.iter().map(|f| format!("{f:?}")).collect();
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            list.join(", ")
        );
        out.forbidden(&METADATA.child("finalizers"), detail);
    }
}

/// Whether the metadata of two objects differ in anything that matters.
pub(super) fn labels_match(labels: Option<&Map>, wanted: Option<&Map>) -> bool {
    wanted.into_iter().flatten().all(|(key, value)| same(labels.and_then(|l| l.get(key)), Some(value)))
}
