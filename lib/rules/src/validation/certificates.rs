//! Certificate signing requests. What a request or certificate says is checked by whom it is parsed by;
//! here it is text in the right blocks.
//!
//! Upstream: `pkg/apis/certificates/validation/validation.go`.

mod blocks;

use super::check::{At, Report};
use super::names::{label, subdomain};
use super::workloads::spec_of;
use crate::tree::Tree;
use apimachinery::Value;

const SPEC: At<'static> = At::root("spec");
const STATUS: At<'static> = At::root("status");
const LEGACY: &str = "kubernetes.io/legacy-unknown";
const SHORTEST: i64 = 600;

/// The three verdicts: they are there or not, and are never taken back.
const VERDICTS: [&str; 3] = ["Approved", "Denied", "Failed"];

const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// A new request.
pub(super) fn create(request: &Value, out: &mut Report) {
    check(request, &Value::Null, out);
}

/// A change of the request itself, of which neither spec nor status are part.
pub(super) fn update(new: &Value, old: &Value, out: &mut Report) {
    check(new, old, out);
    keeps_verdicts(new, old, out);
}

/// What the signer writes.
pub(super) fn status(new: &Value, old: &Value, out: &mut Report) {
    update(new, old, out);
    for kind in ["Approved", "Denied"] {
        if of_type(new, kind).count() > of_type(old, kind).count() {
            out.forbidden(&STATUS.child("conditions"), format!("updates may not add a condition of type {kind:?}"));
        }
    }
    let before = certificate(old);
    if !before.is_empty() && certificate(new) != before {
        out.forbidden(&STATUS.child("certificate"), "updates may not modify existing certificate content");
    }
}

/// What the approver writes: conditions.
pub(super) fn approval(new: &Value, old: &Value, out: &mut Report) {
    update(new, old, out);
}

fn keeps_verdicts(new: &Value, old: &Value, out: &mut Report) {
    for kind in VERDICTS {
        if of_type(new, kind).count() < of_type(old, kind).count() {
            out.forbidden(&STATUS.child("conditions"), format!("updates may not remove a condition of type {kind:?}"));
        }
    }
}

/// A request; what was wrong with the old one may stay so.
fn check(request: &Value, old: &Value, out: &mut Report) {
    let spec = spec_of(request);
    if blocks::first(spec.text("request")).is_none_or(|block| block.label != "CERTIFICATE REQUEST") {
        let shown = spec.at("request").unwrap_or(&Value::Null);
        out.invalid(&SPEC.child("request"), shown, "PEM block type must be CERTIFICATE REQUEST");
    }
    usages(spec, spec_of(old), out);
    let signer = spec.text("signerName");
    let at = SPEC.child("signerName");
    match signer {
        LEGACY if spec_of(old).text("signerName") != LEGACY => {
            out.invalid(&at, signer, "the legacy signerName is not allowed via this API version");
        }
        signer => signer_name(&at, signer, out),
    }
    if let Some(seconds) = spec.at("expirationSeconds").and_then(Value::as_i64).filter(|s| *s < SHORTEST) {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        out.invalid(&SPEC.child("expirationSeconds"), seconds, detail);
    }
    conditions(request, old, out);
    let (new, before) = (certificate(request), certificate(old));
    if new != before
        && let Err(why) = blocks::certificates(new)
        && blocks::certificates(before).is_ok()
    {
        out.invalid(&STATUS.child("certificate"), "<certificate data>", why);
    }
}

fn usages(spec: &Value, old: &Value, out: &mut Report) {
    let at = SPEC.child("usages");
    if spec.items("usages").is_empty() {
        out.required(&at, "");
    }
    if !old.texts("usages").any(|usage| !USAGES.contains(&usage)) {
        for (index, usage) in spec.texts("usages").enumerate().filter(|(_, usage)| !USAGES.contains(usage)) {
            out.not_supported(&at.index(index), usage, &USAGES);
        }
    }
    let list = spec.items("usages");
    let is_again = |list: &[Value], index: usize| list[..index].contains(&list[index]);
    let before = old.items("usages");
    if (0..before.len()).any(|index| is_again(before, index)) {
        return;
    }
    for index in (0..list.len()).filter(|index| is_again(list, *index)) {
        out.duplicate(&at.index(index), &list[index]);
    }
}

/// `example.com/path`.
pub(super) fn signer_name(at: &At<'_>, name: &str, out: &mut Report) {
    const DOMAIN: usize = 253;
    const NAME: usize = DOMAIN + 1 + 63 + 1 + 253;
    if name.is_empty() {
        return out.required(at, "");
    }
    let parts = name.split_once('/').filter(|(_, path)| !path.contains('/'));
    let Some((domain, path)) = parts else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        return out.invalid(at, name, detail);
    };
    if domain.len() > DOMAIN {
        out.too_long(at, DOMAIN);
    }
    // One part's findings are enough.
    let said = |at: &At<'_>, whole: &str, check: fn(&str) -> Vec<String>, out: &mut Report| {
        let wrong = whole.split('.').map(|part| (part, check(part))).find(|(_, findings)| !findings.is_empty());
        for (part, finding) in wrong.iter().flat_map(|(part, findings)| findings.iter().map(move |f| (part, f))) {
            out.invalid(at, whole, format!("validating label {part:?}: {finding}"));
        }
    };
    said(at, domain, label, out);
    if !domain.contains('.') {
        out.invalid(at, domain, "should be a domain with at least two segments separated by dots");
    }
    said(at, path, subdomain, out);
    if name.len() > NAME {
        out.too_long(at, NAME);
    }
}

fn certificate(request: &Value) -> &str {
    request.at("status").map_or("", |status| status.text("certificate"))
}

fn conditions_of(request: &Value) -> &[Value] {
    request.at("status").map(|status| status.items("conditions")).unwrap_or_default()
}

fn of_type<'a>(request: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    conditions_of(request).iter().filter(move |condition| condition.text("type") == kind)
}

fn conditions(request: &Value, old: &Value, out: &mut Report) {
    let at = STATUS.child("conditions");
    let (list, before) = (conditions_of(request), conditions_of(old));
    let has = |list: &[Value], kind: &str| list.iter().any(|c| c.text("type") == kind);
    let was_both = has(before, "Approved") && has(before, "Denied");
    let was_empty = has(before, "");
    let was_twice = before.iter().enumerate().any(|(index, c)| has(&before[..index], c.text("type")));
    for (index, condition) in list.iter().enumerate() {
        let (earlier, kind, item) = (&list[..index], condition.text("type"), at.index(index));
        if kind.is_empty() && !was_empty {
            out.required(&item.child("type"), "");
        }
        let allowed: &[&str] = match VERDICTS.contains(&kind) {
            true => &["True"],
            false => &["False", "True", "Unknown"],
        };
        out.one_of(&item.child("status"), condition.text("status"), allowed);
        let excluded = match kind {
            "Approved" => has(earlier, "Denied"),
            "Denied" => has(earlier, "Approved"),
            _ => false,
        };
        if excluded && !was_both {
            out.invalid(&at, kind, "Approved and Denied conditions are mutually exclusive");
        }
        if !was_twice && has(earlier, kind) {
            out.duplicate(&item.child("type"), kind);
        }
    }
}

#[cfg(test)]
mod tests;
