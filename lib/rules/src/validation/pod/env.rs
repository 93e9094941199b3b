//! Environment variables.

use super::super::check::{At, Report};
use super::super::names::{config_key, env_name, label_key_errors, subdomain};
use super::super::values::quantity;
use crate::tree::Tree;
use apimachinery::Value;

const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

pub(super) fn variables(at: &At<'_>, container: &Value, out: &mut Report) {
    for (index, variable) in container.items("env").iter().enumerate() {
        let at = at.index(index);
        match variable.text("name") {
            "" => out.required(&at.child("name"), ""),
            name => out.invalid_each(&at.child("name"), name, env_name(name)),
        }
        if let Some(source) = variable.at("valueFrom") {
            value_from(&at.child("valueFrom"), source, !variable.text("value").is_empty(), out);
        }
    }
}

fn value_from(at: &At<'_>, source: &Value, has_value: bool, out: &mut Report) {
    let mut count = 0;
    if let Some(field) = source.at("fieldRef") {
        count += 1;
        field_selector(&at.child("fieldRef"), field, &FIELDS, out);
    }
    if let Some(resource) = source.at("resourceFieldRef") {
        count += 1;
        resource_selector(&at.child("resourceFieldRef"), resource, false, out);
    }
    for key in ["configMapKeyRef", "secretKeyRef"] {
        if let Some(reference) = source.at(key) {
            count += 1;
            key_selector(&at.child(key), reference, out);
        }
    }
    count += usize::from(source.has("fileKeyRef"));
    match count {
        0 => out.invalid(
            at,
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
        ),
        _ if has_value => out.invalid(at, "", "may not be specified when `value` is not empty"),
        1 => {}
        _ => out.invalid(at, "", "may not have more than one field specified at a time"),
    }
}

/// A field of the pod, for an environment variable or a file.
pub(super) fn field_selector(at: &At<'_>, selector: &Value, fields: &[&str], out: &mut Report) {
    let path = selector.text("fieldPath");
    for key in ["apiVersion", "fieldPath"] {
        if selector.text(key).is_empty() {
            return out.required(&at.child(key), "");
        }
    }
    if let Some((map, key)) = subscript(path) {
        match map {
            "metadata.annotations" => out.invalid_each(at, key, label_key_errors(&key.to_lowercase())),
            "metadata.labels" => out.invalid_each(at, key, label_key_errors(key)),
            _ => out.invalid(at, map, "does not support subscript"),
        }
    } else if !fields.contains(&path) {
        match path.starts_with("metadata.") || path.starts_with("spec.") || path.starts_with("status.") {
            true => out.not_supported(&at.child("fieldPath"), path, fields),
            false => {
                let detail = format!("error converting fieldPath: field label not supported: {path}");
                out.invalid(&at.child("fieldPath"), path, detail);
            }
        }
    }
}

/// `metadata.labels['key']`.
fn subscript(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['")
}

/// A container's resources, for an environment variable or a file.
pub(super) fn resource_selector(at: &At<'_>, selector: &Value, in_volume: bool, out: &mut Report) {
    let resource = selector.text("resource");
    let huge = resource.starts_with("limits.hugepages-") || resource.starts_with("requests.hugepages-");
    if in_volume && selector.text("containerName").is_empty() {
        out.required(&at.child("containerName"), "");
    } else if resource.is_empty() {
        out.required(&at.child("resource"), "");
    } else if !huge && !RESOURCES.contains(&resource) {
        out.not_supported(&at.child("resource"), resource, &RESOURCES);
    }
    divisor(at, selector, resource, out);
}

fn divisor(at: &At<'_>, selector: &Value, resource: &str, out: &mut Report) {
    const SIZES: [&str; 13] = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let Some(divisor) = selector.at("divisor").and_then(quantity).filter(|d| !d.is_zero()) else { return };
    let (allowed, what): (&[&str], &str) = match resource.split_once('.').map_or("", |(_, name)| name) {
        "cpu" => (&["1m", "1"], "cpu"),
        "memory" => (&SIZES, "memory"),
        "ephemeral-storage" => (&SIZES, "local ephemeral storage"),
        name if name.starts_with("hugepages-") => (&SIZES, "hugepages"),
        _ => return,
    };
    if !allowed.contains(&&*divisor.to_string()) {
        let list = if what == "cpu" { "1m and 1".to_owned() } else { SIZES.join(", ") };
        let detail = format!("only divisor's values {list} are supported with the {what} resource");
        out.invalid(&at.child("divisor"), resource, detail);
    }
}

fn key_selector(at: &At<'_>, reference: &Value, out: &mut Report) {
    out.invalid_each(&at.child("name"), reference.text("name"), subdomain(reference.text("name")));
    match reference.text("key") {
        "" => out.required(&at.child("key"), ""),
        key => out.invalid_each(&at.child("key"), key, config_key(key)),
    }
}

pub(super) fn sources(at: &At<'_>, container: &Value, out: &mut Report) {
    for (index, source) in container.items("envFrom").iter().enumerate() {
        let this = at.index(index);
        let prefix = source.text("prefix");
        if !prefix.is_empty() {
            out.invalid_each(&this.child("prefix"), prefix, env_name(prefix));
        }
        let references: Vec<&str> = ["configMapRef", "secretRef"].into_iter().filter(|key| source.has(key)).collect();
        for key in &references {
            let reference = this.child(key);
            match source.at(key).map_or("", |r| r.text("name")) {
                "" => out.required(&reference.child("name"), ""),
                name => out.invalid_each(&reference.child("name"), name, subdomain(name.trim_end_matches('-'))),
            }
        }
        match references.len() {
            0 => out.invalid(at, "", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => out.invalid(at, "", "may not have more than one field specified at a time"),
        }
    }
}
