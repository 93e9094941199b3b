//! Files of one volume that would lie on or below each other.
//!
//! Upstream: `warningsForOverlappingVirtualPaths` in `pkg/api/pod/warnings.go`.

use super::super::Sink;
use crate::tree::Tree;
use apimachinery::Value;
use std::fmt;

const SOURCES: [&str; 6] =
    ["configMap", "secret", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"];

/// A file, and what it comes from if the volume has more than one source.
#[derive(PartialEq, Eq)]
struct File<'a> {
    path: &'a str,
    source: String,
}

impl fmt::Display for File<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.source {
            "" => write!(f, "{:?}", self.path),
            source => write!(f, "{:?} ({source})", self.path),
        }
    }
}

pub(super) fn overlaps(spec: &Value, warn: &mut Sink<'_>) {
    for volume in spec.items("volumes") {
        let name = volume.text("name");
        if let Some(map) = volume.at("configMap") {
            report(name, &format!("ConfigMap {:?}", map.text("name")), items(map, ""), &mut Vec::new(), warn);
        }
        if let Some(secret) = volume.at("secret") {
            let what = format!("Secret {:?}", secret.text("secretName"));
            report(name, &what, items(secret, ""), &mut Vec::new(), warn);
        }
        if let Some(downward) = volume.at("downwardAPI") {
            report(name, "DownwardAPI", items(downward, ""), &mut Vec::new(), warn);
        }
        if let Some(projected) = volume.at("projected") {
            let mut before = Vec::new();
            for source in projected.items("sources") {
                if SOURCES.iter().all(|kind| !source.has(kind)) {
                    warn(format!("volume {name:?} (Projected) has no sources provided"));
                    continue;
                }
                report(name, "Projected", files(source), &mut before, warn);
            }
        }
    }
}

fn report<'a>(volume: &str, what: &str, files: Vec<File<'a>>, before: &mut Vec<File<'a>>, warn: &mut Sink<'_>) {
    for file in files {
        for other in before.iter().filter(|other| collide(other, &file)) {
            warn(format!("volume {volume:?} ({what}): overlapping paths: {file} with {other}"));
        }
        before.push(file);
    }
}

fn collide(one: &File<'_>, other: &File<'_>) -> bool {
    let below = |path: &str, folder: &str| {
        path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let named = !one.path.is_empty() && !other.path.is_empty();
    named && (below(one.path, other.path) || below(other.path, one.path))
}

/// The files of one source of a projected volume.
fn files(source: &Value) -> Vec<File<'_>> {
    let with_items = |kind: &str| source.at(kind).filter(|s| s.has("items"));
    if let Some(map) = with_items("configMap") {
        return items(map, &format!("ConfigMap {:?}", map.text("name")));
    }
    if let Some(secret) = with_items("secret") {
        return items(secret, &format!("Secret {:?}", secret.text("name")));
    }
    if let Some(downward) = with_items("downwardAPI") {
        return items(downward, "DownwardAPI");
    }
    if let Some(token) = source.at("serviceAccountToken") {
        return vec![file(token.text("path"), "ServiceAccountToken")];
    }
    if let Some(bundle) = source.at("clusterTrustBundle") {
        let name = if bundle.has("name") { bundle.text("name") } else { bundle.text("signerName") };
        return vec![file(bundle.text("path"), &format!("ClusterTrustBundle {name:?}"))];
    }
    const PARTS: [(&str, &str); 3] = [
        ("certificateChainPath", "PodCertificate chain"),
        ("keyPath", "PodCertificate key"),
        ("credentialBundlePath", "PodCertificate credential bundle"),
    ];
    let certificate = source.at("podCertificate").into_iter();
    let parts = certificate.flat_map(|c| PARTS.into_iter().map(|(member, what)| (c.text(member), what)));
    parts.filter(|(path, _)| !path.is_empty()).map(|(path, what)| file(path, what)).collect()
}

fn items<'a>(source: &'a Value, what: &str) -> Vec<File<'a>> {
    source.items("items").iter().map(|item| file(item.text("path"), what)).collect()
}

fn file<'a>(path: &'a str, source: &str) -> File<'a> {
    File { path: path.trim_end_matches('/'), source: source.to_owned() }
}
