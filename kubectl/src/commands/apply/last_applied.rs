//! `apply set-last-applied` and `apply view-last-applied`.
//!
//! Upstream: `kubectl/pkg/cmd/apply/apply_{set,view}_last_applied.go`.

use super::described;
use crate::apply::{LAST_APPLIED, go_json, last_applied, with_last_applied};
use crate::cli::apply::{SetLastApplied, ViewLastApplied};
use crate::commands::Session;
use crate::discovery::Asks;
use crate::files;
use crate::print;
use crate::selected::{NOTHING, Query, not_had, resolve};
use crate::writing::{Failures, PatchKind, Writing, is_not_found, with_source};
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use serde_json::json;

pub(super) async fn set(session: &Session, flags: &SetLastApplied) -> anyhow::Result<()> {
    let writing = Writing::new(&flags.dry_run.dry_run, "", &flags.printing)?;
    if !flags.files.any() {
        bail!(NOTHING);
    }
    let discovery = session.discovery_for(&flags.files, Asks::ONCE, crate::files::Check::Decoded).await?;
    let mut plans = Vec::new();
    for manifest in files::read(&flags.files, &discovery, session).await?.all()? {
        let current = match session.client.get_object(&manifest.path()).await {
            Ok(current) => current,
            Err(error) if is_not_found(&error) => {
                return Err(not_had(session, &manifest.resource, &manifest.namespace, error).await);
            }
            Err(error) => {
                let doing = format!("retrieving current configuration of:\n{}\nfrom server for:", described(&manifest));
                return Err(with_source(error, &doing, &manifest.source));
            }
        };
        if last_applied(&current).is_none() && !flags.create_annotation {
            bail!(
                "no last-applied-configuration annotation found on resource: {}, to create the annotation, run the command with --create-annotation",
                manifest.object.name()
            );
        }
        plans.push((manifest, current));
    }
    let mut failures = Vec::new();
    for (manifest, current) in plans {
        let wanted = with_last_applied(&manifest.object);
        let text = wanted.annotations().and_then(|a| a.get(LAST_APPLIED)).cloned().unwrap_or_default();
        if current.annotations().and_then(|a| a.get(LAST_APPLIED)) == Some(&text) {
            crate::outln!("set-last-applied {}: no changes required.", manifest.object.name());
            continue;
        }
        if !writing.sends() {
            writing.done(&manifest, &current, "configured")?;
            continue;
        }
        let patch = json!({"metadata": {"annotations": {LAST_APPLIED: text}}});
        match writing.patch(session, &manifest.path(), PatchKind::Merge, &patch).await {
            Ok(patched) => writing.done(&manifest, &patched, "configured")?,
            Err(error) => failures.push(error),
        }
    }
    Failures::outcome(failures)
}

pub(super) async fn view(session: &Session, flags: &ViewLastApplied) -> anyhow::Result<()> {
    let query = Query::new(&flags.words, &flags.files).selector(&flags.selector).all(flags.all);
    query.all_alone()?;
    let discovery = query.discovery(session).await?;
    let mut selected = resolve(session, &discovery, &query).await?;
    // The first that is not there ends it.
    selected.failures.truncate(1);
    for manifest in selected.all_or_nothing()? {
        let Some(applied) = last_applied(&manifest.object) else {
            bail!("no last-applied-configuration annotation found on resource: {}", manifest.object.name());
        };
        match flags.output.as_str() {
            "json" => crate::out!("{}", indented(&applied)?),
            "yaml" => crate::out!("{}", print::yaml(&applied)),
            output => bail!(
                "Unexpected -o output mode: {output}, the flag 'output' must be one of yaml|json\nSee 'kubectl apply view-last-applied -h' for help and examples"
            ),
        }
    }
    Ok(())
}

/// Two spaces, unlike everywhere else.
fn indented(value: &Value) -> anyhow::Result<String> {
    let compact: Value = serde_json::from_str(&go_json(value))?;
    Ok(format!("{}\n", serde_json::to_string_pretty(&compact)?))
}
