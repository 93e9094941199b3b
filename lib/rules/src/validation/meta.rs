//! Metadata of objects.
//!
//! Upstream: `apimachinery/pkg/api/validation/objectmeta.go`.

mod passes;

use super::check::{At, Report, same};
use super::names::{NameRule, label, label_key_errors, long_name};
use super::values::{NEGATIVE, labels};
use crate::tree::Tree;
use apimachinery::gvk::parse_api_version;
use apimachinery::meta::ObjectMeta;
use apimachinery::resources::ResourceInfo;
use apimachinery::{Map, Value};
use passes::{Finalizers, Pass, Passes, Prefix};

const METADATA: At<'static> = At::root("metadata");
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// A new object's metadata, if the resource checks it; its name has been generated.
pub(super) fn create(object: &Value, resource: &ResourceInfo, rule: NameRule, out: &mut Report) {
    let passes = passes::of(resource);
    for _ in passes.create {
        whole(object, resource.namespaced, Asked { rule, ..Asked::by(&passes) }, out);
    }
}

/// A new object's metadata, where nothing else is wrong with it, and if the resource does not check it.
pub(super) fn create_generic(object: &Value, resource: &ResourceInfo, out: &mut Report) {
    if passes::of(resource).create.is_empty() && out.is_empty() {
        whole(object, resource.namespaced, GENERIC, out);
    }
}

/// What is asked of metadata beyond what is asked of all.
#[derive(Clone, Copy)]
struct Asked {
    rule: NameRule,
    finalizers: Finalizers,
    prefix: Prefix,
}

/// What upstream asks of the metadata of all objects.
const GENERIC: Asked = Asked { rule: NameRule::PathSegment, finalizers: Finalizers::Any, prefix: Prefix::Checked };

impl Asked {
    fn by(passes: &Passes) -> Self {
        Self { finalizers: passes.finalizers, prefix: passes.prefix, ..GENERIC }
    }
}

fn whole(object: &Value, namespaced: bool, asked: Asked, out: &mut Report) {
    names(object, asked, out);
    let namespace = METADATA.child("namespace");
    match (namespaced, object.namespace()) {
        (true, "") => out.required(&namespace, ""),
        (true, name) => out.invalid_each(&namespace, name, label(name)),
        (false, "") => {}
        (false, _) => out.forbidden(&namespace, "not allowed on this type"),
    }
    let Some(metadata) = object.metadata() else { return };
    if metadata.int("generation") < 0 {
        out.invalid(&METADATA.child("generation"), metadata.int("generation"), NEGATIVE);
    }
    labelled(metadata, out);
    finalizers(metadata, out);
    managers(metadata, out);
    if asked.finalizers == Finalizers::Known {
        known_finalizers(metadata, out);
    }
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

/// What is wrong with the metadata of an update; what is answered belongs behind what is wrong with the new object.
pub(super) fn update(new: &Value, old: &Value, resource: &ResourceInfo, rule: NameRule, out: &mut Report) -> Report {
    let passes = passes::of(resource);
    let mut behind = Report::default();
    match passes.update {
        [Pass::Whole, Pass::Change] => {
            all_passes(new, old, resource, rule, &passes, &[Pass::Whole], out);
            if !out.is_empty() {
                change(new, old, Asked { rule, ..Asked::by(&passes) }, &mut behind);
            }
        }
        own => all_passes(new, old, resource, rule, &passes, own, out),
    }
    behind
}

/// What is wrong with the metadata of an update of a status and the like.
pub(super) fn update_status(new: &Value, old: &Value, resource: &ResourceInfo, rule: NameRule, out: &mut Report) {
    let passes = passes::of(resource);
    all_passes(new, old, resource, rule, &passes, passes.status, out);
}

/// Upstream's generic passes, then the resource's own. Nearly always nothing is wrong, which one pass of each kind
/// finds out as well.
fn all_passes(
    new: &Value,
    old: &Value,
    resource: &ResourceInfo,
    rule: NameRule,
    passes: &Passes,
    own: &[Pass],
    out: &mut Report,
) {
    let by_resource = match own.contains(&Pass::Whole) {
        true => Asked { rule, ..Asked::by(passes) },
        false => Asked { finalizers: if own.is_empty() { Finalizers::Any } else { passes.finalizers }, ..GENERIC },
    };
    let run = |pass: Pass, asked: Asked, out: &mut Report| match pass {
        Pass::Whole => whole(new, resource.namespaced, asked, out),
        Pass::Change => change(new, old, asked, out),
    };
    let mut found = Report::default();
    run(Pass::Whole, by_resource, &mut found);
    run(Pass::Change, GENERIC, &mut found);
    if found.is_empty() {
        return;
    }
    for pass in [Pass::Whole, Pass::Change] {
        run(pass, GENERIC, out);
    }
    for pass in own {
        run(*pass, by_resource, out);
    }
}

/// What an update does to the metadata. The resource version is checked where it is compared with
/// the stored one: some resources may be overwritten without any.
fn change(new: &Value, old: &Value, asked: Asked, out: &mut Report) {
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
    let Some(new) = new else { return };
    labelled(new, out);
    managers(new, out);
    if asked.finalizers == Finalizers::Known {
        known_finalizers(new, out);
    }
}

fn names(object: &Value, asked: Asked, out: &mut Report) {
    let at = METADATA.child("name");
    let base = object.meta_str("generateName");
    if !base.is_empty() && asked.prefix == Prefix::Checked {
        out.invalid_each(&METADATA.child("generateName"), base, asked.rule.check_prefix(base));
    }
    match (object.name(), asked) {
        ("", _) => out.required(&at, "name or generateName is required"),
        (name, Asked { prefix: Prefix::Ignored, .. }) => out.invalid_each(&at, name, long_name(name)),
        (name, Asked { rule, .. }) => {
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
fn labelled(metadata: &Map, out: &mut Report) {
    labels(&METADATA.child("labels"), metadata.object("labels"), out);
    annotations(&METADATA.child("annotations"), metadata.object("annotations"), out);
    owners(metadata, out);
}

/// Finalizers without a domain are Kubernetes' own.
fn known_finalizers(metadata: &Map, out: &mut Report) {
    let at = METADATA.child("finalizers");
    for (index, finalizer) in metadata.texts("finalizers").enumerate() {
        known_finalizer(&at.index(index), finalizer, out);
    }
}

/// A finalizer without a domain is one of Kubernetes' own.
pub(super) fn known_finalizer(at: &At<'_>, finalizer: &str, out: &mut Report) {
    if !finalizer.contains('/') && !["kubernetes", "orphan", "foregroundDeletion"].contains(&finalizer) {
        out.invalid(at, finalizer, "name is neither a standard finalizer name nor is it fully qualified");
    }
}

fn managers(metadata: &Map, out: &mut Report) {
    const MAX_MANAGER: usize = 128;
    const MAX_SUBRESOURCE: usize = 256;
    let at = METADATA.child("managedFields");
    for (index, entry) in metadata.items("managedFields").iter().enumerate() {
        let at = at.index(index);
        let text = |key: &str| entry.text(key);
        if !["Apply", "Update"].contains(&text("operation")) {
            out.invalid(&at.child("operation"), text("operation"), "must be `Apply` or `Update`");
        }
        if !["", "FieldsV1"].contains(&text("fieldsType")) {
            out.invalid(&at.child("fieldsType"), text("fieldsType"), "must be `FieldsV1`");
        }
        for (key, max) in [("manager", MAX_MANAGER), ("subresource", MAX_SUBRESOURCE)] {
            if text(key).len() > max {
                out.too_long(&at.child(key), max);
            }
        }
    }
}

pub(super) fn annotations(at: &At<'_>, annotations: Option<&Map>, out: &mut Report) {
    for (key, _) in annotations.into_iter().flatten() {
        // Case does not matter here.
        out.invalid_each(at, key, label_key_errors(&key.to_lowercase()));
    }
    annotations_size(at, annotations, out);
}

pub(super) fn annotations_size(at: &At<'_>, annotations: Option<&Map>, out: &mut Report) {
    let of_one = |(key, value): (&String, &Value)| key.len() + value.as_str().unwrap_or_default().len();
    if annotations.into_iter().flatten().map(of_one).sum::<usize>() > MAX_ANNOTATIONS {
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
    for finalizer in metadata.texts("finalizers") {
        out.invalid_each(&at, finalizer, label_key_errors(finalizer));
    }
    let has = |name: &str| metadata.texts("finalizers").any(|finalizer| finalizer == name);
    if has("orphan") && has("foregroundDeletion") {
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
