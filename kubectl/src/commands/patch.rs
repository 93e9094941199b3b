//! `patch`.
//!
//! Upstream: `kubectl/pkg/cmd/patch`.

use super::Session;
use crate::apply::schema_of;
use crate::cli::patch::Patch;
use crate::discovery::Discovery;
use crate::files::Manifest;
use crate::selected::{Query, resolve};
use crate::writing::{DryRun, Failures, PatchKind, Writing, record, warn_of_record};
use anyhow::{Context, bail};
use apimachinery::Value;
use apimachinery::codec::yaml;
use apimachinery::schema::TypeRef;

pub(super) async fn run(session: &Session, flags: &Patch) -> anyhow::Result<()> {
    warn_of_record(flags.record.record);
    let writing = Writing::late(&flags.dry_run.dry_run, &flags.field_manager, &flags.printing)?;
    // Upstream does not say that a run is dry.
    let telling = Writing::late("none", &flags.field_manager, &flags.printing)?;
    let kind = check(flags, writing.dry_run)?;
    let patch = read(flags)?;
    // What a file says is patched unseen.
    let query = Query::new(&flags.words, &flags.files).local(flags.local).as_written().subresource(&flags.subresource);
    let selected = match flags.local {
        true => resolve(session, &Discovery::builtin(), &query).await?,
        false => resolve(session, &query.discovery(session).await?, &query).await?,
    };
    if selected.objects.is_empty() && selected.failures.is_empty() {
        bail!("no objects passed to patch");
    }
    let mut failures = Vec::new();
    for manifest in selected.objects {
        failures.extend(one(session, (&writing, &telling), flags, kind, &patch, manifest).await.err());
    }
    Failures::with_unread(failures, selected.failures)
}

fn check(flags: &Patch, dry_run: DryRun) -> anyhow::Result<PatchKind> {
    if !flags.patch.is_empty() && !flags.patch_file.is_empty() {
        bail!("cannot specify --patch and --patch-file together");
    }
    if flags.patch.is_empty() && flags.patch_file.is_empty() {
        bail!("must specify --patch or --patch-file containing the contents of the patch");
    }
    if flags.local && !flags.words.is_empty() {
        bail!("cannot specify --local and server resources");
    }
    if flags.local && dry_run == DryRun::Server {
        bail!("cannot specify --local and --dry-run=server - did you mean --dry-run=client?");
    }
    match flags.kind.to_ascii_lowercase().as_str() {
        "json" => Ok(PatchKind::Json),
        "merge" => Ok(PatchKind::Merge),
        "strategic" => Ok(PatchKind::Strategic),
        _ => bail!("--type must be one of [json merge strategic], not {:?}", flags.kind),
    }
}

/// A patch as it was given.
struct Given {
    text: String,
    value: anyhow::Result<Value>,
}

impl Given {
    /// What it says.
    fn value(&self) -> anyhow::Result<&Value> {
        self.value.as_ref().map_err(|why| anyhow::anyhow!("{why:#}"))
    }

    /// Whether it begins as JSON and is none: upstream leaves that to the server.
    fn is_no_json(&self) -> bool {
        self.text.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(&self.text).is_err()
    }
}

fn read(flags: &Patch) -> anyhow::Result<Given> {
    let text = match flags.patch_file.as_str() {
        "" => flags.patch.clone(),
        path => std::fs::read_to_string(path).with_context(|| format!("unable to read patch file: open {path}"))?,
    };
    let value = yaml::to_value(text.as_bytes()).map_err(|e| anyhow::anyhow!("unable to parse {:?}: {e}", flags.patch));
    let given = Given { text, value };
    if !given.is_no_json() {
        given.value()?;
    }
    Ok(given)
}

async fn one(
    session: &Session,
    (writing, telling): (&Writing<'_>, &Writing<'_>),
    flags: &Patch,
    kind: PatchKind,
    patch: &Given,
    manifest: Manifest,
) -> anyhow::Result<()> {
    if flags.local || !writing.sends() {
        let mut patched = locally(manifest.object.clone(), kind, patch.value()?)?;
        record(&mut patched, flags.record.record);
        let done = if patched == manifest.object { "patched (no change)" } else { "patched" };
        return telling.done(&manifest, &patched, done);
    }
    let mut path = manifest.path();
    if !flags.subresource.is_empty() {
        path = format!("{path}/{}", flags.subresource);
    }
    let mut patched = match patch.is_no_json() {
        true => writing.patch_as_typed(session, &path, kind, &patch.text).await?,
        false => writing.patch(session, &path, kind, patch.value()?).await?,
    };
    if flags.record.record {
        let mut recorded = patched.clone();
        record(&mut recorded, true);
        let change = crate::apply::merge_patch(&patched, &recorded);
        patched = writing.patch(session, &manifest.path(), PatchKind::Merge, &change).await?;
    }
    let done = if patched == manifest.object { "patched (no change)" } else { "patched" };
    telling.done(&manifest, &patched, done)
}

/// Applies a patch to an object of a built-in type here.
pub(super) fn locally(object: Value, kind: PatchKind, patch: &Value) -> anyhow::Result<Value> {
    locally_as(schema_of(&object).as_ref(), object, kind, patch)
}

/// The same for an object of any type; without one there is no strategic patch.
pub(super) fn locally_as(ty: Option<&TypeRef>, object: Value, kind: PatchKind, patch: &Value) -> anyhow::Result<Value> {
    Ok(match kind {
        PatchKind::Json => rules::patch::json::apply(object, patch)?,
        PatchKind::Merge => rules::patch::merge::apply(object, patch)?,
        PatchKind::Strategic | PatchKind::Apply => {
            let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let Some(ty) = ty else {
                let (group, version) = apimachinery::gvk::parse_api_version(&text("apiVersion")).map_or_else(
                    || (String::new(), String::new()),
                    |(group, version)| (group.to_owned(), version.to_owned()),
                );
                bail!(
                    "strategic merge patch is not supported for {group}/{version}, Kind={} locally, try --type merge",
                    text("kind")
                );
            };
            rules::patch::strategic::apply(ty, object, patch)?
        }
    })
}
