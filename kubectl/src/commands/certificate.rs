//! `certificate approve`, `certificate deny`.
//!
//! Upstream: `kubectl/pkg/cmd/certificates`.

use super::Session;
use super::drain::typed;
use crate::cli::certificate::{Certificate, Verdict};
use crate::discovery::Asks;
use crate::files::{self, Manifest};
use crate::selected::{Query, resolve};
use crate::writing::{Failures, Writing, code, member};
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::time;
use serde_json::json;

/// How often a request that somebody else changed meanwhile is tried again.
const TRIES: usize = 10;

pub(super) async fn run(session: &Session, command: &Certificate) -> anyhow::Result<()> {
    let (flags, kind, other, done) = match command {
        Certificate::Approve(flags) => (flags, "Approved", "Denied", "approved"),
        Certificate::Deny(flags) => (flags, "Denied", "Approved", "denied"),
    };
    if flags.names.is_empty() && !flags.files.any() {
        bail!("one or more CSRs must be specified as <name> or -f <filename>");
    }
    let writing = Writing::new("none", "", &flags.printing)?.typed();
    let words = match flags.names.is_empty() {
        true => Vec::new(),
        // Files that are not there are told of first.
        false if flags.files.any() => match files::all_named_exist(&flags.files) {
            Ok(_) => bail!("resource/name arguments cannot be provided when a path is specified"),
            Err(error) => return Err(error),
        },
        false => typed("certificatesigningrequests", &flags.names)?,
    };
    let query = Query::new(&words, &flags.files);
    let discovery = query.discovery_asking(session, Asks::PAIR).await?;
    let kinds = words.iter().filter_map(|word| word.split_once('/')).filter_map(|(kind, _)| discovery.find(kind));
    if kinds.into_iter().any(|resource| resource.namespaced) {
        bail!("namespace may not be empty when retrieving a resource by name");
    }
    let selected = resolve(session, &discovery, &query).await?;
    if selected.objects.is_empty() && selected.failures.is_empty() {
        crate::outln!("No resources found");
    }
    let mut failures = Vec::new();
    for manifest in selected.objects {
        match decide(session, &writing, flags, manifest, kind, other).await {
            Ok(manifest) => writing.done(&manifest, &manifest.object, done)?,
            Err(error) => failures.push(error),
        }
    }
    Failures::with_unread(failures, selected.failures)
}

async fn decide(
    session: &Session,
    writing: &Writing<'_>,
    flags: &Verdict,
    mut manifest: Manifest,
    kind: &str,
    other: &str,
) -> anyhow::Result<Manifest> {
    for _ in 0..TRIES {
        if manifest.resource.kind != "CertificateSigningRequest" {
            let (kind, group) = (&manifest.resource.kind, &manifest.resource.group);
            let got = if group.is_empty() { kind.clone() } else { format!("{kind}.{group}") };
            bail!("can only handle CertificateSigningRequest.certificates.k8s.io objects, got {got}");
        }
        let Some(decided) = with_condition(&manifest.object, kind, other, flags.force)? else { return Ok(manifest) };
        match writing.update(session, &format!("{}/approval", manifest.path()), &decided).await {
            Ok(object) => {
                manifest.object = object;
                return Ok(manifest);
            }
            Err(error) if code(&error) == Some(409) => {
                manifest.object = session.client.get(&manifest.path(), "application/json").await?;
            }
            Err(error) => return Err(error),
        }
    }
    bail!("the certificate signing request {:?} keeps changing", manifest.object.name())
}

/// The request with its verdict; nothing if it has that already.
fn with_condition(request: &Value, kind: &str, other: &str, force: bool) -> anyhow::Result<Option<Value>> {
    let conditions = request.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    if conditions.iter().any(|c| c["type"] == kind) && !force {
        return Ok(None);
    }
    if conditions.iter().any(|c| c["type"] == other) {
        bail!("certificate signing request {:?} is already {other}", request.name());
    }
    let (reason, verb) = if kind == "Approved" { ("KubectlApprove", "approved") } else { ("KubectlDeny", "denied") };
    let now = time::now();
    let mut conditions: Vec<Value> = conditions.into_iter().filter(|c| c["type"] != kind).collect();
    conditions.push(json!({"type": kind, "status": "True", "reason": reason,
        "message": format!("This CSR was {verb} by kubectl certificate {}.", if kind == "Approved" { "approve" } else { "deny" }),
        "lastUpdateTime": now}));
    let mut decided = request.clone();
    *member(&mut decided["status"], "conditions") = conditions.into();
    Ok(Some(decided))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_given_once() {
        let request = json!({"metadata": {"name": "r"}, "status": {}});
        let approved = with_condition(&request, "Approved", "Denied", false).expect("fine").expect("changed");
        assert_eq!(approved["status"]["conditions"][0]["reason"], "KubectlApprove");
        assert_eq!(with_condition(&approved, "Approved", "Denied", false).expect("fine"), None);
        assert!(with_condition(&approved, "Denied", "Approved", false).is_err());
    }
}
