//! `apply`: client-side with a three-way patch, or server-side.
//!
//! Upstream: `kubectl/pkg/cmd/apply`.

mod applyset;
mod last_applied;
mod migration;
pub(super) mod prune;
pub(super) mod types;

use super::delete::{Deadline, Deletion, Victim};
use super::patch::locally_as;
use super::{Session, edit};
use crate::apply::{self as patches, LAST_APPLIED, with_last_applied};
use crate::cli::Apply;
use crate::cli::apply::LastApplied;
use crate::discovery::Asks;
use crate::files::{self, Check, Manifest, Reading};
use crate::http::Refused;
use crate::selected::labelled;
use crate::writing::{DryRun, Failures, PatchKind, Writing, code, live, record, warn_of_record, with_source};
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::schema::TypeRef;
use applyset::ApplySet;
use http::Method;
use serde_json::json;
use std::time::Duration;
use types::Types;

/// How often a patch that another writer outran is computed anew.
const TRIES: u32 = 5;
const BACK_OFF: Duration = Duration::from_secs(1);
/// The manager that applies on the server unless one is named.
const SERVER_SIDE_MANAGER: &str = "kubectl";
const CLIENT_SIDE_MANAGER: &str = "kubectl-client-side-apply";

/// The manager that applies: the one that is named, or the one of the side that it is done on.
pub(super) fn manager(named: &str, server_side: bool) -> &str {
    match (server_side, named) {
        (true, CLIENT_SIDE_MANAGER) => SERVER_SIDE_MANAGER,
        (_, named) => named,
    }
}

pub(super) async fn run(session: &Session, flags: &Apply) -> anyhow::Result<()> {
    match &flags.command {
        Some(LastApplied::EditLastApplied(flags)) => return edit::last_applied_of(session, flags).await,
        Some(LastApplied::SetLastApplied(flags)) => return last_applied::set(session, flags).await,
        Some(LastApplied::ViewLastApplied(flags)) => return last_applied::view(session, flags).await,
        None => {}
    }
    warn_of_record(flags.record.record);
    let manager = manager(&flags.field_manager, flags.server_side);
    let writing =
        Writing::late(&flags.dry_run.dry_run, manager, &flags.printing)?.validating(&flags.validate.validate)?;
    flags.files.required()?;
    Deletion::new(&flags.removal, flags.removal.grace_period)?;
    if !flags.applyset.is_empty() && !applyset::is_enabled() {
        bail!("unknown flag: --applyset\nSee 'kubectl apply --help' for usage.");
    }
    if flags.prune && !flags.prune_allowlist.is_empty() {
        prune::check(&session.discovery(Asks::ONCE).await?, &flags.prune_allowlist)?;
    }
    // What the flags say against each other is told before the server is asked, if it need not be.
    if flags.applyset.is_empty() {
        check(flags, writing.dry_run)?;
    }
    let check = Check::of(&flags.validate.validate);
    let discovery = session.discovery_for(&flags.files, Asks::ONCE, check).await?;
    let mut set = match flags.applyset.as_str() {
        "" => None,
        text => {
            let set = ApplySet::parse(session, &discovery, text)?;
            self::check(flags, writing.dry_run)?;
            set.check().await?;
            Some(set)
        }
    };
    let mut applying = Applying::new(session, &writing, flags);
    match &mut set {
        // The set must know all of its members before the first of them is written.
        Some(set) => {
            let mut read = files::read_checked(&flags.files, &discovery, session, check).await?;
            if !flags.selector.is_empty() {
                read.manifests = only_labelled(read.manifests, &flags.selector)?;
            }
            set.begin(&writing, &mut read.manifests).await?;
            applying.failures = read.failures;
            for manifest in read.manifests {
                applying.apply(manifest).await?;
            }
        }
        None => {
            let mut reading = Reading::of(&flags.files, &discovery, session, check)?;
            let mut unread = Vec::new();
            while let Some(outcome) = reading.next().await {
                match outcome {
                    Ok(manifest) if !flags.selector.is_empty() && !labelled(&manifest.object, &flags.selector)? => {}
                    Ok(manifest) => applying.apply(manifest).await?,
                    Err(error) => unread.push(error),
                }
            }
            applying.failures = Failures::unread_first(unread, std::mem::take(&mut applying.failures));
        }
    }
    let applied = applying.end()?;
    let uids: Vec<&str> = applied.iter().map(|(_, uid)| uid.as_str()).collect();
    match set {
        Some(set) => {
            let deletion = Deletion::new(&flags.removal, flags.removal.grace_period)?.dry_run(writing.dry_run);
            set.end(&writing, &deletion, &uids, flags.interactive).await
        }
        None if flags.prune => prune::run(session, &discovery, flags, &writing, &applied).await,
        None => Ok(()),
    }
}

fn only_labelled(manifests: Vec<Manifest>, selector: &str) -> anyhow::Result<Vec<Manifest>> {
    let mut chosen = Vec::new();
    for manifest in manifests {
        if labelled(&manifest.object, selector)? {
            chosen.push(manifest);
        }
    }
    Ok(chosen)
}

/// Applies one object after the other.
struct Applying<'a> {
    session: &'a Session,
    writing: &'a Writing<'a>,
    flags: &'a Apply,
    types: Types<'a>,
    /// How many were applied.
    count: usize,
    /// Those that were, with their identifiers, if anybody asks for them at the end.
    applied: Vec<(Manifest, String)>,
    /// What is shown at the end.
    objects: Vec<Value>,
    failures: Vec<anyhow::Error>,
}

impl<'a> Applying<'a> {
    fn new(session: &'a Session, writing: &'a Writing<'a>, flags: &'a Apply) -> Self {
        let types = Types::new(session, flags.openapi_patch);
        let (applied, objects, failures) = (Vec::new(), Vec::new(), Vec::new());
        Self { session, writing, flags, types, count: 0, applied, objects, failures }
    }

    async fn apply(&mut self, mut manifest: Manifest) -> anyhow::Result<()> {
        if manifest.object.name().is_empty() && !manifest.object.meta_str("generateName").is_empty() {
            let prefix = manifest.object.meta_str("generateName").to_owned();
            self.failures.push(anyhow::anyhow!("from {prefix}: cannot use generate name with apply"));
            return Ok(());
        }
        record(&mut manifest.object, self.flags.record.record);
        let outcome = match self.flags.server_side {
            true => server_side(self.session, self.writing, self.flags, &manifest).await,
            false => client_side(self.session, self.writing, self.flags, &self.types, &manifest).await,
        };
        let (object, done) = match outcome {
            Ok(applied) => applied,
            Err(error) => {
                self.failures.push(error);
                return Ok(());
            }
        };
        self.count += 1;
        if !self.writing.prints_objects() {
            self.writing.done(&manifest, &object, done)?;
        }
        if self.flags.prune {
            self.applied.push((manifest, object.uid().to_owned()));
        }
        if self.writing.prints_objects() {
            self.objects.push(object);
        }
        Ok(())
    }

    /// What was applied, if all that there is was.
    fn end(self) -> anyhow::Result<Vec<(Manifest, String)>> {
        if self.failures.is_empty() {
            if self.count == 0 {
                bail!("no objects passed to apply");
            }
            // Objects are shown all at once, or not at all.
            self.writing.together(self.objects)?;
        }
        Failures::outcome(self.failures)?;
        Ok(self.applied)
    }
}

/// What the flags say against each other.
fn check(flags: &Apply, dry_run: DryRun) -> anyhow::Result<()> {
    if flags.force_conflicts && !flags.server_side {
        bail!("--force-conflicts only works with --server-side");
    }
    if dry_run == DryRun::Client && flags.server_side {
        bail!("--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)");
    }
    if flags.removal.force && flags.server_side {
        bail!("--force cannot be used with --server-side");
    }
    if dry_run == DryRun::Server && flags.removal.force {
        bail!("--dry-run=server cannot be used with --force");
    }
    if flags.all && !flags.selector.is_empty() {
        bail!("cannot set --all and --selector at the same time");
    }
    check_pruning(flags)?;
    if !flags.subresource.is_empty() && !flags.server_side {
        bail!("--subresource can only be specified for --server-side");
    }
    Ok(())
}

fn check_pruning(flags: &Apply) -> anyhow::Result<()> {
    let in_set = !flags.applyset.is_empty();
    if flags.interactive && flags.files.filenames.iter().any(|name| name == "-") {
        bail!("--interactive cannot be used with a manifest from standard input");
    }
    if !flags.prune {
        return if in_set { Err(anyhow::anyhow!("--applyset requires --prune")) } else { Ok(()) };
    }
    if flags.removal.force {
        bail!("--force cannot be used with --prune");
    }
    if in_set {
        let given = [
            (flags.all, "--all"),
            (!flags.selector.is_empty(), "--selector"),
            (!flags.prune_allowlist.is_empty(), "--prune-allowlist"),
        ];
        return match given.into_iter().find(|(given, _)| *given) {
            Some((_, flag)) => Err(anyhow::anyhow!("{flag} is incompatible with --applyset")),
            None => Ok(()),
        };
    }
    if !flags.all && flags.selector.is_empty() {
        bail!(
            "all resources selected for prune without explicitly passing --all. To prune all resources, pass the --all flag. If you did not mean to prune all resources, specify a label selector"
        );
    }
    if flags.server_side {
        bail!("--prune is in alpha and doesn't currently work on objects created by server-side apply");
    }
    Ok(())
}

fn target(manifest: &Manifest, flags: &Apply) -> String {
    match flags.subresource.as_str() {
        "" => manifest.path(),
        subresource => format!("{}/{subresource}", manifest.path()),
    }
}

async fn client_side(
    session: &Session,
    writing: &Writing<'_>,
    flags: &Apply,
    types: &Types<'_>,
    manifest: &Manifest,
) -> anyhow::Result<(Value, &'static str)> {
    let wanted = with_last_applied(&manifest.object);
    let current = match live(session, &target(manifest, flags)).await {
        Ok(Some(current)) => current,
        Ok(None) => {
            // As a patch would do, a null leaves its member out.
            let wanted = without_nulls(wanted);
            let created = match writing.sends() {
                true => writing.create(session, &manifest.collection(), &wanted).await,
                false => Ok(wanted),
            };
            return created.map(|o| (o, "created")).map_err(|e| with_source(e, "creating", &manifest.source));
        }
        Err(error) => {
            let doing = format!("retrieving current configuration of:\n{}\nfrom server for:", described(manifest));
            return Err(with_source(error, &doing, &manifest.source));
        }
    };
    if patches::last_applied(&current).is_none() {
        warn_of_missing_annotation(manifest);
    }
    let ty = types.of(&wanted).await;
    patch(session, writing, flags, manifest, (ty.as_ref(), &wanted), current).await
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            map.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// An object as errors of `apply` name it.
fn described(manifest: &Manifest) -> String {
    let resource = &manifest.resource;
    format!(
        "Resource: \"{}/{}, Resource={}\", GroupVersionKind: \"{}/{}, Kind={}\"\nName: {:?}, Namespace: {:?}",
        resource.group,
        resource.version,
        resource.plural,
        resource.group,
        resource.version,
        resource.kind,
        manifest.object.name(),
        if resource.namespaced { manifest.namespace.as_str() } else { "" }
    )
}

fn warn_of_missing_annotation(manifest: &Manifest) {
    let resource = &manifest.resource;
    eprintln!(
        "Warning: resource {}/{} is missing the {LAST_APPLIED} annotation which is required by kubectl apply. kubectl apply should only be used on resources created declaratively by either kubectl create --save-config or kubectl apply. The missing annotation will be patched automatically.",
        resource.plural,
        manifest.object.name()
    );
}

/// Patches until no other writer is faster; `--force` makes anew what cannot be patched.
async fn patch(
    session: &Session,
    writing: &Writing<'_>,
    flags: &Apply,
    manifest: &Manifest,
    (ty, wanted): (Option<&TypeRef>, &Value),
    mut current: Value,
) -> anyhow::Result<(Value, &'static str)> {
    let path = target(manifest, flags);
    for attempt in 0.. {
        let last = patches::last_applied(&current);
        if !flags.overwrite {
            check_conflicts(last.as_ref(), wanted, &current)?;
        }
        let (kind, change) = patches::three_way(ty, last.as_ref(), wanted, &current);
        if change == json!({}) {
            return Ok((current, "unchanged"));
        }
        if !writing.sends() {
            return Ok((locally_as(ty, current, kind, &change)?, "configured"));
        }
        let error = match writing.patch(session, &path, kind, &change).await {
            Ok(patched) => {
                // Only our own bookkeeping may have changed.
                let same = patched.resource_version() == current.resource_version();
                let done = if same && writing.dry_run == DryRun::None { "unchanged" } else { "configured" };
                return Ok((patched, done));
            }
            Err(error) => error,
        };
        match code(&error) {
            Some(409) if attempt < TRIES => {
                tokio::time::sleep(BACK_OFF).await;
                current = session.client.get(&path, "application/json").await?;
            }
            Some(409 | 422) if flags.removal.force => {
                let made = replace(session, writing, flags, manifest, wanted, &current).await;
                return made.map(|o| (o, "configured"));
            }
            _ => {
                let doing =
                    format!("applying patch:\n{}\nto:\n{}\nfor:", patches::go_json(&change), described(manifest));
                return Err(patch_error(error, &doing, &manifest.source));
            }
        }
    }
    bail!("the object keeps changing")
}

fn patch_error(error: anyhow::Error, doing: &str, source: &str) -> anyhow::Error {
    match error.downcast::<Refused>() {
        Ok(refused) => {
            let message =
                format!("error when {doing} \"{source}\": error when patching \"{source}\": {}", refused.message);
            Refused { message, ..refused }.into()
        }
        Err(error) => error
            .context(format!("error when patching \"{source}\""))
            .context(format!("error when {doing} \"{source}\"")),
    }
}

/// `--overwrite=false`: what somebody changed since it was applied is a conflict.
fn check_conflicts(last: Option<&Value>, wanted: &Value, current: &Value) -> anyhow::Result<()> {
    let Some(last) = last else { return Ok(()) };
    let ours = patches::merge_patch(last, wanted);
    let theirs = patches::merge_patch(last, current);
    match conflict(&ours, &theirs, "") {
        Some(path) => bail!(
            "patch diff has conflicts on {path}: the modified and the live configuration differ; use --overwrite=true"
        ),
        None => Ok(()),
    }
}

/// A member that both change to different values.
fn conflict(ours: &Value, theirs: &Value, path: &str) -> Option<String> {
    let (Value::Object(ours), Value::Object(theirs)) = (ours, theirs) else {
        return (ours != theirs).then(|| path.to_owned());
    };
    ours.iter().filter(|(key, _)| *key != LAST_APPLIED).find_map(|(key, value)| {
        let other = theirs.get(key).filter(|other| !other.is_null())?;
        conflict(value, other, &format!("{path}.{key}"))
    })
}

/// Deletes, waits, creates; what was there comes back if its successor is refused.
async fn replace(
    session: &Session,
    writing: &Writing<'_>,
    flags: &Apply,
    manifest: &Manifest,
    wanted: &Value,
    original: &Value,
) -> anyhow::Result<Value> {
    let deletion = Deletion::new(&flags.removal, flags.removal.grace_period)?;
    let victim = Victim::of(manifest);
    let uid = deletion.ask(session, &victim).await?;
    Deadline::new(&flags.removal.timeout)?.gone(session, &victim, uid.as_deref()).await?;
    match writing.create(session, &manifest.collection(), wanted).await {
        Err(error) => match writing.create(session, &manifest.collection(), original).await {
            Ok(_) => Err(error),
            Err(again) => bail!(
                "An error occurred force-replacing the existing object with the newly provided one:\n\n{error:#}.\n\nAdditionally, an error occurred attempting to restore the original object:\n\n{again:#}"
            ),
        },
        created => created,
    }
}

async fn server_side(
    session: &Session,
    writing: &Writing<'_>,
    flags: &Apply,
    manifest: &Manifest,
) -> anyhow::Result<(Value, &'static str)> {
    let force = if flags.force_conflicts { "true" } else { "false" };
    let target = target(manifest, flags);
    let path = format!("{}&force={force}", writing.path(&target));
    let send = || session.client.write_object(Method::PATCH, &path, PatchKind::Apply.content_type(), &manifest.object);
    match send().await {
        Ok(object) => {
            let applied = match migration::run(session, writing, manifest, &target, object.clone()).await {
                migration::Outcome::Kept(object) => object,
                // What the manager took over and does not want any more goes only now.
                migration::Outcome::Migrated => send().await.unwrap_or_else(|error| {
                    migration::warn(
                        "failed to re-apply configuration after performing Server-Side Apply migration.",
                        &error,
                    );
                    object
                }),
            };
            Ok((applied, "serverside-applied"))
        }
        Err(error) if code(&error) == Some(409) => {
            let message = format!("{error:#}");
            bail!(
                "{message}\nPlease review the fields above--they currently have other managers. Here\nare the ways you can resolve this warning:\n* If you intend to manage all of these fields, please re-run the apply\n  command with the `--force-conflicts` flag.\n* If you do not intend to manage all of the fields, please edit your\n  manifest to remove references to the fields that should keep their\n  current managers.\n* You may co-own fields by updating your manifest to match the existing\n  value; in this case, you'll become the manager if the other manager(s)\n  stop managing the field (remove it from their configuration).\nSee https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts"
            )
        }
        Err(error) if code(&error) == Some(415) => {
            bail!("Server-side apply not available on the server: ({error:#})")
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_are_left_out() {
        let object = json!({"a": null, "b": {"c": null, "d": [null, {"e": null}]}});
        assert_eq!(without_nulls(object), json!({"b": {"d": [null, {}]}}));
    }

    #[test]
    fn conflicts_are_what_both_changed() {
        let last = json!({"spec": {"a": 1, "b": 1}});
        let wanted = json!({"spec": {"a": 2, "b": 1}});
        assert!(check_conflicts(Some(&last), &wanted, &json!({"spec": {"a": 1, "b": 5}})).is_ok());
        assert!(check_conflicts(Some(&last), &wanted, &json!({"spec": {"a": 2, "b": 1}})).is_ok());
        assert!(check_conflicts(Some(&last), &wanted, &json!({"spec": {"a": 3, "b": 1}})).is_err());
    }
}
