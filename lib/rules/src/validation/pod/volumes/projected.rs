//! Several sources of files in one volume.

use super::super::super::check::{At, Report};
use super::super::super::meta;
use super::super::super::names::{label, label_key_errors, subdomain};
use super::super::super::values::selector;
use super::super::kept::{Kept, Rule};
use super::{files, non_reserved};
use crate::tree::Tree;
use apimachinery::Value;
use std::collections::HashSet;

/// The order in which upstream looks for sources.
const SOURCES: [&str; 6] =
    ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"];

pub(super) fn check(at: &At<'_>, volume: &Value, kept: Kept, out: &mut Report) {
    files::mode(at, volume, "defaultMode", out);
    let sources_at = at.child("sources");
    let mut paths = Paths { at, taken: HashSet::new() };
    for (index, source) in volume.items("sources").iter().enumerate() {
        let source_at = sources_at.index(index);
        let mut count = 0;
        for kind in SOURCES {
            let Some(inner) = source.at(kind) else { continue };
            count += 1;
            self::source(&source_at.child(kind), kind, inner, kept, &mut paths, out);
        }
        if count > 1 {
            out.forbidden(&source_at, "may not specify more than 1 volume type per source");
        }
    }
}

/// The files of a volume so far.
struct Paths<'a> {
    at: &'a At<'a>,
    taken: HashSet<&'a str>,
}

impl<'a> Paths<'a> {
    /// Each file has one source; `shown` is what upstream shows of the second.
    fn take(&mut self, path: &'a str, shown: &str, out: &mut Report) {
        if !self.taken.insert(path) {
            out.invalid(self.at, shown, "conflicting duplicate paths");
        }
    }
}

fn source<'a>(at: &At<'_>, kind: &str, source: &'a Value, kept: Kept, paths: &mut Paths<'a>, out: &mut Report) {
    match kind {
        "downwardAPI" => {
            for item in source.items("items") {
                files::downward_file(at, item, out);
                let path = item.text("path");
                if !path.is_empty() {
                    paths.take(path, path, out);
                }
            }
        }
        "serviceAccountToken" => token(at, source, kept, paths, out),
        "clusterTrustBundle" => trust_bundle(at, source, paths, out),
        "podCertificate" => certificate(at, source, paths, out),
        _ => entries(at, source, paths, out),
    }
}

/// Entries of a config map or secret.
fn entries<'a>(at: &At<'_>, source: &'a Value, paths: &mut Paths<'a>, out: &mut Report) {
    let name = source.text("name");
    if name.is_empty() {
        out.required(&at.child("name"), "");
    }
    let items = at.child("items");
    for (index, item) in source.items("items").iter().enumerate() {
        files::entry(&items.index(index), item, out);
        let path = item.text("path");
        if !path.is_empty() {
            paths.take(path, name, out);
        }
    }
}

fn token(at: &At<'_>, source: &Value, kept: Kept, paths: &Paths<'_>, out: &mut Report) {
    const MAX: i64 = 1 << 32;
    let seconds = source.int("expirationSeconds");
    let seconds_at = at.child("expirationSeconds");
    if seconds < 600 {
        out.invalid(&seconds_at, seconds, "may not specify a duration less than 10 minutes");
    }
    if seconds > MAX {
        out.invalid(&seconds_at, seconds, "may not specify a duration larger than 2^32 seconds");
    }
    // Upstream names the volume here, not the source.
    let path_at = paths.at.child("path");
    match source.text("path") {
        "" => out.required(&path_at, ""),
        _ if kept.has(Rule::TokenPaths) => {}
        path => non_reserved(&path_at, path, out),
    }
}

/// The paths of all tokens of a pod.
pub(in super::super) fn token_paths(at: &At<'_>, spec: &Value, out: &mut Report) {
    let sources = spec.items("volumes").iter().filter_map(|v| v.at("projected")).flat_map(|p| p.items("sources"));
    for token in sources.filter_map(|s| s.at("serviceAccountToken")) {
        non_reserved(at, token.text("path"), out);
    }
}

fn trust_bundle<'a>(at: &At<'_>, source: &'a Value, paths: &mut Paths<'a>, out: &mut Report) {
    let of = |key: &str| source.at(key).and_then(Value::as_str);
    let (name_at, signer_at) = (at.child("name"), at.child("signerName"));
    match (of("name"), of("signerName")) {
        (Some(_), Some(_)) => out.invalid(at, source, "only one of name and signerName may be used"),
        (Some(name), None) => {
            if name.is_empty() {
                out.required(&name_at, "must be a valid object name");
            }
            for finding in bundle_name(name) {
                out.invalid(&name_at, name, format!("not a valid clustertrustbundlename: {finding}"));
            }
            if let Some(selector) = source.at("labelSelector") {
                let detail = "labelSelector must be unset if name is specified";
                out.invalid(&at.child("labelSelector"), selector, detail);
            }
        }
        (None, Some(name)) => {
            if name.is_empty() {
                out.required(&signer_at, "must be a valid signer name");
            }
            signer_name(&signer_at, name, out);
            selector(&at.child("labelSelector"), source.at("labelSelector"), out);
        }
        (None, None) => out.required(at, "either name or signerName must be specified"),
    }
    let path = source.text("path");
    if path.is_empty() {
        out.required(&at.child("path"), "");
    }
    non_reserved(&at.child("path"), path, out);
    paths.take(path, path, out);
}

/// The name of a bundle is its own or, after the signer's with colons, one of a signer's.
fn bundle_name(name: &str) -> Vec<String> {
    subdomain(name.rsplit_once(':').filter(|(signer, _)| !signer.is_empty()).map_or(name, |(_, own)| own))
}

fn certificate<'a>(at: &At<'_>, source: &'a Value, paths: &mut Paths<'a>, out: &mut Report) {
    const TYPES: [&str; 6] = ["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];
    let signer = source.text("signerName");
    signer_name(&at.child("signerName"), signer, out);
    user_annotations(&at.child("userAnnotations"), source, out);
    let key = source.text("keyType");
    if !TYPES.contains(&key) {
        out.not_supported(&at.child("keyType"), key, &TYPES);
    }
    if let Some(seconds) = source.at("maxExpirationSeconds").and_then(Value::as_i64) {
        expiration(&at.child("maxExpirationSeconds"), seconds, signer, out);
    }
    let mut count = 0;
    for key in ["credentialBundlePath", "keyPath", "certificateChainPath"] {
        let path = source.text(key);
        if !path.is_empty() {
            count += 1;
            non_reserved(&at.child(key), path, out);
            paths.take(path, path, out);
        }
    }
    if count == 0 {
        out.required(at, "specify at least one of credentialBundlePath, keyPath, and certificateChainPath");
    }
}

fn expiration(at: &At<'_>, seconds: i64, signer: &str, out: &mut Report) {
    const DAY: i64 = 24 * 60 * 60;
    if seconds < 3600 {
        out.invalid(at, seconds, "if provided, maxExpirationSeconds must be >= 3600");
    }
    let host = signer.split('/').next().unwrap_or_default();
    let max = if host == "kubernetes.io" || host.ends_with(".kubernetes.io") { DAY } else { 91 * DAY };
    if seconds > max {
        out.invalid(at, seconds, format!("if provided, maxExpirationSeconds must be <= {max}"));
    }
}

/// Annotations for the signer, whose keys have domains.
fn user_annotations(at: &At<'_>, source: &Value, out: &mut Report) {
    let annotations = source.object("userAnnotations");
    for key in annotations.into_iter().flatten().map(|(key, _)| key.to_lowercase()) {
        let findings = label_key_errors(&key);
        if key.is_empty() {
            out.required(at, "");
        } else if findings.is_empty() && !key.contains('/') {
            out.invalid(at, key.as_str(), "must be a domain-prefixed key (such as \"acme.io/foo\")");
        } else {
            out.invalid_each(at, &key, findings);
        }
    }
    meta::annotations_size(at, annotations, out);
}

const MAX_DOMAIN: usize = 253;
const MAX_SIGNER: usize = MAX_DOMAIN + 253 + 63 + 2;

/// `example.com/signer-name`.
fn signer_name(at: &At<'_>, name: &str, out: &mut Report) {
    if name.is_empty() {
        return out.required(at, "");
    }
    let Some((domain, path)) = name.split_once('/').filter(|(_, path)| !path.contains('/')) else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        return out.invalid(at, name, detail);
    };
    if domain.len() > MAX_DOMAIN {
        out.too_long(at, MAX_DOMAIN);
    }
    first_wrong(at, domain, label, out);
    if !domain.contains('.') {
        out.invalid(at, domain, "should be a domain with at least two segments separated by dots");
    }
    first_wrong(at, path, subdomain, out);
    if name.len() > MAX_SIGNER {
        out.too_long(at, MAX_SIGNER);
    }
}

/// What is wrong with the first part that is.
fn first_wrong(at: &At<'_>, text: &str, check: fn(&str) -> Vec<String>, out: &mut Report) {
    let wrong = text.split('.').map(|part| (part, check(part))).find(|(_, findings)| !findings.is_empty());
    for (part, finding) in wrong.into_iter().flat_map(|(part, f)| f.into_iter().map(move |f| (part, f))) {
        out.invalid(at, text, format!("validating label {part:?}: {finding}"));
    }
}
