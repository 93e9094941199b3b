//! Where containers see volumes.

use super::super::check::{At, Report};
use super::Context;
use super::volumes::{descending, has_backsteps};
use crate::tree::Tree;
use apimachinery::Value;
use std::collections::HashSet;

pub(super) fn volume_mounts(at: &At<'_>, container: &Value, context: &Context<'_>, out: &mut Report) {
    let devices = container.items("volumeDevices");
    let mut paths = HashSet::new();
    for (index, mount) in container.items("volumeMounts").iter().enumerate() {
        let this = at.index(index);
        let (name, path) = (mount.text("name"), mount.text("mountPath"));
        if name.is_empty() {
            out.required(&this.child("name"), "");
        }
        if context.volume(name).is_none() {
            out.not_found(&this.child("name"), name);
        }
        if path.is_empty() {
            out.required(&this.child("mountPath"), "");
        }
        if !paths.insert(path) {
            out.invalid(&this.child("mountPath"), path, "must be unique");
        }
        if devices.iter().any(|d| d.text("name") == name) {
            out.invalid(&this.child("name"), name, "must not already exist in volumeDevices");
        }
        if devices.iter().any(|d| d.text("devicePath") == path) {
            out.invalid(&this.child("mountPath"), path, "must not already exist as a path in volumeDevices");
        }
        sub_paths(at, &this, mount, out);
        propagation(at, mount, container, out);
        recursive_read_only(at, mount, out);
    }
}

/// Upstream names some of these without the mount's index.
fn sub_paths(list: &At<'_>, this: &At<'_>, mount: &Value, out: &mut Report) {
    for key in ["subPath", "subPathExpr"].into_iter().filter(|key| !mount.text(key).is_empty()) {
        if key == "subPathExpr" && !mount.text("subPath").is_empty() {
            out.invalid(&this.child(key), mount.text(key), "subPathExpr and subPath are mutually exclusive");
        }
        descending(&list.child(key), mount.text(key), out);
    }
}

fn propagation(list: &At<'_>, mount: &Value, container: &Value, out: &mut Report) {
    let at = list.child("mountPropagation");
    let Some(mode) = mount.at("mountPropagation").and_then(Value::as_str) else { return };
    if !["Bidirectional", "HostToContainer", "None"].contains(&mode) {
        out.not_supported(&at, mode, &["Bidirectional", "HostToContainer", "None"]);
    }
    let privileged = container.at("securityContext").is_some_and(|s| s.flag("privileged"));
    if mode == "Bidirectional" && !privileged {
        out.forbidden(&at, "Bidirectional mount propagation is available only to privileged containers");
    }
}

fn recursive_read_only(list: &At<'_>, mount: &Value, out: &mut Report) {
    let at = list.child("recursiveReadOnly");
    let Some(mode) = mount.at("recursiveReadOnly").and_then(Value::as_str) else { return };
    match mode {
        "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if !mount.flag("readOnly") {
                out.forbidden(&at, "may only be specified when readOnly is true");
            }
            if !matches!(mount.text("mountPropagation"), "" | "None") {
                out.forbidden(&at, "may only be specified when mountPropagation is None or not specified");
            }
        }
        other => out.not_supported(&at, other, &["Disabled", "Enabled", "IfPossible"]),
    }
}

pub(super) fn volume_devices(at: &At<'_>, container: &Value, context: &Context<'_>, out: &mut Report) {
    let mounts = container.items("volumeMounts");
    let (mut names, mut paths) = (HashSet::new(), HashSet::new());
    for (index, device) in container.items("volumeDevices").iter().enumerate() {
        let at = at.index(index);
        let (name, path) = (device.text("name"), device.text("devicePath"));
        let (name_at, path_at) = (at.child("name"), at.child("devicePath"));
        if name.is_empty() {
            out.required(&name_at, "");
        }
        if !names.insert(name) && !name.is_empty() {
            out.invalid(&name_at, name, "must be unique");
        }
        match context.volume(name) {
            Some(volume) if volume.has("persistentVolumeClaim") || volume.has("ephemeral") => {}
            Some(_) => out.invalid(
                &name_at,
                name,
                "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
            ),
            None => out.not_found(&name_at, name),
        }
        if path.is_empty() {
            out.required(&path_at, "");
        }
        let steps_back = has_backsteps(path);
        if paths.contains(path) {
            out.invalid(&path_at, path, "must be unique");
        }
        if !steps_back {
            paths.insert(path);
        }
        if steps_back {
            out.invalid(&path_at, path, "can not contain backsteps ('..')");
        }
        if mounts.iter().any(|m| m.text("name") == name) {
            out.invalid(&name_at, name, "must not already exist in volumeMounts");
        }
        if mounts.iter().any(|m| m.text("mountPath") == path) {
            out.invalid(&path_at, path, "must not already exist as a path in volumeMounts");
        }
    }
}
