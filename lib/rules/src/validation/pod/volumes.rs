//! Volumes and their sources.

mod files;
mod projected;
mod remote;

pub(super) use projected::token_paths;

use super::super::check::{At, Report};
use super::super::names::{label, subdomain};
use super::super::values::{labels, quantity};
use super::super::{meta, storage};
use super::Context;
use crate::tree::{Tree, is_empty};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use std::collections::HashSet;

const FILE_MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";
const ONE_TYPE: &str = "may not specify more than 1 volume type";

/// Checks the volumes, and tells the positions of those that are wrong: nothing finds them.
pub(super) fn all(at: &At<'_>, context: &Context<'_>, out: &mut Report) -> Vec<usize> {
    let volumes = context.spec.items("volumes");
    let name = context.pod.map_or("", ObjectMeta::name);
    let made: HashSet<String> = volumes
        .iter()
        .filter(|v| !name.is_empty() && v.has("ephemeral"))
        .map(|volume| format!("{name}-{}", volume.text("name")))
        .collect();
    let (mut names, mut wrong) = (HashSet::new(), Vec::new());
    for (index, volume) in volumes.iter().enumerate() {
        let at = at.index(index);
        let mut found = Report::default();
        self::volume(&at, volume, &mut names, context, &mut found);
        if found.is_empty() {
            names.insert(volume.text("name"));
        } else {
            wrong.push(index);
            out.append(found);
        }
        let claim = volume.at("persistentVolumeClaim").map_or("", |c| c.text("claimName"));
        if made.contains(claim) {
            let detail = "must not reference a PVC that gets created for an ephemeral volume";
            out.invalid(&at.child("persistentVolumeClaim").child("claimName"), claim, detail);
        }
    }
    wrong
}

fn volume<'v>(at: &At<'_>, volume: &'v Value, names: &mut HashSet<&'v str>, context: &Context<'_>, out: &mut Report) {
    sources(at, volume, context, out);
    let (name, name_at) = (volume.text("name"), at.child("name"));
    match name {
        "" => out.required(&name_at, ""),
        name => out.invalid_each(&name_at, name, label(name)),
    }
    if names.contains(name) {
        out.duplicate(&name_at, name);
    }
}

/// All kinds of sources, in the order in which the first of several counts.
const SOURCES: [&str; 30] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

/// Exactly one source.
fn sources(at: &At<'_>, volume: &Value, context: &Context<'_>, out: &mut Report) {
    let members = volume.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let position = |key: &str| SOURCES.iter().position(|kind| *kind == key);
    let mut given: Vec<usize> = members.filter_map(|(key, _)| position(key)).collect();
    given.sort_unstable();
    if given.is_empty() {
        return out.required(at, "must specify a volume type");
    }
    for (place, kind) in given.into_iter().map(|position| SOURCES[position]).enumerate() {
        let Some(source) = volume.at(kind) else { continue };
        match (place, kind) {
            (0, _) => self::source(at, (kind, source), volume, context, out),
            // Upstream's spelling.
            (_, "cephfs") => out.forbidden(&at.child("cephFS"), ONE_TYPE),
            (_, "downwardAPI") => out.forbidden(&at.child("downwarAPI"), ONE_TYPE),
            (_, kind) => out.forbidden(&at.child(kind), ONE_TYPE),
        }
        if kind == "iscsi" {
            initiator_length(at, source, volume, out);
        }
    }
}

fn initiator_length(at: &At<'_>, source: &Value, volume: &Value, out: &mut Report) {
    let name = volume.text("name");
    if source.has("initiatorName") && name.len() + 1 + source.text("targetPortal").len() > 64 {
        let detail = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if \
                      iscsi.initiatorName is specified.";
        out.invalid(&at.child("name"), name, detail);
    }
}

fn source(volume_at: &At<'_>, (kind, source): (&str, &Value), volume: &Value, context: &Context<'_>, out: &mut Report) {
    let at = &volume_at.child(kind);
    match kind {
        "emptyDir" => empty_dir(at, source, out),
        "hostPath" => host_path(at, source, out),
        "configMap" => files::map(at, source, "name", out),
        "secret" => files::map(at, source, "secretName", out),
        "downwardAPI" => files::downward(at, source, out),
        "projected" => projected::check(at, source, context.kept, out),
        "csi" => csi(at, source, out),
        "ephemeral" => ephemeral(volume_at, source, volume, context, out),
        "image" => image(at, source, context.pod.is_some(), out),
        // Upstream's name for it.
        "gcePersistentDisk" => remote::check(&volume_at.child("persistentDisk"), kind, source, out),
        _ => remote::check(at, kind, source, out),
    }
}

fn empty_dir(at: &At<'_>, source: &Value, out: &mut Report) {
    if let Some(limit) = source.at("sizeLimit").and_then(quantity)
        && limit.is_negative()
    {
        out.forbidden(&at.child("sizeLimit"), "SizeLimit field must be a valid resource quantity");
    }
}

/// A path on the host; also of persistent volumes.
pub(in super::super) fn host_path(at: &At<'_>, source: &Value, out: &mut Report) {
    let path = source.text("path");
    if path.is_empty() {
        return out.required(&at.child("path"), "");
    }
    no_backsteps(&at.child("path"), path, out);
    const TYPES: [&str; 8] =
        ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    let kind = source.text("type");
    if !TYPES.contains(&kind) {
        out.not_supported(&at.child("type"), kind, &TYPES);
    }
}

fn csi(at: &At<'_>, source: &Value, out: &mut Report) {
    remote::driver_name(&at.child("driver"), source.text("driver"), out);
    match source.at("nodePublishSecretRef").map(|r| r.text("name")) {
        None => {}
        Some("") => out.required(&at.child("nodePublishSecretRef").child("name"), ""),
        Some(name) => out.invalid_each(&at.child("name"), name, subdomain(name)),
    }
}

/// A claim that lives as long as the pod, and is named after it.
fn ephemeral(volume_at: &At<'_>, source: &Value, volume: &Value, context: &Context<'_>, out: &mut Report) {
    let at = volume_at.child("ephemeral");
    let at = at.child("volumeClaimTemplate");
    match source.at("volumeClaimTemplate") {
        None => out.required(&at, ""),
        Some(template) => {
            claim_metadata(&at.child("metadata"), template, out);
            storage::claim_spec(&at.child("spec"), template.at("spec").unwrap_or(&Value::Null), out);
        }
    }
    let (pod, name) = (context.pod.map_or("", ObjectMeta::name), volume.text("name"));
    if !pod.is_empty() && !name.is_empty() {
        let claim = format!("{pod}-{name}");
        for finding in subdomain(&claim) {
            out.invalid(&volume_at.child("name"), name, format!("PVC name {claim:?}: {finding}"));
        }
    }
}

/// Labels and annotations, and nothing else.
fn claim_metadata(at: &At<'_>, template: &Value, out: &mut Report) {
    let Some(metadata) = template.metadata() else { return };
    meta::annotations(&at.child("annotations"), metadata.object("annotations"), out);
    labels(&at.child("labels"), metadata.object("labels"), out);
    const OTHERS: [(&str, &str); 13] = [
        ("name", "name"),
        ("generateName", "generateName"),
        ("namespace", "namespace"),
        ("selfLink", "selfLink"),
        ("uid", "uID"),
        ("resourceVersion", "resourceVersion"),
        ("generation", "generation"),
        ("creationTimestamp", "creationTimestamp"),
        ("deletionTimestamp", "deletionTimestamp"),
        ("deletionGracePeriodSeconds", "deletionGracePeriodSeconds"),
        ("ownerReferences", "ownerReferences"),
        ("finalizers", "finalizers"),
        ("managedFields", "managedFields"),
    ];
    for (key, printed) in OTHERS {
        if metadata.at(key).is_some_and(|value| value.is_array() || !is_empty(value) && value.as_i64() != Some(0)) {
            out.forbidden(&at.child(printed), "cannot be set");
        }
    }
}

/// An image as a volume. A template may leave the image to whoever makes pods of it.
fn image(at: &At<'_>, source: &Value, of_pod: bool, out: &mut Report) {
    if of_pod && source.text("reference").is_empty() {
        out.required(&at.child("reference"), "");
    }
    out.one_of(&at.child("pullPolicy"), source.text("pullPolicy"), &["Always", "IfNotPresent", "Never"]);
}

/// Whether a path has `..` as one of its parts.
pub(super) fn has_backsteps(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

pub(super) fn no_backsteps(at: &At<'_>, path: &str, out: &mut Report) {
    if has_backsteps(path) {
        out.invalid(at, path, "must not contain '..'");
    }
}

/// A path that stays below where it starts.
pub(super) fn descending(at: &At<'_>, path: &str, out: &mut Report) {
    if path.starts_with('/') {
        out.invalid(at, path, "must be a relative path");
    }
    no_backsteps(at, path, out);
}

/// The same, and not one of the names that start with two dots.
fn non_reserved(at: &At<'_>, path: &str, out: &mut Report) {
    descending(at, path, out);
    if path.starts_with("..") && !path.starts_with("../") {
        out.invalid(at, path, "must not start with '..'");
    }
}
