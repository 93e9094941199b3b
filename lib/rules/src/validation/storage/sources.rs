//! What persistent volumes are made of.

use super::super::check::{At, Report};
use super::super::names::{in_range, label, subdomain};
use super::super::pod::volumes::host_path;
use super::csi::driver_name;
use crate::tree::Tree;
use apimachinery::Value;

/// A kind of source and what it must have.
struct Source {
    /// The member of the specification.
    name: &'static str,
    /// Where upstream says its members are, if elsewhere.
    at: Option<&'static str>,
    /// Texts or lists that must not be empty.
    required: &'static [&'static str],
    /// What else holds.
    check: Option<fn(&At<'_>, &Value, &Volume<'_>, &mut Report)>,
}

/// What a source's check knows of its volume.
pub(super) struct Volume<'a> {
    pub(super) name: &'a str,
}

const fn source(name: &'static str, required: &'static [&'static str]) -> Source {
    Source { name, at: None, required, check: None }
}

impl Source {
    const fn check(self, check: fn(&At<'_>, &Value, &Volume<'_>, &mut Report)) -> Self {
        Self { check: Some(check), ..self }
    }

    const fn at(self, at: &'static str) -> Self {
        Self { at: Some(at), ..self }
    }
}

/// All kinds, in upstream's order: the first is checked, the others are too many.
const SOURCES: [Source; 22] = [
    source("hostPath", &[]).check(|at, source, _, out| host_path(at, source, out)),
    source("gcePersistentDisk", &["pdName"]).at("persistentDisk").check(partition),
    source("awsElasticBlockStore", &["volumeID"]).check(partition),
    source("glusterfs", &["endpoints", "path"]).check(glusterfs),
    source("flocker", &[]).check(flocker),
    source("nfs", &["server", "path"]).check(nfs),
    source("rbd", &["monitors", "image"]),
    source("quobyte", &[]).check(quobyte),
    source("cephfs", &["monitors"]),
    source("iscsi", &["targetPortal"]).check(iscsi),
    source("cinder", &["volumeID"]).check(secret_required),
    source("fc", &[]).check(fibre_channel),
    source("flexVolume", &["driver"]).check(flex),
    source("azureFile", &["secretName", "shareName"]).check(azure_file),
    source("vsphereVolume", &["volumePath"]),
    source("photonPersistentDisk", &["pdID"]),
    source("portworxVolume", &["volumeID"]),
    source("azureDisk", &["diskName", "diskURI"]).check(azure_disk),
    source("scaleIO", &["gateway", "system", "volumeName"]),
    source("local", &["path"]).check(local),
    source("storageos", &["volumeName"]).check(storageos),
    source("csi", &[]).check(csi),
];

/// Exactly one source; `nodes` says whether the volume is bound to nodes.
pub(super) fn exactly_one(at: &At<'_>, spec: &Value, volume: &Volume<'_>, nodes: bool, out: &mut Report) {
    let mut found = false;
    for kind in &SOURCES {
        let Some(source) = spec.at(kind.name) else { continue };
        // Upstream does not count this one.
        if found && kind.name != "flexVolume" {
            let name = if kind.name == "cephfs" { "cephFS" } else { kind.name };
            out.forbidden(&at.child(name), "may not specify more than 1 volume type");
            continue;
        }
        found = true;
        let source_at = at.child(kind.at.unwrap_or(kind.name));
        for key in kind.required.iter().filter(|key| source.lacks(key)) {
            out.required(&source_at.child(key), "");
        }
        if let Some(check) = kind.check {
            check(&source_at, source, volume, out);
        }
        if kind.name == "local" && !nodes {
            out.required(&at.child("nodeAffinity"), "Local volume requires node affinity");
        }
    }
    if !found {
        out.required(at, "must specify a volume type");
    }
}

/// The sources of a specification.
pub(super) fn given(spec: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    SOURCES.iter().filter_map(|kind| Some((kind.name, spec.at(kind.name)?)))
}

/// Sources that have always taken mount options as an annotation.
pub(super) fn takes_mount_options(spec: &Value) -> bool {
    const TAKE: [&str; 13] = [
        "gcePersistentDisk",
        "awsElasticBlockStore",
        "glusterfs",
        "nfs",
        "rbd",
        "quobyte",
        "iscsi",
        "cinder",
        "cephfs",
        "azureFile",
        "vsphereVolume",
        "azureDisk",
        "photonPersistentDisk",
    ];
    TAKE.iter().any(|name| spec.has(name))
}

fn partition(at: &At<'_>, source: &Value, _: &Volume<'_>, out: &mut Report) {
    let number = source.int("partition");
    if in_range(number, 0, 255).is_some() {
        out.invalid(&at.child("partition"), number, "must be between 1 and 255, inclusive");
    }
}

fn glusterfs(at: &At<'_>, source: &Value, _: &Volume<'_>, out: &mut Report) {
    let at = at.child("endpointsNamespace");
    match source.at("endpointsNamespace").and_then(Value::as_str) {
        None => {}
        Some("") => out.invalid(&at, "", "if the endpointnamespace is set, it must be a valid namespace name"),
        Some(namespace) => out.invalid_each(&at, namespace, label(namespace)),
    }
}

fn flocker(at: &At<'_>, source: &Value, _: &Volume<'_>, out: &mut Report) {
    let name = source.text("datasetName");
    match (name.is_empty(), source.lacks("datasetUUID")) {
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

fn nfs(at: &At<'_>, source: &Value, _: &Volume<'_>, out: &mut Report) {
    let path = source.text("path");
    if !path.starts_with('/') {
        out.invalid(&at.child("path"), path, "must be an absolute path");
    }
}

fn quobyte(at: &At<'_>, source: &Value, _: &Volume<'_>, out: &mut Report) {
    const PAIRS: &str = "must be a host:port pair or multiple pairs separated by commas";
    let registry = source.text("registry");
    let registry_at = at.child("registry");
    if registry.is_empty() {
        out.required(&registry_at, PAIRS);
    } else if source.text("tenant").len() >= 65 {
        out.required(&at.child("tenant"), "must be a UUID and may not exceed a length of 64 characters");
    } else {
        for _ in registry.split(',').filter(|pair| !is_host_and_port(pair)) {
            out.invalid(&registry_at, registry, PAIRS);
        }
    }
    if source.text("volume").is_empty() {
        out.required(&at.child("volume"), "");
    }
}

/// Whether a text splits into a host, which may be an address in brackets, and a port.
fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let host_is_right = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| !address.contains(['[', ']'])),
        None => !host.contains([':', '[', ']']),
    };
    host_is_right && !port.contains(['[', ']'])
}

fn iscsi(at: &At<'_>, source: &Value, volume: &Volume<'_>, out: &mut Report) {
    let portal = source.text("targetPortal");
    let initiator = source.at("initiatorName").and_then(Value::as_str);
    if initiator.is_some() && volume.name.len() + 1 + portal.len() > 64 {
        let detail = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if \
                      iscsi.initiatorName is specified.";
        out.invalid(&at.child("targetportal"), portal, detail);
    }
    match source.text("iqn") {
        "" => out.required(&at.child("iqn"), ""),
        name if !is_iscsi_name(name) => out.invalid(&at.child("iqn"), name, "must be valid format"),
        _ => {}
    }
    if let Some(finding) = in_range(source.int("lun"), 0, 255) {
        out.invalid(&at.child("lun"), source.int("lun"), finding);
    }
    let authenticates = source.flag("chapAuthDiscovery") || source.flag("chapAuthSession");
    let secret = at.child("secretRef");
    match source.at("secretRef") {
        None if authenticates => out.required(&secret, ""),
        Some(reference) if reference.text("name").is_empty() => out.required(&secret.child("name"), ""),
        _ => {}
    }
    if let Some(name) = initiator.filter(|name| !is_iscsi_name(name)) {
        out.invalid(&at.child("initiatorname"), name, "must be valid format");
    }
}

/// A qualified name of iSCSI in one of its three forms.
fn is_iscsi_name(name: &str) -> bool {
    let numbered = |digits: usize| {
        let mut letters = name.chars().skip(3);
        let separated = letters.next().is_some_and(|c| c != '\n');
        separated && letters.clone().count() == digits && letters.all(|c| c.is_ascii_alphanumeric())
    };
    match name.get(..3) {
        Some("iqn") => name.match_indices("iqn.").any(|(start, _)| is_dated(&name[start + 4..])),
        Some("eui") => numbered(16),
        Some("naa") => numbered(32),
        _ => false,
    }
}

/// `2001-04.com.example:storage`: when a name was registered, the name, and what its owner adds.
fn is_dated(text: &str) -> bool {
    let digits =
        |range: std::ops::Range<usize>| text.get(range).is_some_and(|part| part.bytes().all(|b| b.is_ascii_digit()));
    let dated = digits(0..4) && text.get(4..5) == Some("-") && digits(5..7) && text.get(7..8) == Some(".");
    let Some((authority, added)) = text.get(8..).filter(|_| dated).and_then(|rest| rest.split_once(':')) else {
        return false;
    };
    let space = |c: char| matches!(c, '\t' | '\n' | '\x0c' | '\r' | ' ');
    !authority.is_empty()
        && authority.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
        && !added.is_empty()
        && !added.contains(|c| ",;*&$|".contains(c) || space(c))
}

/// A reference to a secret, if there is one, has a name and a namespace.
fn secret_required(at: &At<'_>, source: &Value, _: &Volume<'_>, out: &mut Report) {
    let Some(reference) = source.at("secretRef") else { return };
    let at = at.child("secretRef");
    for key in ["name", "namespace"].iter().filter(|key| reference.text(key).is_empty()) {
        out.required(&at.child(key), "");
    }
}

fn fibre_channel(at: &At<'_>, source: &Value, _: &Volume<'_>, out: &mut Report) {
    let targets = at.child("targetWWNs");
    let names = source.at("targetWWNs").filter(|list| !crate::tree::is_empty(list));
    match (names, source.lacks("wwids")) {
        (None, true) => out.required(&targets, "must specify either targetWWNs or wwids, but not both"),
        (Some(list), false) => {
            out.invalid(&targets, list, "targetWWNs and wwids can not be specified simultaneously");
        }
        _ => {}
    }
    let lun = at.child("lun");
    match source.at("lun").and_then(Value::as_i64) {
        _ if names.is_none() => {}
        None => out.required(&lun, "lun is required if targetWWNs is specified"),
        Some(number) => {
            if let Some(finding) = in_range(number, 0, 255) {
                out.invalid(&lun, number, finding);
            }
        }
    }
}

/// Options may not use names of Kubernetes.
fn flex(at: &At<'_>, source: &Value, _: &Volume<'_>, out: &mut Report) {
    let options = at.child("options");
    for (key, _) in source.entries("options") {
        let owner = key.split('/').next().unwrap_or_default().to_lowercase();
        let of = |domain: &str| owner.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if of("kubernetes.io") || of("k8s.io") {
            out.invalid(&options.key(key), key, "kubernetes.io and k8s.io namespaces are reserved");
        }
    }
}

fn azure_file(at: &At<'_>, source: &Value, _: &Volume<'_>, out: &mut Report) {
    if source.at("secretNamespace").and_then(Value::as_str) == Some("") {
        out.required(&at.child("secretNamespace"), "");
    }
}

fn azure_disk(at: &At<'_>, source: &Value, _: &Volume<'_>, out: &mut Report) {
    const MANAGED: &str =
        "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
    const BLOB: &str = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
    let given = |key: &str| source.at(key).and_then(Value::as_str);
    for (key, known) in
        [("cachingMode", ["None", "ReadOnly", "ReadWrite"]), ("kind", ["Dedicated", "Managed", "Shared"])]
    {
        if let Some(text) = given(key).filter(|text| !known.contains(text)) {
            out.not_supported(&at.child(key), text, &known);
        }
    }
    let uri = source.text("diskURI");
    match given("kind") {
        Some("Managed") if !uri.starts_with("/subscriptions/") => {
            out.not_supported(&at.child("diskURI"), uri, &[MANAGED]);
        }
        Some(kind) if kind != "Managed" && !uri.starts_with("https://") => {
            out.not_supported(&at.child("diskURI"), uri, &[BLOB]);
        }
        _ => {}
    }
}

fn local(at: &At<'_>, source: &Value, _: &Volume<'_>, out: &mut Report) {
    if source.text("path").split('/').any(|part| part == "..") {
        out.invalid(&at.child("path"), source.text("path"), "must not contain '..'");
    }
}

fn storageos(at: &At<'_>, source: &Value, volume: &Volume<'_>, out: &mut Report) {
    for key in ["volumeName", "volumeNamespace"] {
        let name = source.text(key);
        if !name.is_empty() {
            out.invalid_each(&at.child(key), name, label(name));
        }
    }
    secret_required(at, source, volume, out);
}

fn csi(at: &At<'_>, source: &Value, _: &Volume<'_>, out: &mut Report) {
    driver_name(&at.child("driver"), source.text("driver"), out);
    if source.text("volumeHandle").is_empty() {
        out.required(&at.child("volumeHandle"), "");
    }
    for key in
        ["controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef"]
    {
        let Some(reference) = source.at(key) else { continue };
        let at = at.child(key);
        let (name, namespace) = (reference.text("name"), reference.text("namespace"));
        named(&at.child("name"), name, subdomain, out);
        named(&at.child("namespace"), namespace, label, out);
    }
}

fn named(at: &At<'_>, name: &str, rule: fn(&str) -> Vec<String>, out: &mut Report) {
    match name {
        "" => out.required(at, ""),
        name => out.invalid_each(at, name, rule(name)),
    }
}
