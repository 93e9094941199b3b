//! What all writing commands share: dry runs, field managers, validation, and how the outcome is
//! told.
//!
//! Upstream: `kubectl/pkg/cmd/util/helpers.go`, `cli-runtime/pkg/genericclioptions/print_flags.go`.

use crate::apply::{CHANGE_CAUSE, annotate};
use crate::cli::writing::Printing;
use crate::commands::{Session, with_query};
use crate::files::Manifest;
use crate::generate::typed;
use crate::http::Refused;
use crate::print::{self, OutputError, Printer, Set};
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use bytes::Bytes;
use http::{Method, header};
use serde_json::json;
use std::cell::RefCell;

/// `--dry-run`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DryRun {
    /// The change is made.
    #[default]
    None,
    /// Nothing is sent.
    Client,
    /// The server goes through the motions.
    Server,
}

impl DryRun {
    /// Reads the flag.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        match text {
            "none" => Ok(DryRun::None),
            "client" => Ok(DryRun::Client),
            "unchanged" => {
                log_warning("helpers.go:719", "--dry-run is deprecated and can be replaced with --dry-run=client.");
                Ok(DryRun::Client)
            }
            "server" => Ok(DryRun::Server),
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(Self::of_boolean(text, DryRun::Client)),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(Self::of_boolean(text, DryRun::None)),
            other => bail!("Invalid dry-run value ({other}). Must be \"none\", \"server\", or \"client\"."),
        }
    }

    /// What a boolean stands for, which it was once.
    fn of_boolean(text: &str, meant: Self) -> Self {
        let name = if meant == DryRun::Client { "client" } else { "none" };
        let hint = format!("--dry-run={text} is deprecated (boolean value) and can be replaced with --dry-run={name}.");
        log_warning(if meant == DryRun::Client { "helpers.go:733" } else { "helpers.go:736" }, &hint);
        meant
    }

    /// The query parameter's value.
    pub fn parameter(self) -> &'static str {
        if self == DryRun::Server { "All" } else { "" }
    }

    /// What messages end in.
    pub fn suffix(self) -> &'static str {
        match self {
            DryRun::None => "",
            DryRun::Client => " (dry run)",
            DryRun::Server => " (server dry run)",
        }
    }
}

/// Reads `--validate` as the query parameter's value.
pub fn field_validation(text: &str) -> anyhow::Result<&'static str> {
    match text {
        "strict" => Ok("Strict"),
        "warn" => Ok("Warn"),
        "ignore" => Ok("Ignore"),
        other => match crate::cli::switches::parse(other) {
            Ok(true) => Ok("Strict"),
            Ok(false) => Ok("Ignore"),
            Err(_) => {
                bail!("invalid - validate option {other:?}; must be one of: strict (or true), warn, ignore (or false)")
            }
        },
    }
}

/// One command's way to write and to tell.
#[derive(Debug)]
pub struct Writing<'a> {
    /// Whether anything is written.
    pub dry_run: DryRun,
    /// `fieldManager`.
    pub manager: &'a str,
    /// `fieldValidation`, empty if not sent.
    pub validation: &'static str,
    /// How outcomes are printed.
    pub printing: &'a Printing,
    /// None where a line of text tells the outcome.
    printer: RefCell<Option<Printer>>,
    /// Why there is no printer where one is wanted.
    unprintable: RefCell<Option<OutputError>>,
    /// Whether outcomes are printed as Go's types, with all members that these have.
    typed: bool,
    /// Whether each outcome is printed as if it were the first.
    apart: bool,
}

impl<'a> Writing<'a> {
    /// Without validation.
    pub fn new(dry_run: &str, manager: &'a str, printing: &'a Printing) -> anyhow::Result<Self> {
        let writing = Self::late(dry_run, manager, printing)?;
        match writing.unprintable.take() {
            Some(error) => Err(error.into()),
            None => Ok(writing),
        }
    }

    /// For a command that complains of the flags that say how to print once there is something to print.
    pub fn late(dry_run: &str, manager: &'a str, printing: &'a Printing) -> anyhow::Result<Self> {
        let (printer, unprintable) = match Printer::of(printing, Set::Objects, false) {
            Ok(printer) => (printer, None),
            Err(error) => (None, Some(error)),
        };
        let (printer, unprintable) = (RefCell::new(printer), RefCell::new(unprintable));
        let dry_run = DryRun::parse(dry_run)?;
        Ok(Self { dry_run, manager, validation: "", printing, printer, unprintable, typed: false, apart: false })
    }

    /// With validation.
    pub fn validating(mut self, validate: &str) -> anyhow::Result<Self> {
        self.validation = field_validation(validate)?;
        Ok(self)
    }

    /// For a command that holds objects in Go's types.
    pub fn typed(mut self) -> Self {
        self.printer = RefCell::new(self.printer.take().map(Printer::typed));
        self.typed = true;
        self
    }

    /// For a command with a printer for each object: nothing sets the outcomes off from each other.
    pub fn apart(mut self) -> Self {
        self.apart = true;
        self
    }

    /// Whether requests are sent.
    pub fn sends(&self) -> bool {
        self.dry_run != DryRun::Client
    }

    /// A path with the parameters of a write.
    pub fn path(&self, path: &str) -> String {
        self.path_as(path, self.manager)
    }

    /// The same for another manager.
    pub fn path_as(&self, path: &str, manager: &str) -> String {
        let parameters =
            [("dryRun", self.dry_run.parameter()), ("fieldManager", manager), ("fieldValidation", self.validation)];
        with_query(path, &parameters)
    }

    /// Creates an object. The version of another one, of which it may be a copy, is left out.
    pub async fn create(&self, session: &Session, collection: &str, object: &Value) -> anyhow::Result<Value> {
        let mut object = std::borrow::Cow::Borrowed(object);
        if !object.resource_version().is_empty() {
            object.to_mut().metadata_mut().remove("resourceVersion");
        }
        self.send(session, Method::POST, collection, "application/json", &object).await
    }

    /// Replaces an object.
    pub async fn update(&self, session: &Session, path: &str, object: &Value) -> anyhow::Result<Value> {
        self.send(session, Method::PUT, path, "application/json", object).await
    }

    /// Patches an object.
    pub async fn patch(&self, session: &Session, path: &str, kind: PatchKind, patch: &Value) -> anyhow::Result<Value> {
        self.send(session, Method::PATCH, path, kind.content_type(), patch).await
    }

    /// Sends a patch as it was typed, which is for the server to refuse.
    pub async fn patch_as_typed(
        &self,
        session: &Session,
        path: &str,
        kind: PatchKind,
        patch: &str,
    ) -> anyhow::Result<Value> {
        let headers = [(header::ACCEPT, "application/json"), (header::CONTENT_TYPE, kind.content_type())];
        let body = Bytes::from(patch.to_owned());
        let answer = session.client.send_as_it_is(Method::PATCH, &self.path(path), &headers, body).await?;
        Ok(serde_json::from_slice(&answer)?)
    }

    async fn send(
        &self,
        session: &Session,
        method: Method,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let path = self.path(path);
        match self.typed {
            true => session.client.write(method, &path, content_type, body).await,
            false => session.client.write_object(method, &path, content_type, body).await,
        }
    }

    /// Tells what was done, in the asked form.
    pub fn done(&self, manifest: &Manifest, object: &Value, done: &str) -> anyhow::Result<()> {
        if let Some(error) = self.unprintable.take() {
            return Err(error.into());
        }
        let Some(printer) = &mut *self.printer.borrow_mut() else {
            // A subresource is told as what it is: `scale.autoscaling/web`.
            let name = match object.get("kind") {
                Some(_) => print::name_of(object),
                None => print::name(&manifest.resource, object),
            };
            crate::outln!("{name} {done}{}", self.dry_run.suffix());
            return Ok(());
        };
        self.print(printer, object)?;
        match printer {
            Printer::Yaml { documents } if self.apart => *documents = 0,
            _ => {}
        }
        Ok(())
    }

    /// Whether outcomes are printed as objects, not as a line of text or a name.
    pub fn prints_objects(&self) -> bool {
        self.printer.borrow().as_ref().is_some_and(|printer| !matches!(printer, Printer::Name))
    }

    /// Prints several objects as one list, and a single one as itself.
    pub fn together(&self, objects: Vec<Value>) -> anyhow::Result<()> {
        let Some(printer) = &mut *self.printer.borrow_mut() else { return Ok(()) };
        let objects: Vec<Value> = match self.printing.show_managed_fields || !printer.shows_objects() {
            true => objects,
            false => objects.into_iter().map(print::without_managed_fields).collect(),
        };
        match objects.as_slice() {
            [] => Ok(()),
            [object] => self.print(printer, object),
            _ => {
                let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": objects});
                match printer {
                    Printer::Json => crate::out!("{}", print::typed::pretty(&list)),
                    printer => printer.print(&mut std::io::stdout().lock(), &list)?,
                }
                Ok(())
            }
        }
    }

    fn print(&self, printer: &mut Printer, object: &Value) -> anyhow::Result<()> {
        if !printer.shows_objects() {
            return Ok(printer.print(&mut std::io::stdout().lock(), object)?);
        }
        let mut shown = if self.typed { typed(object) } else { object.clone() };
        if !self.printing.show_managed_fields {
            shown = print::without_managed_fields(shown);
        }
        Ok(printer.print(&mut std::io::stdout().lock(), &shown)?)
    }
}

/// The forms of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 6902.
    Json,
    /// RFC 7396.
    Merge,
    /// Along the schema.
    Strategic,
    /// Server-side apply.
    Apply,
}

impl PatchKind {
    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            PatchKind::Json => "application/json-patch+json",
            PatchKind::Merge => "application/merge-patch+json",
            PatchKind::Strategic => "application/strategic-merge-patch+json",
            PatchKind::Apply => "application/apply-patch+yaml",
        }
    }

    /// Strategic where the built-in schema knows the type, merge otherwise.
    pub fn best_for(object: &Value) -> Self {
        if crate::apply::schema_of(object).is_some() { PatchKind::Strategic } else { PatchKind::Merge }
    }
}

/// Several failures, each told on its own line.
#[derive(Debug, thiserror::Error)]
#[error("{} errors", .0.len())]
pub struct Failures(pub Vec<anyhow::Error>);

impl Failures {
    /// Nothing, the one failure, or all of them.
    pub fn outcome(mut failures: Vec<anyhow::Error>) -> anyhow::Result<()> {
        match failures.len() {
            0 => Ok(()),
            1 => Err(failures.remove(0)),
            _ => Err(Failures(failures).into()),
        }
    }

    /// The failures of what was done, and those of what could not be read, which upstream tells in one line.
    pub fn with_unread(mut failures: Vec<anyhow::Error>, unread: Vec<anyhow::Error>) -> anyhow::Result<()> {
        let unread = Self::beside(unread, failures.is_empty());
        failures.extend(unread);
        Self::outcome(failures)
    }

    /// The same of a command that reads everything first.
    pub fn unread_first(unread: Vec<anyhow::Error>, failures: Vec<anyhow::Error>) -> Vec<anyhow::Error> {
        let mut all = Self::beside(unread, failures.is_empty());
        all.extend(failures);
        all
    }

    /// What could not be read, in one line unless it is alone.
    fn beside(unread: Vec<anyhow::Error>, alone: bool) -> Vec<anyhow::Error> {
        if alone || unread.len() < 2 {
            return unread;
        }
        let told: Vec<String> = unread.iter().map(|error| format!("{error:#}")).collect();
        vec![anyhow::anyhow!("[{}]", told.join(", "))]
    }

    /// Nothing, or failures that are told as several are even if there is one only.
    pub fn among_others(failures: Vec<anyhow::Error>) -> anyhow::Result<()> {
        if failures.is_empty() { Ok(()) } else { Err(Failures(failures).into()) }
    }
}

/// A line of upstream's log; `place` is where upstream gives it.
pub fn log_info(place: &str, text: &str) {
    log('I', place, text);
}

/// A warning in the same form.
pub fn log_warning(place: &str, text: &str) {
    log('W', place, text);
}

/// An error in the same form.
pub fn log_error(place: &str, text: &str) {
    log('E', place, text);
}

/// An error that does not end the command, in the same form.
pub fn log_unhandled(place: &str, text: &str) {
    log('E', place, &format!("\"Unhandled Error\" err={text:?}"));
}

fn log(severity: char, place: &str, text: &str) {
    eprintln!("{}", log_line(severity, place, text));
}

fn log_line(severity: char, place: &str, text: &str) -> String {
    let now = jiff::Zoned::now().strftime("%m%d %H:%M:%S%.6f");
    format!("{severity}{now} {:>7} {place}] {text}", std::process::id())
}

/// An error that ends the command as a line of the log.
#[derive(Debug, thiserror::Error)]
#[error("{}", log_line('F', .place, .text))]
pub struct Fatal {
    /// Where upstream logs it.
    pub place: &'static str,
    /// What went wrong.
    pub text: String,
}

/// Says where a refused object came from.
pub fn with_source(error: anyhow::Error, doing: &str, source: &str) -> anyhow::Error {
    if source.is_empty() {
        return error;
    }
    match error.downcast::<Refused>() {
        Ok(refused) => {
            let message = format!("error when {doing} \"{source}\": {}", refused.message);
            Refused { message, ..refused }.into()
        }
        Err(error) => error.context(format!("error when {doing} \"{source}\"")),
    }
}

/// `--record`: the command line as an annotation.
pub fn record(object: &mut Value, asked: bool) {
    if asked {
        annotate(object, CHANGE_CAUSE, crate::cli::retold(&std::env::args().collect::<Vec<_>>()));
    }
}

/// Tells that `--record` goes away, as upstream does before anything else.
pub fn warn_of_record(asked: bool) {
    if asked {
        eprintln!("Flag --record has been deprecated, --record will be removed in the future");
    }
}

/// A wrong use of a command, with where to read on.
pub fn usage(command: &str, why: impl std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!("{why}\nSee 'kubectl {command} -h' for help and examples")
}

/// An object as the server has it; nothing if there is none.
pub async fn live(session: &Session, path: &str) -> anyhow::Result<Option<Value>> {
    match session.client.get_object(path).await {
        Ok(live) => Ok(Some(live)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the server said that there is no such object.
pub fn is_not_found(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(Refused::is_not_found)
}

/// A member of what is to be an object; whatever else it is gives way.
pub(crate) fn member<'v>(value: &'v mut Value, key: &str) -> &'v mut Value {
    if !value.is_object() {
        *value = json!({});
    }
    &mut value[key]
}

/// The status code of a refusal.
pub fn code(error: &anyhow::Error) -> Option<u16> {
    error.downcast_ref::<Refused>().map(|refused| refused.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_flags() {
        assert_eq!(DryRun::parse("server").ok(), Some(DryRun::Server));
        assert_eq!(DryRun::parse("true").ok(), Some(DryRun::Client));
        assert_eq!(DryRun::parse("F").ok(), Some(DryRun::None));
        assert!(DryRun::parse("yes").is_err());
        assert_eq!(field_validation("true").ok(), Some("Strict"));
        assert!(field_validation("x").is_err());
    }

    #[test]
    fn what_could_not_be_read_is_told_beside_the_rest() {
        let errors = |texts: &[&str]| texts.iter().map(|text| anyhow::anyhow!("{text}")).collect::<Vec<_>>();
        let told = |unread: &[&str], failures: &[&str]| -> Vec<String> {
            Failures::unread_first(errors(unread), errors(failures)).iter().map(ToString::to_string).collect()
        };
        assert_eq!(told(&["a", "b"], &[]), ["a", "b"]);
        assert_eq!(told(&["a"], &["c"]), ["a", "c"]);
        assert_eq!(told(&["a", "b"], &["c"]), ["[a, b]", "c"]);
    }

    #[test]
    fn refusals_name_their_file() {
        let refused = Refused { code: 409, reason: "AlreadyExists".into(), message: "no".into(), details: Value::Null };
        let error = with_source(refused.into(), "creating", "f.yaml");
        assert_eq!(error.to_string(), "error when creating \"f.yaml\": no");
        assert_eq!(code(&error), Some(409));
        let error = with_source(anyhow::anyhow!("x"), "creating", "f");
        assert_eq!(format!("{error:#}"), "error when creating \"f\": x");
    }
}
