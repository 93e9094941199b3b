//! `replace`.
//!
//! Upstream: `kubectl/pkg/cmd/replace`.

use super::Session;
use super::create::{check_raw, one, raw};
use super::delete::{Deadline, Deletion, Victim};
use crate::apply::{last_applied, with_last_applied};
use crate::cli::replace::Replace;
use crate::files::{self, Check, Manifest};
use crate::writing::{DryRun, Failures, Writing, is_not_found, record, warn_of_record, with_source};
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use http::Method;

pub(super) async fn run(session: &Session, flags: &Replace) -> anyhow::Result<()> {
    warn_of_record(flags.record.record);
    let writing = Writing::new(&flags.dry_run.dry_run, &flags.field_manager, &flags.printing)?
        .validating(&flags.validate.validate)?;
    let deletion = Deletion::new(&flags.removal, flags.removal.grace_period)?;
    check(flags, writing.dry_run)?;
    if !flags.raw.is_empty() {
        return raw(session, Method::PUT, &flags.raw, &flags.files.filenames[0]).await;
    }
    // What is to be deleted first need not be well-formed otherwise.
    let check = if flags.removal.force { Check::Decoded } else { Check::of(&flags.validate.validate) };
    let discovery = session.discovery_for(&flags.files, check).await?;
    let read = files::read_checked(&flags.files, &discovery, session, check).await?;
    let mut failures = read.failures;
    if flags.removal.force {
        remove(session, flags, &deletion, &read.manifests).await?;
    }
    for mut manifest in read.manifests {
        record(&mut manifest.object, flags.record.record);
        let outcome = match flags.removal.force {
            true => one(session, &writing, &manifest, flags.save_config).await,
            false => put(session, &writing, flags, &manifest).await,
        };
        match outcome {
            Ok(object) => writing.done(&manifest, &object, "replaced")?,
            Err(error) if flags.removal.force => failures.push(error),
            Err(error) => failures.push(with_source(error, "replacing", &manifest.source)),
        }
    }
    Failures::outcome(failures)
}

fn check(flags: &Replace, dry_run: DryRun) -> anyhow::Result<()> {
    let forced = flags.removal.force;
    if flags.removal.grace_period >= 0 && !forced {
        bail!("--grace-period must have --force specified");
    }
    if flags.removal.timeout != "0s" && !forced {
        bail!("--timeout must have --force specified");
    }
    if forced && dry_run != DryRun::None {
        bail!("--dry-run can not be used when --force is set");
    }
    if !flags.files.any() {
        bail!("must specify one of -f and -k");
    }
    if !flags.raw.is_empty() {
        check_raw(&flags.files, &flags.printing.output)?;
    }
    Ok(())
}

/// Deletes what is to be created anew, and waits until it is gone.
async fn remove(session: &Session, flags: &Replace, deletion: &Deletion, manifests: &[Manifest]) -> anyhow::Result<()> {
    let deadline = Deadline::new(&flags.removal.timeout)?;
    let mut deleted = Vec::new();
    for manifest in manifests {
        let victim = Victim::of(manifest);
        match deletion.ask(session, &victim).await {
            Ok(uid) => {
                crate::outln!("{}", deletion.told(&victim));
                deleted.push((victim, uid));
            }
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(with_source(error, "deleting", &manifest.source)),
        }
    }
    for (victim, uid) in &deleted {
        deadline.gone(session, victim, uid).await?;
    }
    Ok(())
}

async fn put(session: &Session, writing: &Writing<'_>, flags: &Replace, manifest: &Manifest) -> anyhow::Result<Value> {
    if !writing.sends() {
        return Ok(manifest.object.clone());
    }
    let mut path = manifest.path();
    if !flags.subresource.is_empty() {
        path = format!("{path}/{}", flags.subresource);
    }
    let save = flags.save_config || last_applied(&manifest.object).is_some();
    let mut object = if save { with_last_applied(&manifest.object) } else { manifest.object.clone() };
    // Without a version the replacement wins over whatever is there.
    if object.resource_version().is_empty() {
        // What cannot be read may be written nevertheless.
        if let Ok(current) = session.client.get(&path, "application/json").await {
            object.set_meta("resourceVersion", current.resource_version());
        }
    }
    writing.update(session, &path, &object).await
}
