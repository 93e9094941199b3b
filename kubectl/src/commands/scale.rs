//! `scale`.
//!
//! Upstream: `kubectl/pkg/cmd/scale`, `kubectl/pkg/scale`.

use super::Session;
use crate::apply::merge_patch;
use crate::cli::Scale;
use crate::files::Manifest;
use crate::selected::{Query, resolve};
use crate::writing::{DryRun, Failures, PatchKind, Writing, member, record, warn_of_record};
use anyhow::{Context, bail};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::time;
use http::Method;
use serde_json::json;
use std::time::Duration;

/// How often a scaled object is looked at.
const LOOK: Duration = Duration::from_millis(500);

pub(super) async fn run(session: &Session, flags: &Scale) -> anyhow::Result<()> {
    warn_of_record(flags.record.record);
    if flags.replicas.is_none() {
        bail!("required flag(s) \"replicas\" not set");
    }
    let Some(replicas) = flags.replicas.filter(|count| *count >= 0) else {
        bail!("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0");
    };
    if flags.current_replicas < -1 {
        bail!("The --current-replicas must specify an integer of -1 or greater");
    }
    let timeout = time::parse_go_duration(&flags.timeout)
        .with_context(|| format!("invalid argument {:?} for \"--timeout\" flag", flags.timeout))?;
    let writing = Writing::new(&flags.dry_run.dry_run, "", &flags.printing)?;
    let query = Query::new(&flags.words, &flags.files).selector(&flags.selector).all(flags.all).as_written();
    let discovery = query.discovery(session).await?;
    let selected = resolve(session, &discovery, &query).await?;
    let mut failures = selected.failures;
    if selected.objects.len() > 1 && !flags.resource_version.is_empty() {
        bail!("cannot use --resource-version with multiple resources");
    }
    if selected.objects.is_empty() && failures.is_empty() {
        bail!("no objects passed to scale");
    }
    for manifest in &selected.objects {
        failures.extend(one(session, &writing, flags, manifest, replicas, timeout).await.err());
    }
    Failures::outcome(failures)
}

async fn one(
    session: &Session,
    writing: &Writing<'_>,
    flags: &Scale,
    manifest: &Manifest,
    replicas: i64,
    timeout: Duration,
) -> anyhow::Result<()> {
    let mut object = manifest.object.clone();
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("replicas".into(), replicas.into());
    }
    if !writing.sends() {
        return writing.done(manifest, &object, "scaled");
    }
    let path = format!("{}/scale", manifest.path());
    let scaled = match flags.current_replicas >= 0 || !flags.resource_version.is_empty() {
        true => guarded(session, writing, flags, &path, replicas).await,
        false => {
            let patch = json!({"spec": {"replicas": replicas}});
            writing.patch(session, &path, PatchKind::Merge, &patch).await
        }
    };
    scaled?;
    if flags.record.record {
        let mut recorded = object.clone();
        record(&mut recorded, true);
        let patch = merge_patch(&object, &recorded);
        writing.patch(session, &manifest.path(), PatchKind::Merge, &patch).await?;
    }
    if !timeout.is_zero() && writing.dry_run == DryRun::None {
        let wait = settled(session, &path, replicas);
        if tokio::time::timeout(timeout, wait).await.is_err() {
            bail!("timed out waiting for {:?} to be synced", manifest.object.name());
        }
    }
    writing.done(manifest, &object, "scaled")
}

/// Updates only what still is as the flags expect it.
async fn guarded(
    session: &Session,
    writing: &Writing<'_>,
    flags: &Scale,
    path: &str,
    replicas: i64,
) -> anyhow::Result<Value> {
    let mut scale = session.client.get(path, "application/json").await?;
    let current = scale.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
    if flags.current_replicas >= 0 && current != flags.current_replicas {
        bail!("Expected replicas to be {}, was {current}", flags.current_replicas);
    }
    if !flags.resource_version.is_empty() && scale.resource_version() != flags.resource_version {
        bail!("Expected resource version to be {}, was {}", flags.resource_version, scale.resource_version());
    }
    *member(&mut scale["spec"], "replicas") = replicas.into();
    session.client.write(Method::PUT, &writing.path(path), "application/json", &scale).await
}

async fn settled(session: &Session, path: &str, replicas: i64) -> anyhow::Result<()> {
    loop {
        let scale = session.client.get(path, "application/json").await?;
        let count = |part: &str| scale.pointer(part).and_then(Value::as_i64).unwrap_or(0);
        if count("/spec/replicas") == replicas && count("/status/replicas") == replicas {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}
