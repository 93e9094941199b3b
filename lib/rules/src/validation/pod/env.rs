//! Environment variables.

use super::super::check::{At, Report};
use super::super::names::{NameRule, config_key, env_name, label, label_key_errors, subdomain};
use super::super::values::quantity;
use super::kept::all_containers;
use super::volumes::no_backsteps;
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
    for key in ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"] {
        let Some(reference) = source.at(key) else { continue };
        let at = at.child(key);
        count += 1;
        match key {
            "fieldRef" => field_selector(&at, reference, &FIELDS, out),
            "resourceFieldRef" => resource_selector(&at, reference, false, out),
            "fileKeyRef" => file_selector(&at, reference, out),
            _ => key_selector(&at, reference, out),
        }
    }
    match count {
        0 => out.invalid(
            at,
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        ),
        _ if has_value => out.invalid(at, "", "may not be specified when `value` is not empty"),
        1 => {}
        _ => out.invalid(at, "", "may not have more than one field specified at a time"),
    }
}

/// A line of a file in a volume.
fn file_selector(at: &At<'_>, selector: &Value, out: &mut Report) {
    match selector.text("key") {
        "" => out.required(&at.child("key"), ""),
        key => out.invalid_each(&at.child("key"), key, env_name(key)),
    }
    match selector.text("volumeName") {
        "" => out.required(&at.child("volumeName"), ""),
        name => out.invalid_each(&at.child("volumeName"), name, label(name)),
    }
    match selector.text("path") {
        "" => out.required(&at.child("path"), ""),
        path => no_backsteps(&at.child("path"), path, out),
    }
}

/// The volumes of the files that variables are read from.
pub(super) fn file_volumes(at: &At<'_>, spec: &Value, out: &mut Report) {
    for (list, index, container) in all_containers(spec) {
        for (variable, env) in container.items("env").iter().enumerate() {
            let Some(file) = env.at("valueFrom").and_then(|source| source.at("fileKeyRef")) else { continue };
            let name = file.text("volumeName");
            let list_at = at.child(list);
            let container_at = list_at.index(index);
            let env_at = container_at.child("env");
            let source_at = env_at.index(variable);
            let source_at = source_at.child("valueFrom");
            let file_at = source_at.child("fileKeyRef");
            match spec.items("volumes").iter().rev().find(|v| v.text("name") == name) {
                None => out.not_found(&file_at.child("volumeName"), name),
                Some(volume) if !volume.has("emptyDir") => {
                    let detail = "referenced volume must be of type emptyDir";
                    out.invalid(&file_at.child("volumeName"), name, detail);
                }
                Some(_) => {}
            }
        }
    }
}

/// What a field selector may name, whether or not it makes sense where it stands.
const KNOWN_FIELDS: [&str; 14] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// A field of the pod, for an environment variable or a file.
pub(super) fn field_selector(at: &At<'_>, selector: &Value, fields: &[&str], out: &mut Report) {
    for key in ["apiVersion", "fieldPath"] {
        if selector.text(key).is_empty() {
            return out.required(&at.child(key), "");
        }
    }
    let given = selector.text("fieldPath");
    let unknown = |what: String, out: &mut Report| {
        out.invalid(&at.child("fieldPath"), given, format!("error converting fieldPath: {what}"));
    };
    match selector.text("apiVersion") {
        "v1" => {}
        version => return unknown(format!("unsupported pod version: {version}"), out),
    }
    match subscript(given) {
        Some(("metadata.annotations", key)) => out.invalid_each(at, key, label_key_errors(&key.to_lowercase())),
        Some(("metadata.labels", key)) => out.invalid_each(at, key, label_key_errors(key)),
        Some(_) => unknown(format!("field label does not support subscript: {given}"), out),
        None => {
            // An old name.
            let path = if given == "spec.host" { "spec.nodeName" } else { given };
            if !KNOWN_FIELDS.contains(&path) {
                unknown(format!("field label not supported: {given}"), out);
            } else if !fields.contains(&path) {
                out.not_supported(&at.child("fieldPath"), path, fields);
            }
        }
    }
}

/// `metadata.labels['key']`.
fn subscript(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['").filter(|(map, _)| !map.is_empty())
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
    let (allowed, what): (&[&str], &str) =
        match resource.strip_prefix("limits.").or(resource.strip_prefix("requests.")).unwrap_or_default() {
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
                name => out.invalid_each(&reference.child("name"), name, NameRule::Subdomain.check_prefix(name)),
            }
        }
        match references.len() {
            0 => out.invalid(at, "", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => out.invalid(at, "", "may not have more than one field specified at a time"),
        }
    }
}
