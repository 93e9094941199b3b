//! Persistent volumes.

use super::super::check::{At, IMMUTABLE, Report, same};
use super::super::pod::node_selector;
use super::super::printed::{Internal, difference};
use super::super::values::{NOT_POSITIVE, quantity};
use super::super::workloads::spec_of;
use super::sources::{Volume, exactly_one, given, takes_mount_options};
use super::{SPEC, VOLUME_MODES, access_modes, class_name, not_negative_amount};
use crate::tree::{Fill, Tree};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

const MOUNT_OPTIONS: &str = "volume.beta.kubernetes.io/mount-options";
const INLINE: &str = "may not be specified in the context of inline volumes";

pub(in super::super) fn volume(volume: &Value, out: &mut Report) {
    volume_spec(volume, true, out);
    mount_options(volume, out);
}

/// The specification; nodes that were wrong already are let pass.
fn volume_spec(volume: &Value, check_nodes: bool, out: &mut Report) {
    let spec = spec_of(volume);
    modes(&SPEC, spec, out);
    capacity(spec, out);
    const POLICIES: [&str; 3] = ["Delete", "Recycle", "Retain"];
    let policy = spec.text("persistentVolumeReclaimPolicy");
    out.one_of_or_empty(&SPEC.child("persistentVolumeReclaimPolicy"), policy, &POLICIES);
    let affinity = spec.at("nodeAffinity");
    if check_nodes && let Some(affinity) = affinity {
        nodes(&SPEC.child("nodeAffinity"), affinity, out);
    }
    exactly_one(&SPEC, spec, &Volume { name: volume.name() }, affinity.is_some(), out);
    recycled_root(&SPEC, spec, out);
    class_name(&SPEC.child("storageClassName"), spec.text("storageClassName"), out);
    if let Some(mode) = spec.at("volumeMode").and_then(Value::as_str)
        && !VOLUME_MODES.contains(&mode)
    {
        out.not_supported(&SPEC.child("volumeMode"), mode, &VOLUME_MODES);
    }
    let at = SPEC.child("volumeAttributesClassName");
    match spec.at("volumeAttributesClassName").and_then(Value::as_str) {
        None => return,
        Some("") => out.required(&at, "an empty string is disallowed"),
        Some(name) => class_name(&at, name, out),
    }
    if !spec.has("csi") {
        out.required(&SPEC.child("csi"), "has to be specified when using volumeAttributesClassName");
    }
}

/// A volume inside an attachment: only CSI, and only what its driver needs.
pub(super) fn inline(at: &At<'_>, spec: &Value, out: &mut Report) {
    for key in ["claimRef", "capacity"].iter().filter(|key| !spec.lacks(key)) {
        out.forbidden(&at.child(key), INLINE);
    }
    if !spec.has("csi") {
        out.required(&at.child("csi"), "has to be specified in the context of inline volumes");
    }
    modes(at, spec, out);
    if !matches!(spec.text("persistentVolumeReclaimPolicy"), "" | "Retain") {
        let at = at.child("persistentVolumeReclaimPolicy");
        out.forbidden(&at, "may only be Retain in the context of inline volumes");
    }
    if spec.has("nodeAffinity") {
        out.forbidden(&at.child("nodeAffinity"), INLINE);
    }
    exactly_one(at, spec, &Volume { name: "" }, false, out);
    recycled_root(at, spec, out);
    if !spec.text("storageClassName").is_empty() {
        out.forbidden(&at.child("storageClassName"), INLINE);
    }
    if spec.at("volumeMode").and_then(Value::as_str).is_some_and(|mode| mode != "Filesystem") {
        let detail = "may not specify volumeMode other than Filesystem in the context of inline volumes";
        out.forbidden(&at.child("volumeMode"), detail);
    }
}

fn modes(at: &At<'_>, spec: &Value, out: &mut Report) {
    let at = at.child("accessModes");
    if spec.items("accessModes").is_empty() {
        out.required(&at, "");
    }
    access_modes(&at, spec, out);
}

fn capacity(spec: &Value, out: &mut Report) {
    let at = SPEC.child("capacity");
    let capacity = spec.object("capacity");
    if capacity.is_none_or(|c| c.is_empty()) {
        out.required(&at, "");
    }
    if capacity.is_none_or(|c| !c.contains_key("storage") || c.len() > 1) {
        out.not_supported(&at, spec.at("capacity").unwrap_or(&Value::Null), &["storage"]);
    }
    for (name, amount) in capacity.into_iter().flatten() {
        let at = at.key(name);
        not_negative_amount(&at, amount, out);
        if let Some(amount) = quantity(amount).filter(|amount| amount.is_zero() || amount.is_negative()) {
            out.invalid(&at, amount.to_string().as_str(), NOT_POSITIVE);
        }
    }
}

fn nodes(at: &At<'_>, affinity: &Value, out: &mut Report) {
    let at = at.child("required");
    match affinity.at("required") {
        None => out.required(&at, "must specify required node constraints"),
        Some(required) => node_selector(&at, required, out),
    }
}

/// Recycling the root directory would wipe the node.
fn recycled_root(at: &At<'_>, spec: &Value, out: &mut Report) {
    let path = spec.at("hostPath").map_or("", |source| source.text("path"));
    if spec.text("persistentVolumeReclaimPolicy") == "Recycle" && is_root(path) {
        out.forbidden(&at.child("persistentVolumeReclaimPolicy"), "may not be 'recycle' for a hostPath mount of '/'");
    }
}

fn is_root(path: &str) -> bool {
    let mut depth = 0_usize;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => depth = depth.saturating_sub(1),
            _ => depth += 1,
        }
    }
    path.starts_with('/') && depth == 0
}

fn mount_options(volume: &Value, out: &mut Report) {
    if volume.annotations().is_some_and(|a| a.contains_key(MOUNT_OPTIONS)) && !takes_mount_options(spec_of(volume)) {
        let metadata = At::root("metadata");
        let annotations = metadata.child("annotations");
        out.forbidden(&annotations.child(MOUNT_OPTIONS), "may not specify mount options for this volume type");
    }
}

pub(in super::super) fn volume_update(new: &Value, old: &Value, out: &mut Report) {
    let check_nodes = checks_nodes(spec_of(new), spec_of(old));
    volume_spec(new, check_nodes, out);
    mount_options(new, out);
    // Upstream has the specification checked by two functions, and says what is wrong twice.
    volume_spec(new, check_nodes, out);
    let (new, old) = (spec_of(new), spec_of(old));
    if !keeps_source(new, old) {
        let why = "spec.persistentvolumesource is immutable after creation";
        out.forbidden(&SPEC.child("persistentvolumesource"), format!("{why}\n{}", source_difference(new, old)));
    }
    out.immutable(&At::root("volumeMode"), new.at("volumeMode"), old.at("volumeMode"));
    if let Some(before) = old.at("nodeAffinity")
        && !new.at("nodeAffinity").is_some_and(|affinity| keeps_nodes(affinity, before))
    {
        let affinity = Internal(new.at("nodeAffinity"), "*@core.VolumeNodeAffinity");
        let detail = format!("{IMMUTABLE}, except for updating from beta label to GA");
        out.invalid(&At::root("nodeAffinity"), affinity, detail);
    }
    if old.has("volumeAttributesClassName") && !new.has("volumeAttributesClassName") {
        out.forbidden(&SPEC.child("volumeAttributesClassName"), "update from non-nil value to nil is forbidden");
    }
}

/// Nodes that are what they were are not checked again if they were wrong already.
fn checks_nodes(new: &Value, old: &Value) -> bool {
    let (affinity, before) = (new.at("nodeAffinity"), old.at("nodeAffinity"));
    if !same(affinity, before) {
        return true;
    }
    let mut found = Report::default();
    if let Some(before) = before {
        nodes(&SPEC, before, &mut found);
    }
    found.is_empty()
}

/// What a CSI volume is expanded with.
const SECRET: &str = "controllerExpandSecretRef";

/// Whether the source is what it was; a secret to expand it with may be added.
fn keeps_source(new: &Value, old: &Value) -> bool {
    let keeps = |(name, source): (&str, &Value)| match (name, old.at(name)) {
        (_, None) => false,
        ("csi", Some(before)) if !before.has(SECRET) => {
            let mut rest = source.clone();
            rest.as_object_mut().map(|members| members.remove(SECRET));
            same(Some(&rest), Some(before))
        }
        (_, Some(before)) => same(Some(source), Some(before)),
    };
    given(new).all(keeps) && given(old).all(|(name, _)| new.has(name))
}

fn source_difference(new: &Value, old: &Value) -> String {
    const SOURCE: &str = "@core.PersistentVolumeSource";
    let mut rest = new.clone();
    if old.at("csi").is_some_and(|before| before.lacks(SECRET))
        && let Some(source) = rest.inner("csi").and_then(Value::as_object_mut)
    {
        source.remove(SECRET);
    }
    difference(&Internal(Some(old), SOURCE), &Internal(Some(&rest), SOURCE))
}

/// Whether the nodes are the same, the names of labels that have been renamed aside.
fn keeps_nodes(new: &Value, old: &Value) -> bool {
    let (Some(new), Some(old)) = (new.at("required"), old.at("required")) else {
        return same(Some(new), Some(old));
    };
    let (new, old) = (new.items("nodeSelectorTerms"), old.items("nodeSelectorTerms"));
    let keeps_requirements = |new: &[Value], old: &[Value]| {
        new.len() == old.len() && new.iter().zip(old).all(|(new, old)| keeps_requirement(new, old))
    };
    new.len() == old.len()
        && new.iter().zip(old).all(|(new, old)| {
            ["matchExpressions", "matchFields"].iter().all(|key| keeps_requirements(new.items(key), old.items(key)))
        })
}

fn keeps_requirement(new: &Value, old: &Value) -> bool {
    let renamed = match old.text("key") {
        "failure-domain.beta.kubernetes.io/zone" => "topology.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region" => "topology.kubernetes.io/region",
        "beta.kubernetes.io/os" => "kubernetes.io/os",
        "beta.kubernetes.io/arch" => "kubernetes.io/arch",
        "beta.kubernetes.io/instance-type" => "node.kubernetes.io/instance-type",
        _ => "",
    };
    let key = new.text("key");
    (key == old.text("key") || (!renamed.is_empty() && key == renamed))
        && ["operator", "values"].iter().all(|member| same(new.at(member), old.at(member)))
}

/// A changed status says which version it changes.
pub(in super::super) fn volume_status(new: &Value, _: &Value, out: &mut Report) {
    if new.resource_version().is_empty() {
        out.required(&At::root("resourceVersion"), "");
    }
}
