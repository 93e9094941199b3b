//! Volumes and their sources.

use super::super::check::{At, Report};
use super::super::names::{config_key, label};
use super::super::values::quantity;
use super::env::{field_selector, resource_selector};
use crate::tree::Tree;
use apimachinery::Value;
use std::collections::HashSet;

const FILE_MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";
const FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

pub(super) fn all(at: &At<'_>, volumes: &[Value], out: &mut Report) {
    let mut names = HashSet::new();
    for (index, volume) in volumes.iter().enumerate() {
        let at = at.index(index);
        sources(&at, volume, out);
        let name_at = at.child("name");
        match volume.text("name") {
            "" => out.required(&name_at, ""),
            name => {
                out.invalid_each(&name_at, name, label(name));
                if !names.insert(name) {
                    out.duplicate(&name_at, name);
                }
            }
        }
    }
}

/// Exactly one source.
fn sources(at: &At<'_>, volume: &Value, out: &mut Report) {
    let members = volume.as_object().into_iter().flatten();
    let mut given = members.filter(|(key, value)| *key != "name" && !value.is_null());
    let Some((kind, source)) = given.next() else {
        return out.required(at, "must specify a volume type");
    };
    self::source(&at.child(kind), kind, source, out);
    for (kind, _) in given {
        out.forbidden(&at.child(kind), "may not specify more than 1 volume type");
    }
}

fn source(at: &At<'_>, kind: &str, source: &Value, out: &mut Report) {
    let needs = |keys: &[&str], out: &mut Report| {
        for key in keys.iter().filter(|key| source.text(key).is_empty()) {
            out.required(&at.child(key), "");
        }
    };
    match kind {
        "emptyDir" => empty_dir(at, source, out),
        "hostPath" => host_path(at, source, out),
        "configMap" => {
            needs(&["name"], out);
            files(at, source, out);
        }
        "secret" => {
            needs(&["secretName"], out);
            files(at, source, out);
        }
        "downwardAPI" => downward(at, source, out),
        "projected" => projected(at, source, out),
        "persistentVolumeClaim" => needs(&["claimName"], out),
        "nfs" => {
            needs(&["server", "path"], out);
            absolute(&at.child("path"), source.text("path"), out);
        }
        "csi" => needs(&["driver"], out),
        "image" => {
            needs(&["reference"], out);
            const POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];
            out.one_of_or_empty(&at.child("pullPolicy"), source.text("pullPolicy"), &POLICIES);
        }
        "iscsi" => needs(&["targetPortal", "iqn"], out),
        "gcePersistentDisk" => needs(&["pdName"], out),
        "awsElasticBlockStore" => needs(&["volumeID"], out),
        "flexVolume" => needs(&["driver"], out),
        "ephemeral" if !source.has("volumeClaimTemplate") => out.required(&at.child("volumeClaimTemplate"), ""),
        _ => {}
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

fn mode(at: &At<'_>, object: &Value, key: &str, out: &mut Report) {
    if let Some(mode) = object.at(key).and_then(Value::as_i64)
        && !(0..=0o777).contains(&mode)
    {
        out.invalid(&at.child(key), mode, FILE_MODE);
    }
}

/// Keys and the files they become.
fn files(at: &At<'_>, source: &Value, out: &mut Report) {
    mode(at, source, "defaultMode", out);
    let items = at.child("items");
    for (index, item) in source.items("items").iter().enumerate() {
        let at = items.index(index);
        match item.text("key") {
            "" => out.required(&at.child("key"), ""),
            key => out.invalid_each(&at.child("key"), key, config_key(key)),
        }
        file_path(&at.child("path"), item.text("path"), out);
        mode(&at, item, "mode", out);
    }
}

fn file_path(at: &At<'_>, path: &str, out: &mut Report) {
    match path {
        "" => out.required(at, ""),
        path => non_reserved(at, path, out),
    }
}

fn downward(at: &At<'_>, source: &Value, out: &mut Report) {
    mode(at, source, "defaultMode", out);
    // Upstream does not name the item here.
    for item in source.items("items") {
        file_path(&at.child("path"), item.text("path"), out);
        match (item.at("fieldRef"), item.at("resourceFieldRef")) {
            (Some(field), resource) => {
                field_selector(&at.child("fieldRef"), field, &FIELDS, out);
                if resource.is_some() {
                    out.invalid(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously");
                }
            }
            (None, Some(resource)) => resource_selector(&at.child("resourceFieldRef"), resource, true, out),
            (None, None) => out.required(&at.child("fieldRef"), "one of fieldRef and resourceFieldRef is required"),
        }
        mode(at, item, "mode", out);
    }
}

fn projected(at: &At<'_>, source: &Value, out: &mut Report) {
    mode(at, source, "defaultMode", out);
    let sources = at.child("sources");
    for (index, source) in source.items("sources").iter().enumerate() {
        let at = sources.index(index);
        let mut given = source.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        if let Some((kind, inner)) = given.next() {
            projection(&at.child(kind), kind, inner, out);
        }
        for (kind, _) in given {
            out.forbidden(&at.child(kind), "may not specify more than 1 volume type");
        }
    }
}

fn projection(at: &At<'_>, kind: &str, source: &Value, out: &mut Report) {
    match kind {
        "secret" | "configMap" => {
            if source.text("name").is_empty() {
                out.required(&at.child("name"), "");
            }
            files(at, source, out);
        }
        "downwardAPI" => downward(at, source, out),
        "serviceAccountToken" => service_account_token(at, source, out),
        "clusterTrustBundle" if source.text("path").is_empty() => out.required(&at.child("path"), ""),
        _ => {}
    }
}

fn service_account_token(at: &At<'_>, source: &Value, out: &mut Report) {
    let seconds = source.at("expirationSeconds").and_then(Value::as_i64).unwrap_or(3600);
    let seconds_at = at.child("expirationSeconds");
    if seconds < 600 {
        out.invalid(&seconds_at, seconds, "may not specify a duration less than 10 minutes");
    } else if seconds > 1 << 32 {
        out.invalid(&seconds_at, seconds, "may not specify a duration larger than 2^32 seconds");
    }
    file_path(&at.child("path"), source.text("path"), out);
}

/// Whether a path has `..` as one of its parts.
pub(super) fn has_backsteps(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

fn no_backsteps(at: &At<'_>, path: &str, out: &mut Report) {
    if has_backsteps(path) {
        out.invalid(at, path, "must not contain '..'");
    }
}

fn absolute(at: &At<'_>, path: &str, out: &mut Report) {
    if !path.is_empty() && !path.starts_with('/') {
        out.invalid(at, path, "must be an absolute path");
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
    if path.starts_with("..") && !path.starts_with("../") && path != ".." {
        out.invalid(at, path, "must not start with '..'");
    }
}
