//! Volumes of storage systems that upstream once knew itself.

use super::super::super::check::{At, Report};
use super::super::super::names::{in_range, label, subdomain};
use super::descending;
use crate::tree::Tree;
use apimachinery::Value;

/// Members that must be there, by kind.
const NEEDED: [(&str, &[&str]); 15] = [
    ("persistentVolumeClaim", &["claimName"]),
    ("gitRepo", &["repository"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("nfs", &["server", "path"]),
    ("glusterfs", &["endpoints", "path"]),
    ("cinder", &["volumeID"]),
    ("flexVolume", &["driver"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("iscsi", &["targetPortal"]),
];

pub(super) fn check(at: &At<'_>, kind: &str, source: &Value, out: &mut Report) {
    let needed = NEEDED.iter().find(|(k, _)| *k == kind).map(|(_, keys)| *keys).unwrap_or_default();
    for key in needed.iter().filter(|key| source.text(key).is_empty()) {
        out.required(&at.child(key), "");
    }
    match kind {
        "gitRepo" => descending(&at.child("directory"), source.text("directory"), out),
        "gcePersistentDisk" | "awsElasticBlockStore" => partition(at, source, out),
        "nfs" if !source.text("path").starts_with('/') => {
            out.invalid(&at.child("path"), source.text("path"), "must be an absolute path");
        }
        "iscsi" => iscsi(at, source, out),
        "flocker" => flocker(at, source, out),
        "rbd" | "cephfs" => {
            if source.items("monitors").is_empty() {
                out.required(&at.child("monitors"), "");
            }
            if kind == "rbd" && source.text("image").is_empty() {
                out.required(&at.child("image"), "");
            }
        }
        "cinder" => secret_name(at, source, out),
        "quobyte" => quobyte(at, source, out),
        "fc" => fibre_channel(at, source, out),
        "flexVolume" => flex_options(at, source, out),
        "azureDisk" => azure_disk(at, source, out),
        "storageos" => storageos(at, source, out),
        _ => {}
    }
}

/// The name of a CSI driver.
pub(super) fn driver_name(at: &At<'_>, name: &str, out: &mut Report) {
    if name.is_empty() {
        return out.required(at, "");
    }
    if name.len() > 63 {
        out.too_long(at, 63);
    }
    out.invalid_each(at, name, subdomain(&name.to_lowercase()));
}

fn partition(at: &At<'_>, source: &Value, out: &mut Report) {
    let partition = source.int("partition");
    if !(0..=255).contains(&partition) {
        out.invalid(&at.child("partition"), partition, "must be between 1 and 255, inclusive");
    }
}

fn secret_name(at: &At<'_>, source: &Value, out: &mut Report) {
    if source.at("secretRef").is_some_and(|secret| secret.text("name").is_empty()) {
        out.required(&at.child("secretRef").child("name"), "");
    }
}

const BAD_INITIATOR: &str = "must be valid format starting with iqn, eui, or naa";
const BAD_FORMAT: &str = "must be valid format";

fn iscsi(at: &At<'_>, source: &Value, out: &mut Report) {
    match source.text("iqn") {
        "" => out.required(&at.child("iqn"), ""),
        name => initiator(&at.child("iqn"), name, out),
    }
    if let Some(finding) = in_range(source.int("lun"), 0, 255) {
        out.invalid(&at.child("lun"), source.int("lun"), finding);
    }
    if (source.flag("chapAuthDiscovery") || source.flag("chapAuthSession")) && !source.has("secretRef") {
        out.required(&at.child("secretRef"), "");
    }
    if let Some(name) = source.at("initiatorName").and_then(Value::as_str) {
        initiator(&at.child("initiatorname"), name, out);
    }
}

fn initiator(at: &At<'_>, name: &str, out: &mut Report) {
    let right = match name.get(..3) {
        Some("iqn") => is_iqn(name),
        Some("eui") => is_number(name, 16),
        Some("naa") => is_number(name, 32),
        _ => return out.invalid(at, name, BAD_INITIATOR),
    };
    if !right {
        out.invalid(at, name, BAD_FORMAT);
    }
}

/// Three letters, one of any kind, and so many letters and digits.
fn is_number(name: &str, digits: usize) -> bool {
    let mut rest = name.get(3..).unwrap_or_default().chars();
    let separator = rest.next().is_some_and(|c| c != '\n');
    let rest = rest.as_str();
    separator && rest.len() == digits && rest.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// `iqn.2015-06.com.example:target`, anywhere at the text's end.
fn is_iqn(name: &str) -> bool {
    name.match_indices("iqn.").any(|(start, marker)| {
        let rest = &name[start + marker.len()..];
        let date = rest.get(..8).is_some_and(|date| {
            date.bytes().enumerate().all(|(i, b)| match i {
                4 => b == b'-',
                7 => b == b'.',
                _ => b.is_ascii_digit(),
            })
        });
        let Some((authority, target)) = rest.get(8..).filter(|_| date).and_then(|rest| rest.split_once(':')) else {
            return false;
        };
        let letters = authority.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        let target_letters = |c: char| !",;*&$|".contains(c) && !matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c');
        letters && !authority.is_empty() && !target.is_empty() && target.chars().all(target_letters)
    })
}

fn flocker(at: &At<'_>, source: &Value, out: &mut Report) {
    let name = source.text("datasetName");
    match (name.is_empty(), source.text("datasetUUID").is_empty()) {
        (true, true) => out.required(at, "one of datasetName and datasetUUID is required"),
        (false, false) => {
            out.invalid(at, "resource", "datasetName and datasetUUID can not be specified simultaneously");
        }
        _ => {}
    }
    if name.contains('/') {
        out.invalid(&at.child("datasetName"), name, "must not contain '/'");
    }
}

fn quobyte(at: &At<'_>, source: &Value, out: &mut Report) {
    const PAIRS: &str = "must be a host:port pair or multiple pairs separated by commas";
    let registry = source.text("registry");
    if registry.is_empty() {
        out.required(&at.child("registry"), PAIRS);
    } else if source.text("tenant").len() >= 65 {
        out.required(&at.child("tenant"), "must be a UUID and may not exceed a length of 64 characters");
    } else {
        for _ in registry.split(',').filter(|pair| !is_host_and_port(pair)) {
            out.invalid(&at.child("registry"), registry, PAIRS);
        }
    }
    if source.text("volume").is_empty() {
        out.required(&at.child("volume"), "");
    }
}

/// Whether Go's `net.SplitHostPort` takes it.
fn is_host_and_port(pair: &str) -> bool {
    let Some((host, port)) = pair.rsplit_once(':') else { return false };
    let plain = |text: &str| !text.contains(['[', ']']);
    match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').is_some_and(plain) && plain(port),
        None => !host.contains(':') && plain(host) && plain(port),
    }
}

fn fibre_channel(at: &At<'_>, source: &Value, out: &mut Report) {
    let names = source.items("targetWWNs");
    let names_at = at.child("targetWWNs");
    match (names.is_empty(), source.items("wwids").is_empty()) {
        (true, true) => out.required(&names_at, "must specify either targetWWNs or wwids, but not both"),
        (false, false) => {
            let list = source.at("targetWWNs").unwrap_or(&Value::Null);
            out.invalid(&names_at, list, "targetWWNs and wwids can not be specified simultaneously");
        }
        _ => {}
    }
    if names.is_empty() {
        return;
    }
    match source.at("lun").and_then(Value::as_i64) {
        None => out.required(&at.child("lun"), "lun is required if targetWWNs is specified"),
        Some(lun) => {
            if let Some(finding) = in_range(lun, 0, 255) {
                out.invalid(&at.child("lun"), lun, finding);
            }
        }
    }
}

/// Options of Kubernetes' own domains are for Kubernetes.
fn flex_options(at: &At<'_>, source: &Value, out: &mut Report) {
    let options = at.child("options");
    for (key, _) in source.entries("options") {
        let domain = format!(".{}", key.split('/').next().unwrap_or_default().to_lowercase());
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            out.invalid(&options.key(key), key, "kubernetes.io and k8s.io namespaces are reserved");
        }
    }
}

fn azure_disk(at: &At<'_>, source: &Value, out: &mut Report) {
    const MANAGED: &str =
        "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
    const BLOB: &str = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
    const CACHES: [&str; 3] = ["None", "ReadOnly", "ReadWrite"];
    const KINDS: [&str; 3] = ["Dedicated", "Managed", "Shared"];
    for (key, supported) in [("cachingMode", CACHES), ("kind", KINDS)] {
        if let Some(text) = source.at(key).and_then(Value::as_str).filter(|text| !supported.contains(text)) {
            out.not_supported(&at.child(key), text, &supported);
        }
    }
    let Some(kind) = source.at("kind").and_then(Value::as_str) else { return };
    let (start, form) = if kind == "Managed" { ("/subscriptions/", MANAGED) } else { ("https://", BLOB) };
    let uri = source.text("diskURI");
    if !uri.starts_with(start) {
        out.not_supported(&at.child("diskURI"), uri, &[form]);
    }
}

fn storageos(at: &At<'_>, source: &Value, out: &mut Report) {
    match source.text("volumeName") {
        "" => out.required(&at.child("volumeName"), ""),
        name => out.invalid_each(&at.child("volumeName"), name, label(name)),
    }
    let namespace = source.text("volumeNamespace");
    if !namespace.is_empty() {
        out.invalid_each(&at.child("volumeNamespace"), namespace, label(namespace));
    }
    secret_name(at, source, out);
}
