//! `diff`: what `apply` would change, by a program that compares folders.
//!
//! Upstream: `kubectl/pkg/cmd/diff`.

mod secrets;

use super::apply::prune;
use super::apply::types::Types;
use super::{Session, undo};
use crate::apply::{last_applied, three_way, without_last_applied};
use crate::cli::diff::Diff;
use crate::cli::writing::Printing;
use crate::discovery::{Asks, Discovery};
use crate::files::{self, Manifest};
use crate::print;
use crate::selected::labelled;
use crate::writing::{Failures, PatchKind, Writing, code, live};
use anyhow::{Context, bail};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use futures::stream::{self, StreamExt, TryStreamExt};
use http::Method;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// How often an object that changes meanwhile is looked at anew.
const TRIES: usize = 4;

/// An object now and as it would be.
struct Pair {
    name: String,
    live: Option<Value>,
    merged: Option<Value>,
}

pub(super) async fn run(session: &Session, flags: &Diff) -> anyhow::Result<ExitCode> {
    compare(session, flags).await.or_else(|error| Ok(failed(&error)))
}

/// What goes wrong first: nothing behind it is looked at.
fn first(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Failures>() {
        Ok(Failures(mut failures)) if !failures.is_empty() => failures.remove(0),
        Ok(failures) => failures.into(),
        Err(error) => error,
    }
}

/// Tells what went wrong. An exit code of one would mean that there is a difference.
pub(super) fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("{}", print::harmless(&super::error_text(error)));
    ExitCode::from(2)
}

async fn compare(session: &Session, flags: &Diff) -> anyhow::Result<ExitCode> {
    if flags.force_conflicts && !flags.server_side {
        bail!("--force-conflicts only works with --server-side");
    }
    flags.files.required()?;
    let printing = Printing::default();
    let manager = super::apply::manager(&flags.field_manager, flags.server_side);
    let writing = Writing::new("server", manager, &printing)?;
    let discovery = session.discovery_for(&flags.files, Asks::ONCE, files::Check::Decoded).await.map_err(first)?;
    let mut manifests = files::read(&flags.files, &discovery, session).await?.all()?;
    if !flags.selector.is_empty() {
        let mut kept = Vec::new();
        for manifest in manifests {
            if labelled(&manifest.object, &flags.selector)? {
                kept.push(manifest);
            }
        }
        manifests = kept;
    }
    let types = Types::new(session, true);
    let pairs: Vec<Pair> = stream::iter(manifests.iter().map(|m| pair(session, &writing, flags, &types, m)))
        .buffered(flags.concurrency.max(1))
        .try_collect()
        .await?;
    if flags.record {
        undo::record(session, manifests.iter().zip(pairs.iter().map(|p| p.live.as_ref())))?;
    }
    let pruned = if flags.prune { pruned(session, &discovery, flags, &manifests, &pairs).await? } else { Vec::new() };
    let folders = Folders::new()?;
    for pair in pairs.into_iter().chain(pruned) {
        folders.write(flags, pair)?;
    }
    folders.compare()
}

async fn pair(
    session: &Session,
    writing: &Writing<'_>,
    flags: &Diff,
    types: &Types<'_>,
    manifest: &Manifest,
) -> anyhow::Result<Pair> {
    let name = file_name(manifest);
    for _ in 0..TRIES {
        let live = live(session, &manifest.path()).await?;
        match merged(session, writing, flags, types, manifest, live.as_ref()).await {
            Ok(merged) => return Ok(Pair { name, live, merged: Some(merged) }),
            Err(error) if code(&error) == Some(409) && !flags.server_side => {}
            Err(error) => return Err(error),
        }
    }
    bail!("the object {} keeps changing", manifest.display())
}

async fn merged(
    session: &Session,
    writing: &Writing<'_>,
    flags: &Diff,
    types: &Types<'_>,
    manifest: &Manifest,
    live: Option<&Value>,
) -> anyhow::Result<Value> {
    if flags.server_side {
        let path = format!("{}&force={}", writing.path(&manifest.path()), flags.force_conflicts);
        let kind = PatchKind::Apply.content_type();
        return session.client.write(Method::PATCH, &path, kind, &manifest.object).await;
    }
    // What was applied last is not told in a difference.
    let wanted = &manifest.object;
    let Some(live) = live else {
        return writing.create(session, &manifest.collection(), wanted).await;
    };
    let wanted = without_last_applied(wanted.clone());
    let ty = types.of(&wanted).await;
    let (kind, patch) = three_way(ty.as_ref(), last_applied(live).as_ref(), &wanted, live);
    if patch == json!({}) {
        return Ok(live.clone());
    }
    writing.patch(session, &manifest.path(), kind, &patch).await
}

/// What `apply --prune` would delete, as objects that are no more.
async fn pruned(
    session: &Session,
    discovery: &Discovery,
    flags: &Diff,
    manifests: &[Manifest],
    pairs: &[Pair],
) -> anyhow::Result<Vec<Pair>> {
    let mut namespaces: Vec<&str> =
        manifests.iter().filter(|m| m.resource.namespaced).map(|m| m.namespace.as_str()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    let uids: Vec<&str> = pairs.iter().filter_map(|pair| pair.live.as_ref()).map(ObjectMeta::uid).collect();
    let outdated =
        prune::all_outdated(session, discovery, &flags.prune_allowlist, &flags.selector, &namespaces, &uids).await?;
    let gone = |manifest: Manifest| Pair { name: file_name(&manifest), live: Some(manifest.object), merged: None };
    Ok(outdated.into_iter().map(gone).collect())
}

/// `apps.v1.Deployment.default.web`; what is in no namespace has two dots there.
fn file_name(manifest: &Manifest) -> String {
    let resource = &manifest.resource;
    let group = if resource.group.is_empty() { String::new() } else { format!("{}.", resource.group) };
    let namespace = if resource.namespaced { manifest.namespace.as_str() } else { "" };
    format!("{group}{}.{}.{namespace}.{}", resource.version, resource.kind, manifest.object.name())
}

/// Two temporary folders that are compared and go.
struct Folders {
    live: PathBuf,
    merged: PathBuf,
}

impl Folders {
    fn new() -> anyhow::Result<Self> {
        let make = |name: &str| -> anyhow::Result<PathBuf> {
            use std::os::unix::fs::DirBuilderExt;
            let path = std::env::temp_dir().join(format!("{name}-{}", rand::random_range(100_000_000_u32..u32::MAX)));
            std::fs::DirBuilder::new()
                .mode(0o700)
                .create(&path)
                .with_context(|| format!("creating {}", path.display()))?;
            Ok(path)
        };
        Ok(Self { live: make("LIVE")?, merged: make("MERGED")? })
    }

    fn write(&self, flags: &Diff, mut pair: Pair) -> anyhow::Result<()> {
        if !flags.show_managed_fields {
            pair.live = pair.live.map(print::without_managed_fields);
            pair.merged = pair.merged.map(print::without_managed_fields);
        }
        let is_secret = |o: &Value| o["kind"] == "Secret" && o["apiVersion"] == "v1";
        if !flags.show_secrets && [&pair.live, &pair.merged].into_iter().flatten().any(is_secret) {
            secrets::mask(pair.live.as_mut(), pair.merged.as_mut());
            // Upstream masks what is not there, too, and shows what comes of it.
            pair.live.get_or_insert(Value::Null);
        }
        // A name from the cluster never leads out of the folder.
        let name = pair.name.replace(['/', '\0'], "_");
        // What is not there is an empty file, which programs that compare folders can show.
        for (folder, object) in [(&self.live, pair.live), (&self.merged, pair.merged)] {
            std::fs::write(folder.join(&name), object.as_ref().map(print::yaml).unwrap_or_default())?;
        }
        Ok(())
    }

    fn compare(&self) -> anyhow::Result<ExitCode> {
        let (mut command, program) = program(&self.live, &self.merged);
        match command.status() {
            Ok(status) => match status.code() {
                Some(0) => Ok(ExitCode::SUCCESS),
                Some(1) => Ok(ExitCode::from(1)),
                code => bail!("failed to run {program:?}: exit status {}", code.unwrap_or(-1)),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !program.contains('/') => {
                bail!("failed to run {program:?}: executable file not found in $PATH")
            }
            Err(error) => bail!("failed to run {program:?}: {}", crate::http::io_words(&error)),
        }
    }
}

/// `KUBECTL_EXTERNAL_DIFF` with its plain arguments, or `diff -u -N`.
fn program(live: &Path, merged: &Path) -> (Command, String) {
    let named = std::env::var("KUBECTL_EXTERNAL_DIFF").unwrap_or_default();
    let words = words(&named);
    let (program, arguments) = match words.split_first() {
        Some((program, arguments)) => (program.clone(), arguments.to_vec()),
        None => ("diff".to_owned(), vec!["-u".to_owned(), "-N".to_owned()]),
    };
    let mut command = Command::new(&program);
    command.args(arguments).arg(live).arg(merged);
    (command, program)
}

/// Words that could do harm in a shell are left out, as upstream does.
fn words(text: &str) -> Vec<String> {
    let mut words = text.split_whitespace();
    let program = words.next().map(str::to_owned);
    let plain = |word: &&str| word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-=".contains(&b));
    program.into_iter().chain(words.filter(plain).map(str::to_owned)).collect()
}

impl Drop for Folders {
    fn drop(&mut self) {
        for folder in [&self.live, &self.merged] {
            // What cannot be removed is in the temporary folder.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_type_and_place() {
        let sample = crate::discovery::tests::sample();
        let named = |resource: &str| {
            let resource = sample.find(resource).expect("known").clone();
            let object = serde_json::json!({"metadata": {"name": "a"}});
            file_name(&Manifest { source: String::new(), object, resource, namespace: "ns".into() })
        };
        assert_eq!((named("deploy"), named("po")), ("apps.v1.Deployment.ns.a".into(), "v1.Pod.ns.a".into()));
        assert_eq!(named("no"), "v1.Node..a");
    }

    #[test]
    fn arguments_of_the_program_are_plain() {
        assert_eq!(words("colordiff -N -u ;rm $(x)"), ["colordiff", "-N", "-u"]);
        assert!(words("").is_empty());
    }
}
