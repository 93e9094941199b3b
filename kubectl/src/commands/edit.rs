//! `edit`, `create --edit` and `apply edit-last-applied`: a round through an editor until the
//! server takes the text or nothing has changed.
//!
//! Upstream: `kubectl/pkg/cmd/util/editor`.

use super::{Session, create};
use crate::apply::{LAST_APPLIED, annotate, last_applied, patch_between, with_last_applied};
use crate::cli::Create;
use crate::cli::edit::Edit;
use crate::editor::Editor;
use crate::files::{self, Check, Manifest};
use crate::http::Refused;
use crate::print;
use crate::selected::{Query, resolve};
use crate::writing::{PatchKind, Writing, record, warn_of_record};
use anyhow::bail;
use apimachinery::Value;
use apimachinery::codec::yaml;
use apimachinery::meta::ObjectMeta;
use serde_json::json;

/// What stands above an object.
const HEADER: &str = "# Please edit the object below. Lines beginning with a '#' will be ignored,
# and an empty file will abort the edit. If an error occurs while saving this file will be
# reopened with the relevant failures.
#
";

/// What stands above what was applied last.
const HEADER_OF_APPLIED: &str = "# Please edit the 'last-applied-configuration' annotations below.
# Lines beginning with a '#' will be ignored, and an empty file will abort the edit.
#
";

pub(super) async fn run(session: &Session, flags: &Edit) -> anyhow::Result<()> {
    warn_of_record(flags.record.record);
    let writing = Writing::late("none", &flags.field_manager, &flags.printing)?.validating(&flags.validate.validate)?;
    if flags.output_patch && !flags.printing.output.is_empty() {
        bail!("--output-patch is set to true, but --output is specified as {}", flags.printing.output);
    }
    let all = matches!(flags.words.as_slice(), [word] if !word.contains('/'));
    let query = Query::new(&flags.words, &flags.files).all(all).subresource(&flags.subresource);
    let discovery = query.discovery(session).await?;
    let mut objects = resolve(session, &discovery, &query).await?.all_or_nothing()?;
    if objects.is_empty() {
        bail!("edit cancelled, no objects found");
    }
    for manifest in &mut objects {
        manifest.object = print::without_managed_fields(manifest.object.take());
    }
    let form = Form::of(&flags.printing.output, flags.windows_line_endings)?;
    let mut round = Round::new(&objects.iter().map(|m| m.object.clone()).collect::<Vec<_>>(), form)?;
    while let Some(edited) = round.next()? {
        let mut refusals = Vec::new();
        for object in edited {
            let Some(manifest) = objects.iter().find(|m| same_object(&m.object, &object)) else {
                refusals.push("At least one of apiVersion, kind and name was changed".to_owned());
                continue;
            };
            match save(session, &writing, flags, manifest, object).await {
                Ok(()) => {}
                Err(error) => refusals.push(refusal(error)?),
            }
        }
        if refusals.is_empty() {
            round.finish();
            return Ok(());
        }
        round.again(&refusals);
    }
    Ok(())
}

/// What the server does not like is told in the editor; anything else ends the command.
fn refusal(error: anyhow::Error) -> anyhow::Result<String> {
    match error.downcast_ref::<Refused>() {
        Some(refused) if matches!(refused.code, 400 | 404 | 409 | 422) => {
            eprintln!("error: {}", refused.message);
            Ok(refused.message.clone())
        }
        _ => Err(error),
    }
}

fn same_object(a: &Value, b: &Value) -> bool {
    a["apiVersion"] == b["apiVersion"]
        && a["kind"] == b["kind"]
        && a.name() == b.name()
        && a.namespace() == b.namespace()
}

async fn save(
    session: &Session,
    writing: &Writing<'_>,
    flags: &Edit,
    manifest: &Manifest,
    mut object: Value,
) -> anyhow::Result<()> {
    if object == manifest.object {
        return writing.done(manifest, &object, "skipped");
    }
    if flags.save_config || last_applied(&manifest.object).is_some() && last_applied(&object).is_some() {
        object = with_last_applied(&object);
    }
    record(&mut object, flags.record.record);
    let (kind, patch) = patch_between(&manifest.object, &object);
    if flags.output_patch {
        crate::outln!("Patch: {}", crate::apply::go_json(&patch));
    }
    let mut path = manifest.path();
    if !flags.subresource.is_empty() {
        path = format!("{path}/{}", flags.subresource);
    }
    let patched = writing.patch(session, &path, kind, &patch).await?;
    writing.done(manifest, &patched, "edited")
}

/// `create --edit`.
pub(super) async fn before_create(session: &Session, flags: &Create) -> anyhow::Result<()> {
    let writing = Writing::new(&flags.dry_run.dry_run, &flags.field_manager, &flags.printing)?
        .validating(&flags.validate.validate)?;
    let discovery = session.discovery_for(&flags.files, Check::Decoded).await?;
    let manifests =
        files::read_checked(&flags.files, &discovery, session, Check::of(&flags.validate.validate)).await?.all()?;
    let form = Form::of(&flags.printing.output, flags.windows_line_endings)?;
    let mut round = Round::new(&manifests.iter().map(|m| m.object.clone()).collect::<Vec<_>>(), form)?;
    while let Some(edited) = round.next()? {
        let mut refusals = Vec::new();
        for object in edited {
            let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
            let Some(resource) = discovery.for_kind(text("apiVersion"), text("kind")).cloned() else {
                refusals.push(format!(
                    "no matches for kind \"{}\" in version \"{}\"",
                    text("kind"),
                    text("apiVersion")
                ));
                continue;
            };
            let namespace =
                if object.namespace().is_empty() { &session.namespace } else { object.namespace() }.to_owned();
            let mut made = Manifest { source: String::new(), object, resource, namespace };
            record(&mut made.object, flags.record.record);
            match create::one(session, &writing, &made, flags.save_config).await {
                Ok(object) => writing.done(&made, &object, "created")?,
                Err(error) => refusals.push(refusal(error)?),
            }
        }
        if refusals.is_empty() {
            round.finish();
            return Ok(());
        }
        round.again(&refusals);
    }
    Ok(())
}

/// `apply edit-last-applied`.
pub(super) async fn last_applied_of(
    session: &Session,
    flags: &crate::cli::apply::EditLastApplied,
) -> anyhow::Result<()> {
    let writing = Writing::late("none", &flags.field_manager, &flags.printing)?;
    let all = matches!(flags.words.as_slice(), [word] if !word.contains('/'));
    let query = Query::new(&flags.words, &flags.files).all(all);
    let discovery = query.discovery(session).await?;
    let objects = resolve(session, &discovery, &query).await?.all_or_nothing()?;
    if !objects.iter().any(|manifest| last_applied(&manifest.object).is_some()) {
        bail!(NOTHING_APPLIED);
    }
    for manifest in &objects {
        let Some(applied) = last_applied(&manifest.object) else { continue };
        let form = Form::of(&flags.printing.output, flags.windows_line_endings)?;
        let mut round = Round { header: HEADER_OF_APPLIED, ..Round::new(&[applied], form)? };
        while let Some(edited) = round.next()? {
            let Some(edited) = edited.into_iter().next() else { break };
            let mut object = manifest.object.clone();
            annotate(&mut object, LAST_APPLIED, format!("{}\n", crate::apply::go_json(&edited)));
            let text = object.annotations().and_then(|a| a.get(LAST_APPLIED)).cloned().unwrap_or_default();
            let patch = json!({"metadata": {"annotations": {LAST_APPLIED: text}}});
            match writing.patch(session, &manifest.path(), PatchKind::Merge, &patch).await {
                Ok(patched) => {
                    writing.done(manifest, &patched, "edited")?;
                    round.finish();
                    break;
                }
                Err(error) => round.again(&[refusal(error)?]),
            }
        }
    }
    Ok(())
}

const NOTHING_APPLIED: &str = "no last-applied-configuration annotation found on resources, to create the annotation, \
                               use command `kubectl apply set-last-applied --create-annotation`";

/// The text's form.
#[derive(Clone, Copy, Debug)]
struct Form {
    json: bool,
    carriage_returns: bool,
}

impl Form {
    fn of(output: &str, carriage_returns: bool) -> anyhow::Result<Self> {
        match output {
            "" | "yaml" | "name" => Ok(Self { json: false, carriage_returns }),
            "json" => Ok(Self { json: true, carriage_returns }),
            other => bail!("The flag 'output' must be one of yaml|json, not {other}"),
        }
    }
}

/// The text on its way to the editor and back.
struct Round {
    editor: Editor,
    form: Form,
    header: &'static str,
    /// The objects' text without the header.
    body: String,
    refusals: Vec<String>,
    /// What the editor gave back last.
    last: Option<String>,
}

impl Round {
    fn new(objects: &[Value], form: Form) -> anyhow::Result<Self> {
        let object = match objects {
            [one] => one.clone(),
            many => json!({"apiVersion": "v1", "kind": "List", "items": many, "metadata": {}}),
        };
        let body = if form.json { print::json(&object) } else { print::yaml(&object) };
        Ok(Self {
            editor: Editor::from_environment("kubectl-edit-", if form.json { ".json" } else { ".yaml" }),
            form,
            header: HEADER,
            body,
            refusals: Vec::new(),
            last: None,
        })
    }

    /// Opens the editor; the objects, or nothing if the edit is over.
    fn next(&mut self) -> anyhow::Result<Option<Vec<Value>>> {
        let mut text = self.header.to_owned();
        for refusal in &self.refusals {
            for line in refusal.lines() {
                text.push_str(&format!("# {line}\n"));
            }
        }
        if !self.refusals.is_empty() {
            text.push_str("#\n");
        }
        text.push_str(self.last.as_deref().unwrap_or(&self.body));
        if self.form.carriage_returns {
            text = text.replace('\n', "\r\n");
        }
        let back = self.editor.edit(&text)?.replace("\r\n", "\n");
        let plain: String = back.lines().filter(|l| !l.starts_with('#')).map(|l| format!("{l}\n")).collect();
        let unchanged = plain == *self.last.as_ref().unwrap_or(&self.body);
        if !self.refusals.is_empty() && unchanged {
            let kept = self.editor.keep();
            eprintln!("{}", self.refusals.join("\n"));
            crate::outln!("A copy of your changes has been stored to {:?}", kept);
            bail!("Edit cancelled, no valid changes were saved.");
        }
        if unchanged {
            eprintln!("Edit cancelled, no changes made.");
            return Ok(None);
        }
        if plain.trim().is_empty() {
            eprintln!("Edit cancelled, saved file was empty.");
            return Ok(None);
        }
        self.last = Some(plain.clone());
        match yaml::to_value(plain.as_bytes()) {
            Ok(value) => Ok(Some(files::flatten(value))),
            Err(error) => {
                self.again(&[format!("The edited file had a syntax error: {error}")]);
                self.next()
            }
        }
    }

    fn again(&mut self, refusals: &[String]) {
        self.refusals = refusals.to_vec();
    }

    fn finish(&self) {
        self.editor.discard();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_known_by_type_and_name() {
        let pod = |name: &str| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}});
        assert!(same_object(&pod("a"), &pod("a")) && !same_object(&pod("a"), &pod("b")));
    }

    #[test]
    fn refusals_of_the_server_reopen_the_editor() {
        let refused = |code| Refused { code, reason: String::new(), message: "no".into(), details: Value::Null };
        assert_eq!(refusal(refused(422).into()).ok().as_deref(), Some("no"));
        assert!(refusal(refused(500).into()).is_err() && refusal(anyhow::anyhow!("cut")).is_err());
    }
}
