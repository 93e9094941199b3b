//! `edit`, `create --edit` and `apply edit-last-applied`: rounds through an editor until the
//! server takes the text or nothing has changed.
//!
//! Upstream: `kubectl/pkg/cmd/util/editor/editoptions.go`.

mod text;

use super::{Session, create};
use crate::apply::{LAST_APPLIED, annotate, go_json, last_applied, merge_patch, patch_between, with_last_applied};
use crate::cli::Create;
use crate::cli::apply::EditLastApplied;
use crate::cli::edit::Edit;
use crate::discovery::{Asks, Discovery};
use crate::editor::{Edited, Editor};
use crate::files::{self, Check, Manifest};
use crate::http::Refused;
use crate::print;
use crate::selected::{Query, resolve};
use crate::writing::{Failures, PatchKind, Writing, record, warn_of_record};
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use std::process::ExitCode;
use text::{Form, Reason};

const NOTHING_APPLIED: &str = "no last-applied-configuration annotation found on resources, to create the annotation, \
                               use command `kubectl apply set-last-applied --create-annotation`";

/// `edit`. What could not be saved, although the editor did its part, makes a failure that has been told already.
pub(super) async fn run(session: &Session, flags: &Edit) -> anyhow::Result<ExitCode> {
    warn_of_record(flags.record.record);
    let writing = Writing::late("none", &flags.field_manager, &flags.printing)?;
    let query = Query::new(&flags.words, &flags.files).all(true).subresource(&flags.subresource);
    let discovery = query.discovery(session).await?;
    let writing = writing.validating(&flags.validate.validate)?;
    let originals = resolve(session, &discovery, &query).await?.all_or_nothing()?;
    if originals.is_empty() {
        bail!("edit cancelled, no objects found");
    }
    let mode = Mode::Patch { subresource: &flags.subresource, shows: flags.output_patch };
    let form = Form::of(&flags.printing.output, flags.windows_line_endings);
    let (validate, recorded) = (flags.validate.validate.as_str(), flags.record.record);
    let editing =
        Editing { session, discovery: &discovery, writing, mode, form, validate, recorded, saved: flags.save_config };
    editing.rounds(originals).await
}

/// `create --edit`.
pub(super) async fn before_create(session: &Session, flags: &Create) -> anyhow::Result<()> {
    let writing = Writing::late(&flags.dry_run.dry_run, &flags.field_manager, &flags.printing)?
        .validating(&flags.validate.validate)?;
    let discovery = session.discovery_for(&flags.files, Asks::ONCE, Check::Decoded).await?;
    let read = files::read(&flags.files, &discovery, session).await?;
    let mut failures = Vec::new();
    let form = Form::of(&flags.printing.output, flags.windows_line_endings);
    let (validate, recorded) = (flags.validate.validate.as_str(), flags.record.record);
    let editing = Editing {
        session,
        discovery: &discovery,
        writing,
        mode: Mode::Create,
        form,
        validate,
        recorded,
        saved: flags.save_config,
    };
    for manifest in read.manifests {
        failures.extend(editing.rounds(vec![manifest]).await.err());
    }
    Failures::with_unread(failures, read.failures)
}

/// `apply edit-last-applied`.
pub(super) async fn last_applied_of(session: &Session, flags: &EditLastApplied) -> anyhow::Result<()> {
    warn_of_record(flags.record.record);
    let writing = Writing::late("none", &flags.field_manager, &flags.printing)?;
    let query = Query::new(&flags.words, &flags.files).all(true);
    let discovery = query.discovery(session).await?;
    let writing = writing.validating(&flags.validate.validate)?;
    let objects = resolve(session, &discovery, &query).await?.all_or_nothing()?;
    let mut applied = Vec::new();
    for manifest in &objects {
        let Some(object) = last_applied(&manifest.object) else { continue };
        let read = files::edited(&go_json(&object), &discovery, session)?;
        applied.extend(read.into_iter().next());
    }
    if applied.is_empty() {
        bail!(NOTHING_APPLIED);
    }
    let form = Form::of(&flags.printing.output, flags.windows_line_endings);
    let (validate, recorded) = (flags.validate.validate.as_str(), flags.record.record);
    let mode = Mode::Applied;
    let editing = Editing { session, discovery: &discovery, writing, mode, form, validate, recorded, saved: false };
    editing.rounds(applied).await.map(drop)
}

/// What becomes of what was edited.
#[derive(Clone, Copy, Debug)]
enum Mode<'a> {
    /// It is sent as a patch of what is there, of a part of it only if one is named.
    Patch { subresource: &'a str, shows: bool },
    /// It becomes what was applied last.
    Applied,
    /// It is created.
    Create,
}

struct Editing<'a> {
    session: &'a Session,
    discovery: &'a Discovery,
    writing: Writing<'a>,
    mode: Mode<'a>,
    /// A wrong form is told of once there is something to edit.
    form: anyhow::Result<Form>,
    /// `--validate`.
    validate: &'a str,
    /// `--record`.
    recorded: bool,
    /// `--save-config`.
    saved: bool,
}

/// What came of a round.
#[derive(Debug, Default)]
struct Results {
    reasons: Vec<Reason>,
    /// Objects that another try may save.
    retryable: usize,
    /// Objects that are gone.
    missing: usize,
    /// The file of the round before.
    file: Option<Edited>,
}

/// What follows a round.
enum Next {
    Over(ExitCode),
    /// What was edited is edited again.
    Again,
}

impl Editing<'_> {
    /// Edits objects together until that is over.
    async fn rounds(&self, originals: Vec<Manifest>) -> anyhow::Result<ExitCode> {
        let form = match &self.form {
            Ok(form) => *form,
            Err(error) => bail!("{error:#}"),
        };
        let plain = |manifest: &Manifest| print::without_managed_fields(manifest.object.clone());
        let body = form.body(&originals.iter().map(plain).collect::<Vec<_>>());
        let original = format!("{}{body}", form.head(matches!(self.mode, Mode::Applied), &[]));
        let program = std::env::args().next().unwrap_or_default();
        let prefix = format!("{}-edit-", program.rsplit('/').next().unwrap_or_default());
        let editor = Editor::from_environment();
        let (mut results, mut before) = (Results::default(), None::<String>);
        loop {
            let head = form.head(matches!(self.mode, Mode::Applied), &results.reasons);
            let body = before.as_deref().map_or_else(|| body.clone(), text::without_comments);
            let edited = match editor.edit(&prefix, form.suffix(), &format!("{head}{body}")) {
                Ok(edited) => edited,
                Err(error) => return Err(preserved(error, results.file.as_ref())),
            };
            if before.as_ref().is_some_and(|before| text::same(before, &edited.text)) {
                let error = anyhow::anyhow!("Edit cancelled, no valid changes were saved.");
                return Err(preserved(error, Some(&edited)));
            }
            if let Some(file) = results.file.take() {
                file.discard();
            }
            before = Some(edited.text.clone());
            results = Results { file: Some(edited), ..Results::default() };
            match self.round(&originals, &original, &mut results).await {
                Ok(Next::Over(code)) => return Ok(code),
                Ok(Next::Again) => {}
                Err(error) => return Err(preserved(error, results.file.as_ref())),
            }
        }
    }

    async fn round(&self, originals: &[Manifest], original: &str, results: &mut Results) -> anyhow::Result<Next> {
        let Some(edited) = &results.file else { return Ok(Next::Over(ExitCode::SUCCESS)) };
        let name = edited.path().display().to_string();
        if let Some(why) = self.invalid(&edited.text).await {
            let what = originals.first().map(named).unwrap_or_default();
            eprintln!("{}", print::harmless(&format!("error: {what} is invalid")));
            let why = format!("<nil>: Invalid value: \"The edited file failed validation\": {why}");
            results.reasons.push(Reason { head: format!("{what} was not valid"), causes: vec![why] });
            return Ok(Next::Again);
        }
        if text::same(original, &edited.text) {
            edited.discard();
            eprintln!("Edit cancelled, no changes made.");
            return Ok(Next::Over(ExitCode::SUCCESS));
        }
        if !text::has_lines(&edited.text) {
            edited.discard();
            eprintln!("Edit cancelled, saved file was empty.");
            return Ok(Next::Over(ExitCode::SUCCESS));
        }
        let mut updated = match files::edited(&edited.text, self.discovery, self.session) {
            Ok(updated) => updated,
            Err(error) => {
                let head = format!("The edited file had a syntax error: {}", together(&error));
                results.reasons.push(Reason { head, causes: Vec::new() });
                return Ok(Next::Again);
            }
        };
        for manifest in &mut updated {
            self.in_namespace(manifest)?;
            if self.saved {
                manifest.object = with_last_applied(&manifest.object);
            }
            record(&mut manifest.object, self.recorded);
        }
        for manifest in &updated {
            self.save(originals, manifest, results).await?;
        }
        if results.retryable > 0 {
            let program = std::env::args().next().unwrap_or_default();
            let program = program.rsplit('/').next().unwrap_or_default();
            eprintln!("You can run `{program} replace -f {name}` to try this update again.");
            return Ok(Next::Over(ExitCode::FAILURE));
        }
        if results.missing > 0 {
            eprintln!("The edits you made on deleted resources have been saved to {name:?}");
            return Ok(Next::Over(ExitCode::FAILURE));
        }
        if !results.reasons.is_empty() {
            return Ok(Next::Again);
        }
        if let Some(edited) = &results.file {
            edited.discard();
        }
        Ok(Next::Over(ExitCode::SUCCESS))
    }

    /// Why a text is not valid, as far as that is told without the server; the rest is the server's, if it validates.
    async fn invalid(&self, text: &str) -> Option<String> {
        if !Check::of(self.validate).validates() {
            return None;
        }
        // Comments do not count among the lines.
        let text = text::without_comments(text);
        match files::invalid(&text, Check::of(self.validate), self.discovery, self.session).await {
            None => self.session.asked_how_to_validate().await.err().map(|why| format!("{why:#}")),
            why => why,
        }
    }

    /// Objects stay in the namespace of the command line.
    fn in_namespace(&self, manifest: &Manifest) -> anyhow::Result<()> {
        let (own, namespace) = (manifest.object.namespace(), &self.session.namespace);
        if manifest.resource.namespaced && own != namespace {
            bail!(
                "the namespace from the provided object \"{own}\" does not match the namespace \"{namespace}\". You must pass '--namespace={own}' to perform this operation."
            );
        }
        Ok(())
    }

    async fn save(&self, originals: &[Manifest], edited: &Manifest, results: &mut Results) -> anyhow::Result<()> {
        if let Mode::Create = self.mode {
            let created = create::one(self.session, &self.writing, edited, false).await?;
            return self.writing.done(edited, &created, "created");
        }
        // What was applied last has no UID, so that all of it is compared with the first.
        let same = |original: &&Manifest| original.object.uid() == edited.object.uid();
        let Some(original) = originals.iter().find(same) else {
            let object = text::go_syntax(&edited.object);
            bail!("no original object found for &unstructured.Unstructured{{Object:{object}}}");
        };
        let before = print::without_managed_fields(original.object.clone());
        if before == print::without_managed_fields(edited.object.clone()) {
            return self.writing.done(edited, &original.object, "skipped");
        }
        match self.mode {
            Mode::Patch { subresource, shows } => self.patch(&before, edited, subresource, shows, results).await,
            Mode::Applied | Mode::Create => self.annotate(edited).await,
        }
    }

    async fn patch(
        &self,
        before: &Value,
        edited: &Manifest,
        subresource: &str,
        shows: bool,
        results: &mut Results,
    ) -> anyhow::Result<()> {
        let after = print::without_managed_fields(edited.object.clone());
        let (kind, patch) = patch_between(before, &after);
        let is_another = ["apiVersion", "kind"].iter().any(|key| patch.get(key).is_some());
        if is_another || patch["metadata"].get("name").is_some() {
            bail!("At least one of apiVersion, kind and name was changed");
        }
        if shows {
            crate::outln!("Patch: {}", go_json(&patch));
        }
        let mut path = edited.path();
        if !subresource.is_empty() {
            path = format!("{path}/{subresource}");
        }
        match self.writing.patch(self.session, &path, kind, &patch).await {
            Ok(patched) => self.writing.done(edited, &patched, "edited"),
            Err(error) => {
                eprintln!("{}", print::harmless(&results.refused(&error, edited)));
                Ok(())
            }
        }
    }

    /// Keeps what was edited as what was applied last.
    async fn annotate(&self, edited: &Manifest) -> anyhow::Result<()> {
        let mut annotated = edited.object.clone();
        annotate(&mut annotated, LAST_APPLIED, format!("{}\n", go_json(&edited.object)));
        let patch = merge_patch(&edited.object, &annotated);
        self.writing.patch(self.session, &edited.path(), PatchKind::Merge, &patch).await?;
        self.writing.done(edited, &edited.object, "edited")
    }
}

impl Results {
    /// What is said of an object that the server did not take.
    fn refused(&mut self, error: &anyhow::Error, object: &Manifest) -> String {
        let what = named(object);
        match error.downcast_ref::<Refused>() {
            Some(refused) if refused.is_invalid() => {
                let text = |cause: &Value, key: &str| cause[key].as_str().unwrap_or_default().to_owned();
                let causes = refused.details["causes"].as_array().into_iter().flatten();
                let causes =
                    causes.map(|cause| format!("{}: {}", text(cause, "field"), text(cause, "message"))).collect();
                self.reasons.push(Reason { head: format!("{what} was not valid"), causes });
                format!("error: {what} is invalid")
            }
            Some(refused) if refused.is_not_found() => {
                self.missing += 1;
                format!("error: {what} could not be found on the server")
            }
            _ => {
                self.retryable += 1;
                format!("error: {what} could not be patched: {error:#}")
            }
        }
    }
}

/// `deployments.apps "web"`.
fn named(manifest: &Manifest) -> String {
    format!("{} {}", manifest.resource.group_resource(), print::quote(manifest.object.name()))
}

/// Several errors in one line.
fn together(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Failures>() {
        Some(Failures(several)) if several.len() > 1 => {
            let told: Vec<String> = several.iter().map(together).collect();
            format!("[{}]", told.join(", "))
        }
        Some(Failures(several)) => several.iter().map(together).collect(),
        None => format!("{error:#}"),
    }
}

/// Says where the text is that could not be saved.
fn preserved(error: anyhow::Error, file: Option<&Edited>) -> anyhow::Error {
    if let Some(file) = file.filter(|file| file.path().exists()) {
        eprintln!("A copy of your changes has been stored to {:?}", file.path().display().to_string());
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::tests::sample;
    use serde_json::json;

    #[test]
    fn refusals_are_told_by_what_may_be_done_about_them() {
        let discovery = sample();
        let resource = discovery.for_kind("v1", "Pod").expect("a resource").clone();
        let object = json!({"metadata": {"name": "p"}});
        let pod = Manifest { source: String::new(), object, resource, namespace: String::new() };
        let refused = |code, reason: &str| -> anyhow::Error {
            let details = json!({"causes": [{"field": "a", "message": "b"}]});
            Refused { code, reason: reason.into(), message: "no".into(), details }.into()
        };
        let mut results = Results::default();
        assert_eq!(results.refused(&refused(422, "Invalid"), &pod), "error: pods \"p\" is invalid");
        assert_eq!(results.reasons[0].causes, ["a: b"]);
        assert_eq!(
            results.refused(&refused(404, "NotFound"), &pod),
            "error: pods \"p\" could not be found on the server"
        );
        assert_eq!(results.refused(&anyhow::anyhow!("cut"), &pod), "error: pods \"p\" could not be patched: cut");
        assert_eq!((results.reasons.len(), results.missing, results.retryable), (1, 1, 1));
    }

    #[test]
    fn several_errors_are_told_in_one_line() {
        let errors = vec![anyhow::anyhow!("a"), Failures(vec![anyhow::anyhow!("b")]).into()];
        assert_eq!(together(&Failures(errors).into()), "[a, b]");
    }
}
