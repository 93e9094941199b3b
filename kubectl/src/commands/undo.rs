//! `undo`: brings back what `diff --record` kept before an `apply`.
//!
//! The record is a file in the user's folder, one per server; upstream has no such command.

use super::Session;
use crate::cli::delete::Removal;
use crate::cli::diff::Undo;
use crate::commands::delete::{Deletion, Victim};
use crate::discovery::Asks;
use crate::files::Manifest;
use crate::writing::{DryRun, Failures, Writing, is_not_found};
use anyhow::{Context, bail};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// Keeps what is there now; an object that is not there is kept as its name.
pub(super) fn record<'a>(
    session: &Session,
    objects: impl Iterator<Item = (&'a Manifest, Option<&'a Value>)>,
) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let entries: Vec<Value> = objects
        .map(|(manifest, live)| {
            json!({"apiVersion": manifest.resource.api_version(), "kind": manifest.resource.kind,
                   "namespace": manifest.namespace, "name": manifest.object.name(), "live": live})
        })
        .collect();
    let path = path(session)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Secrets may be among the objects.
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
    serde_json::to_writer(file.with_context(|| format!("writing {}", path.display()))?, &entries)?;
    Ok(())
}

fn path(session: &Session) -> anyhow::Result<PathBuf> {
    let home =
        std::env::var_os("HOME").filter(|h| !h.is_empty()).context("there is no home folder to keep records in")?;
    let digest = Sha256::digest(session.client.server().as_bytes());
    let server: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Ok(PathBuf::from(home).join(".kube/undo").join(format!("{server}.json")))
}

pub(super) async fn run(session: &Session, flags: &Undo) -> anyhow::Result<()> {
    let path = path(session)?;
    let text =
        std::fs::read(&path).map_err(|_| anyhow::anyhow!("nothing to undo: run 'diff --record' before 'apply'"))?;
    let entries: Vec<Value> = serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))?;
    let writing = Writing::new(&flags.dry_run.dry_run, &flags.field_manager, &flags.printing)?;
    let discovery = session.discovery(Asks::ONCE).await?;
    let mut failures = Vec::new();
    // What was applied last depends on what was applied before it.
    for entry in entries.iter().rev() {
        let text = |key: &str| entry[key].as_str().unwrap_or_default();
        let Some(resource) = discovery.for_kind(text("apiVersion"), text("kind")).cloned() else {
            bail!("no matches for kind \"{}\" in version \"{}\"", text("kind"), text("apiVersion"));
        };
        let object =
            json!({"apiVersion": text("apiVersion"), "kind": text("kind"), "metadata": {"name": text("name")}});
        let manifest = Manifest { source: String::new(), object, resource, namespace: text("namespace").to_owned() };
        failures.extend(one(session, &writing, &manifest, &entry["live"]).await.err());
    }
    if failures.is_empty() && writing.dry_run == DryRun::None {
        std::fs::remove_file(&path)?;
    }
    Failures::outcome(failures)
}

async fn one(session: &Session, writing: &Writing<'_>, manifest: &Manifest, live: &Value) -> anyhow::Result<()> {
    let current = match session.client.get(&manifest.path(), "application/json").await {
        Ok(current) => Some(current),
        Err(error) if is_not_found(&error) => None,
        Err(error) => return Err(error),
    };
    match (current, live.is_null()) {
        (None, true) => Ok(()),
        (Some(current), true) => {
            let removal =
                Removal { cascade: "background".into(), force: false, grace_period: -1, timeout: "0s".into() };
            Deletion::new(&removal, -1)?.dry_run(writing.dry_run).ask(session, &Victim::of(manifest)).await?;
            writing.done(manifest, &current, "removed")
        }
        (None, false) => {
            let object = as_new(live);
            let made =
                if writing.sends() { writing.create(session, &manifest.collection(), &object).await? } else { object };
            writing.done(manifest, &made, "restored")
        }
        (Some(current), false) => {
            let mut object = as_new(live);
            object.set_meta("resourceVersion", current.resource_version());
            if same(&current, live) {
                return writing.done(manifest, &current, "unchanged");
            }
            let made = if writing.sends() { writing.update(session, &manifest.path(), &object).await? } else { object };
            writing.done(manifest, &made, "restored")
        }
    }
}

/// An object without what only the server says.
fn as_new(live: &Value) -> Value {
    let mut object = live.clone();
    if let Some(members) = object.as_object_mut() {
        members.remove("status");
    }
    for key in ["resourceVersion", "uid", "creationTimestamp", "generation", "managedFields", "selfLink"] {
        object.metadata_mut().remove(key);
    }
    object
}

fn same(current: &Value, live: &Value) -> bool {
    as_new(current) == as_new(live)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_compared_without_the_servers_marks() {
        let one = json!({"metadata": {"name": "a", "uid": "1", "resourceVersion": "1"}, "spec": {"x": 1}, "status": {"y": 1}});
        let two = json!({"metadata": {"name": "a", "uid": "1", "resourceVersion": "9"}, "spec": {"x": 1}, "status": {"y": 2}});
        assert!(same(&one, &two));
        assert!(!same(&one, &json!({"metadata": {"name": "a"}, "spec": {"x": 2}})));
    }
}
