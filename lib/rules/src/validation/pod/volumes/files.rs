//! Volumes of files that the kubelet writes.

use super::super::super::check::{At, Report};
use super::super::env::{field_selector, resource_selector};
use super::{FILE_MODE, non_reserved};
use crate::tree::Tree;
use apimachinery::Value;

const FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// Entries of a config map or secret, whose name is the member `name`.
pub(super) fn map(at: &At<'_>, source: &Value, name: &str, out: &mut Report) {
    if source.text(name).is_empty() {
        out.required(&at.child(name), "");
    }
    mode(at, source, "defaultMode", out);
    let items = at.child("items");
    for (index, item) in source.items("items").iter().enumerate() {
        entry(&items.index(index), item, out);
    }
}

pub(super) fn mode(at: &At<'_>, object: &Value, key: &str, out: &mut Report) {
    if let Some(mode) = object.at(key).and_then(Value::as_i64)
        && !(0..=0o777).contains(&mode)
    {
        out.invalid(&at.child(key), mode, FILE_MODE);
    }
}

/// A key and the file that it becomes.
pub(super) fn entry(at: &At<'_>, item: &Value, out: &mut Report) {
    if item.text("key").is_empty() {
        out.required(&at.child("key"), "");
    }
    path(&at.child("path"), item.text("path"), out);
    mode(at, item, "mode", out);
}

fn path(at: &At<'_>, path: &str, out: &mut Report) {
    match path {
        "" => out.required(at, ""),
        path => non_reserved(at, path, out),
    }
}

pub(super) fn downward(at: &At<'_>, source: &Value, out: &mut Report) {
    mode(at, source, "defaultMode", out);
    for item in source.items("items") {
        downward_file(at, item, out);
    }
}

/// Upstream does not name the item.
pub(super) fn downward_file(at: &At<'_>, item: &Value, out: &mut Report) {
    path(&at.child("path"), item.text("path"), out);
    match (item.at("fieldRef"), item.at("resourceFieldRef")) {
        (Some(field), resource) => {
            field_selector(&at.child("fieldRef"), field, &FIELDS, out);
            if resource.is_some() {
                out.invalid(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously");
            }
        }
        (None, Some(resource)) => resource_selector(&at.child("resourceFieldRef"), resource, true, out),
        (None, None) => out.required(at, "one of fieldRef and resourceFieldRef is required"),
    }
    mode(at, item, "mode", out);
}
