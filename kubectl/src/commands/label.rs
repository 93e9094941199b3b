//! `label` and `annotate`: one edits `metadata.labels`, the other `metadata.annotations`.
//!
//! Upstream: `kubectl/pkg/cmd/{label,annotate}`.

use super::Session;
use crate::apply::merge_patch;
use crate::cli::label::Marking;
use crate::discovery::Discovery;
use crate::files::Manifest;
use crate::print::harmless;
use crate::selected::{Query, resolve};
use crate::writing::{DryRun, Failures, PatchKind, Writing, record, warn_of_record};
use anyhow::bail;
use apimachinery::meta::ObjectMeta;
use apimachinery::{Map, Value};
use serde_json::json;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Label,
    Annotation,
}

impl Kind {
    fn noun(self) -> &'static str {
        if self == Kind::Label { "label" } else { "annotation" }
    }

    fn member(self) -> &'static str {
        if self == Kind::Label { "labels" } else { "annotations" }
    }

    /// What is told of a change.
    fn told(self, change: &Change) -> &'static str {
        match (self, change.added.is_empty(), change.removed.is_empty()) {
            (Kind::Annotation, ..) => "annotated",
            (Kind::Label, true, true) => "not labeled",
            (Kind::Label, false, true) => "labeled",
            (Kind::Label, true, false) => "unlabeled",
            (Kind::Label, false, false) => "modified",
        }
    }
}

pub(super) async fn run(session: &Session, kind: Kind, flags: &Marking, manager: &str) -> anyhow::Result<()> {
    warn_of_record(flags.record.record);
    let (resources, specs) = split(kind, &flags.words)?;
    let edit = Edit::parse(kind, &specs)?;
    let writing = Writing::late(&flags.dry_run.dry_run, manager, &flags.printing)?;
    let writing = if kind == Kind::Label { writing.apart() } else { writing };
    check(flags, kind, &resources, &edit, writing.dry_run)?;
    let query = Query {
        selector: &flags.selector,
        field_selector: &flags.field_selector,
        all: flags.all,
        all_namespaces: flags.all_namespaces,
        local: flags.local,
        ..Query::new(&resources, &flags.files)
    };
    let selected = match flags.local {
        true => resolve(session, &Discovery::builtin(), &query).await?,
        false => resolve(session, &query.discovery(session).await?, &query).await?,
    };
    let single = selected.objects.len() == 1;
    if !flags.resource_version.is_empty() && !single {
        bail!("--resource-version may only be used with a single resource");
    }
    let mut failures = Vec::new();
    for manifest in selected.objects {
        let outcome = match flags.list {
            true => show(kind, &manifest, single),
            false => one(session, &writing, flags, kind, &edit, manifest).await,
        };
        failures.extend(outcome.err());
    }
    Failures::with_unread(failures, selected.failures)
}

/// Words up to the first edit, and the edits.
fn split(kind: Kind, words: &[String]) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let is_edit =
        |word: &String| (word.contains('=') && !word.starts_with('=')) || (word.ends_with('-') && word != "-");
    let first = words.iter().position(is_edit).unwrap_or(words.len());
    let (resources, edits) = words.split_at(first);
    if let Some(late) = edits.iter().find(|word| !is_edit(word)) {
        bail!("all resources must be specified before {} changes: {late}", kind.noun());
    }
    Ok((resources.to_vec(), edits.to_vec()))
}

fn check(flags: &Marking, kind: Kind, resources: &[String], edit: &Edit, dry_run: DryRun) -> anyhow::Result<()> {
    if flags.list && !flags.printing.output.is_empty() {
        bail!("--list and --output may not be specified together");
    }
    if flags.all && !flags.selector.is_empty() {
        bail!("cannot set --all and --selector at the same time");
    }
    if flags.all && !flags.field_selector.is_empty() {
        bail!("cannot set --all and --field-selector at the same time");
    }
    let example = if kind == Kind::Label { "pod" } else { "rsrc" };
    if flags.local {
        if dry_run == DryRun::Server {
            bail!("cannot specify --local and --dry-run=server - did you mean --dry-run=client?");
        }
        if !resources.is_empty() {
            bail!(
                "can only use local files by -f {example}.yaml or --filename={example}.json when --local=true is set"
            );
        }
        if !flags.files.any() {
            bail!("one or more files must be specified as -f {example}.yaml or --filename={example}.json");
        }
    } else if resources.is_empty() && !flags.files.any() {
        bail!("one or more resources must be specified as <resource> <name> or <resource>/<name>");
    }
    if edit.is_empty() && !flags.list {
        bail!("at least one {} update is required", kind.noun());
    }
    Ok(())
}

fn show(kind: Kind, manifest: &Manifest, single: bool) -> anyhow::Result<()> {
    let indent = if single { "" } else { " " };
    if !single {
        let resource = &manifest.resource;
        let name = harmless(manifest.object.name());
        crate::outln!("Listing {} for {}.{}/{name}:", kind.member(), resource.kind, resource.group);
    }
    for (key, value) in marks(kind, &manifest.object) {
        crate::outln!("{indent}{}={}", harmless(&key), harmless(value.as_str().unwrap_or_default()));
    }
    Ok(())
}

fn marks(kind: Kind, object: &Value) -> Map {
    object.metadata().and_then(|m| m.get(kind.member())?.as_object().cloned()).unwrap_or_default()
}

async fn one(
    session: &Session,
    writing: &Writing<'_>,
    flags: &Marking,
    kind: Kind,
    edit: &Edit,
    mut manifest: Manifest,
) -> anyhow::Result<()> {
    let mut before = manifest.object.clone();
    let mut marks = marks(kind, &before);
    if !flags.overwrite {
        edit.check_overwrites(kind, &marks)?;
    }
    if kind == Kind::Label && writing.sends() && !flags.local {
        for key in edit.removed.iter().filter(|key| !marks.contains_key(*key)) {
            crate::outln!("label {key:?} not found.");
        }
    }
    let change = edit.apply(&mut marks);
    manifest.object.set_meta(kind.member(), Value::Object(marks));
    record(&mut manifest.object, flags.record.record);
    if !flags.resource_version.is_empty() {
        before.set_meta("resourceVersion", "");
        manifest.object.set_meta("resourceVersion", flags.resource_version.as_str());
    }
    let patch = merge_patch(&before, &manifest.object);
    let unchanged = kind == Kind::Label && change.added.is_empty() && change.removed.is_empty();
    if writing.sends() && !flags.local && !unchanged {
        let patched = writing.patch(session, &manifest.path(), PatchKind::Merge, &patch).await?;
        if kind == Kind::Annotation {
            manifest.object = patched;
        }
    }
    writing.done(&manifest, &manifest.object, kind.told(&change))
}

/// What to set and what to remove.
#[derive(Debug, Default, PartialEq, Eq)]
struct Edit {
    set: Vec<(String, String)>,
    removed: Vec<String>,
}

/// Keys that an edit touched.
#[derive(Debug, Default, PartialEq, Eq)]
struct Change {
    added: Vec<String>,
    removed: Vec<String>,
}

impl Edit {
    fn parse(kind: Kind, specs: &[String]) -> anyhow::Result<Self> {
        let mut edit = Edit::default();
        for spec in specs {
            match spec.split_once('=') {
                Some((key, value)) => {
                    if kind == Kind::Label {
                        check_label(spec, value)?;
                    }
                    edit.set.push((key.into(), value.into()));
                }
                None => edit.removed.push(spec.trim_end_matches('-').into()),
            }
        }
        let both: Vec<&String> = edit.removed.iter().filter(|key| edit.set.iter().any(|(k, _)| k == *key)).collect();
        match (both.is_empty(), kind) {
            (true, _) => Ok(edit),
            (false, Kind::Label) => bail!("can not both modify and remove a label in the same command"),
            (false, Kind::Annotation) => bail!(
                "can not both modify and remove the following annotation(s) in the same command: {}",
                both.iter().map(|k| k.as_str()).collect::<Vec<_>>().join(", ")
            ),
        }
    }

    fn is_empty(&self) -> bool {
        self.set.is_empty() && self.removed.is_empty()
    }

    fn check_overwrites(&self, kind: Kind, marks: &Map) -> anyhow::Result<()> {
        let there = |(key, value): &&(String, String)| marks.get(key).is_some_and(|old| old.as_str() != Some(value));
        let taken: Vec<&(String, String)> = self.set.iter().filter(there).collect();
        let old = |key: &str| marks.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        match (taken.is_empty(), kind) {
            (true, _) => Ok(()),
            (false, Kind::Label) => Failures::outcome(
                taken
                    .iter()
                    .map(|(key, _)| {
                        anyhow::anyhow!("'{key}' already has a value ({}), and --overwrite is false", old(key))
                    })
                    .collect(),
            ),
            (false, Kind::Annotation) => {
                let list: Vec<String> =
                    taken.iter().map(|(key, _)| format!("'{key}' already has a value ({})", old(key))).collect();
                bail!("--overwrite is false but found the following declared annotation(s): {}", list.join("; "))
            }
        }
    }

    fn apply(&self, marks: &mut Map) -> Change {
        let mut change = Change::default();
        for (key, value) in &self.set {
            if marks.insert(key.clone(), json!(value)).is_none_or(|old| old.as_str() != Some(value)) {
                change.added.push(key.clone());
            }
        }
        for key in &self.removed {
            if marks.remove(key).is_some() {
                change.removed.push(key.clone());
            }
        }
        change
    }
}

/// A label's value is short and has no odd letters.
fn check_label(spec: &str, value: &str) -> anyhow::Result<()> {
    const FORM: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
    if value.contains('=') {
        bail!("invalid label spec: {spec}");
    }
    let ends = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    let inner = value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if value.len() > 63 {
        bail!("invalid label value: {spec:?}: must be no more than 63 characters");
    }
    if !inner || !ends(value.chars().next()) || !ends(value.chars().last()) {
        bail!("invalid label value: {spec:?}: {FORM}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn edits_are_told_from_resources() {
        let (resources, edits) = split(Kind::Label, &words("pods a x=1 y-")).expect("in order");
        assert_eq!((resources, edits), (words("pods a"), words("x=1 y-")));
    }

    #[test]
    fn edits_are_checked() {
        let parse = |kind, line: &str| Edit::parse(kind, &words(line)).map_err(|e| e.to_string());
        assert!(parse(Kind::Label, "a=b c-").is_ok());
        assert_eq!(parse(Kind::Label, "a=b=c"), Err("invalid label spec: a=b=c".into()));
        assert!(parse(Kind::Annotation, "a=b=c d/e=x y").is_ok());
        assert!(parse(Kind::Label, "a=-b").is_err());
        assert!(parse(Kind::Label, "a=b a-").is_err() && parse(Kind::Annotation, "a=b a-").is_err());
    }

    #[test]
    fn edits_change_marks() {
        let edit = Edit::parse(Kind::Label, &words("a=1 b=2 c-")).expect("fine");
        let mut marks = json!({"a": "1", "c": "3"}).as_object().cloned().expect("a map");
        assert!(edit.check_overwrites(Kind::Label, &marks).is_ok());
        let change = edit.apply(&mut marks);
        assert_eq!(change, Change { added: words("b"), removed: words("c") });
        assert_eq!(Value::Object(marks), json!({"a": "1", "b": "2"}));
        let taken = json!({"a": "0"}).as_object().cloned().expect("a map");
        let error = edit.check_overwrites(Kind::Label, &taken).expect_err("taken");
        assert_eq!(error.to_string(), "'a' already has a value (0), and --overwrite is false");
    }
}
