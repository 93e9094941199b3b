//! `auth can-i`.
//!
//! Upstream: `kubectl/pkg/cmd/auth/cani.go`.

use super::Session;
use super::rules::{Rule, compact};
use crate::cli::auth::CanI;
use crate::discovery::{Asks, Discovery, Resource};
use crate::print::table::Grid;
use anyhow::bail;
use apimachinery::Value;
use http::Method;
use serde_json::json;
use std::process::ExitCode;

/// Verbs that the server knows for resources.
const VERBS: [&str; 16] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "use",
    "bind",
    "impersonate",
    "*",
    "approve",
    "sign",
    "escalate",
    "attest",
];
/// Verbs that it knows for URLs.
const URL_VERBS: [&str; 8] = ["get", "put", "post", "head", "options", "delete", "patch", "*"];

pub(super) async fn run(session: &Session, flags: &CanI) -> anyhow::Result<ExitCode> {
    if flags.list {
        return list(session, flags).await.map(|()| ExitCode::SUCCESS);
    }
    let [verb, what] = flags.words.as_slice() else {
        bail!(
            "you must specify two arguments: verb resource or verb resource/resourceName.\nSee 'kubectl auth can-i -h' for help and examples."
        );
    };
    let attributes = match what.starts_with('/') {
        true => url(flags, verb, what)?,
        false => resource(session, flags, verb, what).await?,
    };
    if flags.no_headers {
        bail!("--no-headers cannot be set without --list specified");
    }
    let status = review(session, "selfsubjectaccessreviews", "SelfSubjectAccessReview", attributes).await?;
    let allowed = status["allowed"] == true;
    if !flags.quiet {
        match allowed {
            true => crate::outln!("yes"),
            false => {
                let text = |key: &str| status[key].as_str().filter(|t| !t.is_empty()).map(|t| format!(" - {t}"));
                let (reason, error) = (text("reason"), text("evaluationError"));
                crate::outln!("no{}{}", reason.unwrap_or_default(), error.unwrap_or_default());
            }
        }
    }
    Ok(if allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn url(flags: &CanI, verb: &str, url: &str) -> anyhow::Result<Value> {
    if !flags.subresource.is_empty() {
        bail!("--subresource can not be used with NonResourceURL");
    }
    if !URL_VERBS.contains(&verb) {
        warn(&format!("verb '{verb}' is not a known verb\n"));
    }
    Ok(json!({"nonResourceAttributes": {"verb": verb, "path": url}}))
}

async fn resource(session: &Session, flags: &CanI, verb: &str, what: &str) -> anyhow::Result<Value> {
    let (kind, name) = what.split_once('/').unwrap_or((what, ""));
    let found = match kind {
        "*" => None,
        kind => find(session, kind).await?,
    };
    if !flags.all_namespaces {
        if let Some(resource) = found.as_ref().filter(|r| !r.namespaced) {
            let place =
                if resource.group.is_empty() { String::new() } else { format!(" in group '{}'", resource.group) };
            warn(&format!("resource '{}' is not namespace scoped{place}\n", resource.plural));
        }
        if !VERBS.contains(&verb) {
            warn(&format!("verb '{verb}' is not a known verb\n"));
        }
    }
    let (group, plural) = found.as_ref().map_or(("", kind), |r| (r.group.as_str(), r.plural.as_str()));
    let mut attributes = json!({"verb": verb, "resource": plural});
    let namespace = if flags.all_namespaces { "" } else { session.namespace.as_str() };
    for (key, value) in
        [("namespace", namespace), ("group", group), ("subresource", &flags.subresource), ("name", name)]
    {
        if !value.is_empty() {
            attributes[key] = value.into();
        }
    }
    Ok(json!({"resourceAttributes": attributes}))
}

/// What the server serves under a name; nothing, and a word about it, if it does not.
async fn find(session: &Session, kind: &str) -> anyhow::Result<Option<Resource>> {
    let lower = kind.to_lowercase();
    // The server may judge what it does not tell.
    let known = Discovery::load(&session.client, Asks::TYPE).await.ok();
    let mut found = known.as_ref().and_then(|known| known.find(&lower).cloned());
    if found.is_none() && known.is_some() {
        found = session.discovery(Asks::TYPE).await.unwrap_or_default().find(&lower).cloned();
    }
    if found.is_none() && !matches!(lower.as_str(), "users" | "groups") {
        match lower.split_once('.') {
            None => warn(&format!("the server doesn't have a resource type '{lower}'\n")),
            Some((name, group)) => {
                warn(&format!("the server doesn't have a resource type '{name}' in group '{group}'\n"))
            }
        }
    }
    Ok(found)
}

/// Upstream's warnings here end in an empty line.
fn warn(text: &str) {
    crate::http::warn(text);
}

async fn review(session: &Session, plural: &str, kind: &str, spec: Value) -> anyhow::Result<Value> {
    let path = format!("/apis/authorization.k8s.io/v1/{plural}");
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec});
    let mut answer = session.client.write(Method::POST, &path, "application/json", &review).await?;
    Ok(answer["status"].take())
}

async fn list(session: &Session, flags: &CanI) -> anyhow::Result<()> {
    if !flags.words.is_empty() {
        bail!("list option must be specified with no arguments");
    }
    if flags.quiet || flags.all_namespaces || !flags.subresource.is_empty() {
        bail!("list option can't be specified with neither quiet, all-namespaces nor subresource options");
    }
    let spec = json!({"namespace": session.namespace});
    let status = review(session, "selfsubjectrulesreviews", "SelfSubjectRulesReview", spec).await?;
    if status["incomplete"] == true {
        let why = status["evaluationError"].as_str().unwrap_or_default();
        warn(&format!("the list may be incomplete: {why}"));
    }
    let mut rules = Rule::all_of(&status["resourceRules"]);
    rules.extend(Rule::all_of(&status["nonResourceRules"]));
    crate::out!("{}", table(&compact(&rules)).render(flags.no_headers));
    Ok(())
}

fn table(rules: &[Rule]) -> Grid {
    let shown = |list: &[String]| format!("[{}]", list.join(" "));
    let row = |r: &Rule| vec![r.resource(), shown(&r.urls), shown(&r.names), shown(&r.verbs)];
    let header = ["Resources", "Non-Resource URLs", "Resource Names", "Verbs"].map(str::to_owned).to_vec();
    Grid { header, rows: rules.iter().map(row).collect() }
}
