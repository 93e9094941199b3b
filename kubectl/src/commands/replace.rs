//! `replace`.
//!
//! Upstream: `kubectl/pkg/cmd/replace`.

use super::Session;
use super::create::{check_raw, one, raw};
use super::delete::{Deadline, Deletion, Victim};
use crate::apply::{last_applied, with_last_applied};
use crate::cli::Files;
use crate::cli::replace::Replace;
use crate::discovery::Asks;
use crate::files::{Check, Manifest, Reading};
use crate::writing::{DryRun, Failures, Writing, is_not_found, record, warn_of_record, with_source};
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use http::Method;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

pub(super) async fn run(session: &Session, flags: &Replace) -> anyhow::Result<()> {
    warn_of_record(flags.record.record);
    let writing = Writing::new(&flags.dry_run.dry_run, &flags.field_manager, &flags.printing)?
        .validating(&flags.validate.validate)?;
    // Nothing is killed at once: it is waited for, so that it does end.
    let grace = if flags.removal.grace_period == 0 { 1 } else { flags.removal.grace_period };
    let deletion = Deletion::new(&flags.removal, grace)?;
    check(flags, writing.dry_run)?;
    if !flags.raw.is_empty() {
        return raw(session, Method::PUT, &flags.raw, &flags.files.filenames[0]).await;
    }
    // What is to be deleted first need not be well-formed otherwise.
    let check = if flags.removal.force { Check::Decoded } else { Check::of(&flags.validate.validate) };
    let discovery = session.discovery_for(&flags.files, Asks::ONCE, check).await?;
    // What is to be deleted first is read twice.
    let spooled = match flags.removal.force {
        true => Spooled::of(&flags.files)?,
        false => None,
    };
    let files = spooled.as_ref().map_or(&flags.files, |spooled| &spooled.files);
    if flags.removal.force {
        let reading = Reading::of(files, &discovery, session, check)?;
        remove(session, flags, &deletion, reading).await?;
    }
    let mut reading = Reading::of(files, &discovery, session, check)?;
    let (mut failures, mut unread, mut replaced) = (Vec::new(), Vec::new(), 0);
    while let Some(outcome) = reading.next().await {
        let mut manifest = match outcome {
            Ok(manifest) => manifest,
            Err(error) => {
                unread.push(error);
                continue;
            }
        };
        replaced += 1;
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
    if flags.removal.force && failures.is_empty() && unread.is_empty() && replaced == 0 {
        bail!("no objects passed to replace");
    }
    Failures::with_unread(failures, unread)
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
async fn remove(
    session: &Session,
    flags: &Replace,
    deletion: &Deletion,
    mut reading: Reading<'_>,
) -> anyhow::Result<()> {
    let deadline = Deadline::new(&flags.removal.timeout)?;
    let (mut deleted, mut failures, mut unread, mut found) = (Vec::new(), Vec::new(), Vec::new(), 0);
    while let Some(outcome) = reading.next().await {
        let victim = match outcome {
            Ok(manifest) => Victim::of(&manifest),
            Err(error) => {
                unread.push(error);
                continue;
            }
        };
        found += 1;
        match deletion.ask(session, &victim).await {
            Ok(uid) => {
                crate::outln!("{}", deletion.told(&victim));
                deleted.push((victim, uid));
            }
            Err(error) if is_not_found(&error) => {}
            Err(error) => failures.push(with_source(error, "deleting", &victim.source)),
        }
    }
    if found == 0 && unread.is_empty() {
        crate::outln!("No resources found");
    }
    Failures::with_unread(failures, unread)?;
    for (victim, uid) in &deleted {
        deadline.gone(session, victim, uid.as_deref()).await?;
    }
    Ok(())
}

/// Standard input as a file that can be read again, in a folder that goes with this.
struct Spooled {
    files: Files,
    folder: PathBuf,
}

impl Spooled {
    /// Nothing if standard input is not among the manifests.
    fn of(files: &Files) -> std::io::Result<Option<Self>> {
        if !files.filenames.iter().any(|name| name == "-") {
            return Ok(None);
        }
        let folder = std::env::temp_dir().join(format!("kubectl_replace_{}", rand::random::<u64>()));
        // Only the user may read what may hold secrets.
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let path = folder.join("resource.stdin");
        let named = path.display().to_string();
        let mut files = files.clone();
        for name in files.filenames.iter_mut().filter(|name| *name == "-") {
            name.clone_from(&named);
        }
        let spooled = Self { files, folder };
        std::io::copy(&mut std::io::stdin().lock(), &mut std::fs::File::create_new(path)?)?;
        Ok(Some(spooled))
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        // The system empties the place that it lies in anyway.
        drop(std::fs::remove_dir_all(&self.folder));
    }
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
