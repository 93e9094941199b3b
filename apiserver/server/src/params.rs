//! The options of lists, watches, deletes and writes, with upstream's checks.
//!
//! Upstream: `apimachinery/pkg/apis/meta/{v1,internalversion}/validation`,
//! `apiserver/pkg/endpoints/handlers/get.go`.

use crate::query::{Query, parse_error};
use apimachinery::Value;
use apimachinery::codec::{self, FieldValidation};
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use apimachinery::go::{push_json_text, quoted};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::resources::ResourceInfo;
use apimachinery::schema::Schema;
use apimachinery::selector::{FieldSelector, FieldTerm, LabelSelector};
use apimachinery::status::{Reason, Status};
use apiserver_registry::registry::Format;
use apiserver_registry::{Body, PatchType};
use apiserver_storage::{ListQuery, Match, Selection, WatchQuery};
use std::time::Duration;

/// The options of a list or watch, checked for their form.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    selection: Selection,
    resource_version: String,
    version_match: String,
    continue_token: String,
    limit: usize,
    timeout: Option<i64>,
    bookmarks: bool,
    send_initial_events: Option<bool>,
}

impl ListOptions {
    /// Reads and checks the options of a request for a collection.
    pub fn parse(query: &Query<'_>, resource: &ResourceInfo, watch: bool) -> Result<Self, Status> {
        let int = |key: &str| query.int(key).map_err(Status::bad_request);
        // In upstream's order, as the first error is the answer.
        let (timeout, limit) = (int("timeoutSeconds")?, int("limit")?);
        let options = Self {
            selection: selection(query)?,
            resource_version: query.text("resourceVersion").to_owned(),
            version_match: query.text("resourceVersionMatch").to_owned(),
            continue_token: query.text("continue").to_owned(),
            limit: limit.and_then(|l| usize::try_from(l).ok()).unwrap_or(0),
            timeout,
            bookmarks: query.flag("allowWatchBookmarks"),
            send_initial_events: query.bool("sendInitialEvents"),
        };
        let errors = if watch { options.watch_errors() } else { options.list_errors() };
        if !errors.is_empty() {
            return Err(Status::invalid(&GroupVersionKind::new("meta.k8s.io", "v1", "ListOptions"), "", &errors));
        }
        check_fields(&options.selection.fields, resource)?;
        Ok(options)
    }

    fn list_errors(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut forbid = |path, why| errors.push(forbidden(path, why));
        if !self.version_match.is_empty() {
            if self.resource_version.is_empty() {
                forbid(MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided");
            }
            if !self.continue_token.is_empty() {
                forbid(MATCH, "resourceVersionMatch is forbidden when continue is provided");
            }
            match self.version_match.as_str() {
                "Exact" if self.resource_version == "0" => {
                    forbid(MATCH, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
                }
                "Exact" | "NotOlderThan" => {}
                other => errors.push(unsupported(other, &["Exact", "NotOlderThan", ""])),
            }
        }
        if self.send_initial_events.is_some() {
            errors.push(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
        }
        errors
    }

    fn watch_errors(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.send_initial_events.is_some() && self.version_match != "NotOlderThan" {
            errors.push(forbidden(MATCH, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
        }
        let has_match = !self.version_match.is_empty();
        if has_match && self.send_initial_events.is_none() {
            let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.push(forbidden(MATCH, why));
        }
        if has_match && self.version_match != "NotOlderThan" {
            errors.push(unsupported(&self.version_match, &["NotOlderThan"]));
        }
        // Upstream makes such a watch one that sends what there is, which asks for a match.
        let is_from_now = self.send_initial_events.is_none() && matches!(self.resource_version.as_str(), "" | "0");
        if !self.continue_token.is_empty() && (has_match || is_from_now) {
            errors.push(forbidden(MATCH, "resourceVersionMatch is forbidden when continue is provided"));
        }
        errors
    }

    /// Restricts the request to a namespace and, if the path names one, an object.
    pub fn restrict(&mut self, namespace: &str, name: &str) -> Result<(), Status> {
        if !namespace.is_empty() {
            self.selection.namespace = Some(namespace.to_owned());
        }
        if name.is_empty() {
            return Ok(());
        }
        let pinned = |t: &FieldTerm| t.field == "metadata.name" && !t.negated;
        match self.selection.fields.terms.iter().find(|t| pinned(t)) {
            Some(term) if term.value == name => Ok(()),
            None if self.selection.fields.terms.is_empty() => {
                let term = FieldTerm { field: "metadata.name".into(), value: name.to_owned(), negated: false };
                self.selection.fields.terms.push(term);
                Ok(())
            }
            _ => Err(Status::bad_request("fieldSelector metadata.name doesn't match requested name")),
        }
    }

    /// The field selector, which authorization may look at.
    pub fn fields(&self) -> &FieldSelector {
        &self.selection.fields
    }

    /// As a list.
    pub fn into_list(self) -> Result<ListQuery, Status> {
        let revision = self.list_revision()?;
        Ok(ListQuery { selection: self.selection, revision, limit: self.limit, continue_token: self.continue_token })
    }

    fn list_revision(&self) -> Result<Match, Status> {
        if !self.continue_token.is_empty() {
            return match self.resource_version.as_str() {
                "" | "0" => Ok(Match::MostRecent),
                _ => {
                    apiserver_storage::check_continue(&self.continue_token)
                        .map_err(|error| Status::bad_request(format!("invalid continue token: {error}")))?;
                    Err(Status::bad_request("specifying resource version is not allowed when using continue"))
                }
            };
        }
        let revision = match self.resource_version.as_str() {
            "" => return Ok(Match::MostRecent),
            text => parse_revision(text).map_err(|e| Status::bad_request(format!("invalid resource version: {e}")))?,
        };
        Ok(match (revision, self.version_match.as_str()) {
            (0, _) => Match::Any,
            (exact, "Exact") => Match::Exact(exact),
            // A limit without a match meant an exact list before matches existed.
            (exact, "") if self.limit > 0 => Match::Exact(exact),
            (least, _) => Match::NotOlderThan(least),
        })
    }

    /// As a watch, with the time after which it ends if the client said so. One below zero is over at once.
    pub fn into_watch(self) -> Result<(WatchQuery, Option<Duration>), Status> {
        let from = match self.resource_version.as_str() {
            "" => None,
            text => Some(parse_revision(text).map_err(|error| unread(&error))?),
        };
        let query = WatchQuery {
            selection: self.selection,
            from,
            send_initial_events: self.send_initial_events == Some(true),
            bookmarks: self.bookmarks,
        };
        let timeout = self.timeout.filter(|seconds| *seconds != 0);
        Ok((query, timeout.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))))
    }
}

const MATCH: &str = "resourceVersionMatch";

fn forbidden(path: &str, why: &str) -> FieldError {
    FieldError { path: Path::new(path), kind: FieldErrorKind::Forbidden(why.to_owned()) }
}

fn unsupported(value: &str, allowed: &[&str]) -> FieldError {
    let allowed = allowed.iter().map(|a| (*a).to_owned()).collect();
    // It is of a type of its own, and those are printed as JSON.
    let mut shown = String::new();
    push_json_text(&mut shown, value);
    FieldError { path: Path::new(MATCH), kind: FieldErrorKind::NotSupported(shown, allowed) }
}

fn selection(query: &Query<'_>) -> Result<Selection, Status> {
    let mut selection = Selection::default();
    if let Some(text) = query.get("labelSelector").filter(|t| !t.is_empty()) {
        selection.labels = LabelSelector::parse(text).map_err(|e| Status::bad_request(e.0))?;
    }
    if let Some(text) = query.get("fieldSelector").filter(|t| !t.is_empty()) {
        selection.fields = FieldSelector::parse(text).map_err(|e| Status::bad_request(e.0))?;
    }
    Ok(selection)
}

/// Fields that a resource does not index cannot be selected by.
fn check_fields(selector: &FieldSelector, resource: &ResourceInfo) -> Result<(), Status> {
    let known = |field: &str| {
        field == "metadata.name"
            || field == "metadata.namespace" && (resource.custom.is_none() || resource.namespaced)
            || resource.selectable_fields.iter().any(|s| s.label == field)
    };
    match selector.terms.iter().find(|t| !known(&t.field)) {
        None => Ok(()),
        Some(term) if resource.selectable_fields.is_empty() && resource.custom.is_none() => Err(Status::bad_request(
            format!("{:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"", term.field),
        )),
        Some(term) => Err(Status::bad_request(format!("field label not supported: {}", term.field))),
    }
}

fn parse_revision(text: &str) -> Result<u64, FieldError> {
    text.parse().map_err(|_| FieldError {
        path: Path::new("resourceVersion"),
        kind: FieldErrorKind::Invalid(quoted(text), parse_error("ParseUint", text)),
    })
}

/// A resource version that only the store reads: upstream answers its error as it is.
fn unread(error: &FieldError) -> Status {
    Status::plain(500, Reason::Unknown, error.to_string())
}

/// What `resourceVersion` of a GET asks for. Events are read without a cache before them, which says the same in other
/// words.
pub fn get_revision(query: &Query<'_>, resource: &ResourceInfo) -> Result<Match, Status> {
    match query.text("resourceVersion") {
        "" => Ok(Match::MostRecent),
        text => match parse_revision(text) {
            Ok(0) => Ok(Match::Any),
            Ok(least) => Ok(Match::NotOlderThan(least)),
            Err(error) if resource.plural == "events" => {
                Err(Status::bad_request(format!("invalid resource version: {error}")))
            }
            Err(error) => Err(unread(&error)),
        },
    }
}

/// Refuses to leave out what a cluster adds to an object, which nobody does any more.
pub fn refuse_export(query: &Query<'_>) -> Result<(), Status> {
    match query.get("export") {
        Some(word) if word != "0" && !word.eq_ignore_ascii_case("false") => {
            Err(Status::bad_request("the export parameter, deprecated since v1.14, is no longer supported"))
        }
        _ => Ok(()),
    }
}

/// `dryRun` and `fieldValidation` of a write, checked; `kind` is `CreateOptions` and the like.
pub fn write_options(query: &Query<'_>, kind: &'static str) -> Result<(bool, FieldValidation), Status> {
    checked_options(query, kind, Vec::new())
}

/// The same of a patch. Apply must name its manager, and only apply can be forced.
pub fn patch_options(query: &Query<'_>, patch: PatchType) -> Result<(bool, FieldValidation), Status> {
    let is_apply = patch == PatchType::Apply;
    let mut errors = Vec::new();
    if is_apply && query.text("fieldManager").is_empty() {
        let kind = FieldErrorKind::Required("is required for apply patch".into());
        errors.push(FieldError { path: Path::new("fieldManager"), kind });
    }
    if !is_apply && query.get("force").is_some() {
        errors.push(forbidden("force", "may not be specified for non-apply patch"));
    }
    checked_options(query, "PatchOptions", errors)
}

/// What all writes have, checked after what is wrong already.
fn checked_options(
    query: &Query<'_>,
    kind: &'static str,
    mut errors: Vec<FieldError>,
) -> Result<(bool, FieldValidation), Status> {
    errors.extend(field_manager_errors(query.text("fieldManager")));
    let dry_run: Vec<&str> = query.all("dryRun").collect();
    errors.extend(dry_run_errors(&dry_run));
    let validation = match query.text("fieldValidation") {
        "" | "Warn" => FieldValidation::Warn,
        "Strict" => FieldValidation::Strict,
        "Ignore" => FieldValidation::Ignore,
        other => {
            let allowed = ["", "Ignore", "Strict", "Warn"].map(String::from).to_vec();
            errors.push(FieldError {
                path: Path::new("fieldValidation"),
                kind: FieldErrorKind::NotSupported(quoted(other), allowed),
            });
            FieldValidation::Warn
        }
    };
    match errors.is_empty() {
        true => Ok((!dry_run.is_empty(), validation)),
        false => Err(Status::invalid(&GroupVersionKind::new("meta.k8s.io", "v1", kind), "", &errors)),
    }
}

fn dry_run_errors(values: &[&str]) -> Vec<FieldError> {
    if values.iter().all(|value| *value == "All") {
        return Vec::new();
    }
    let given = serde_json::to_string(values).unwrap_or_default();
    vec![FieldError { path: Path::new("dryRun"), kind: FieldErrorKind::NotSupported(given, vec!["All".to_owned()]) }]
}

/// Longest `fieldManager`.
const MAX_FIELD_MANAGER: usize = 128;

fn field_manager_errors(manager: &str) -> Vec<FieldError> {
    let error = |kind| FieldError { path: Path::new("fieldManager"), kind };
    let mut errors = Vec::new();
    if manager.len() > MAX_FIELD_MANAGER {
        errors.push(error(FieldErrorKind::TooLong(MAX_FIELD_MANAGER)));
    }
    // Upstream prints the value anew for each of them; the first few say it.
    let hidden = manager.char_indices().filter(|(_, c)| c.is_control()).take(MAX_FIELD_MANAGER);
    errors.extend(hidden.map(|(at, c)| {
        let why = format!("invalid character U+{:04X} (at position {at})", u32::from(c));
        error(FieldErrorKind::Invalid(quoted(manager), why))
    }));
    errors
}

/// `DeleteOptions` from the body if there is one, from the query otherwise, as upstream has it.
pub fn delete_options(query: &Query<'_>, body: Body) -> Result<Value, Status> {
    let options = match body.bytes.is_empty() {
        true => options_from_query(query)?,
        false => options_from_body(&body)?,
    };
    let errors = delete_option_errors(&options);
    match errors.is_empty() {
        true => Ok(options),
        false => Err(Status::invalid(&GroupVersionKind::new("meta.k8s.io", "v1", "DeleteOptions"), "", &errors)),
    }
}

fn options_from_query(query: &Query<'_>) -> Result<Value, Status> {
    let mut map = apimachinery::Map::new();
    if let Some(seconds) = query.int("gracePeriodSeconds").map_err(Status::bad_request)? {
        map.insert("gracePeriodSeconds".into(), seconds.into());
    }
    if let Some(policy) = query.get("propagationPolicy") {
        map.insert("propagationPolicy".into(), policy.into());
    }
    if let Some(orphan) = query.bool("orphanDependents") {
        map.insert("orphanDependents".into(), orphan.into());
    }
    let dry_run: Vec<Value> = query.all("dryRun").map(Value::from).collect();
    if !dry_run.is_empty() {
        map.insert("dryRun".into(), dry_run.into());
    }
    let mut preconditions = apimachinery::Map::new();
    for key in ["uid", "resourceVersion"] {
        if let Some(value) = query.get(key).filter(|value| !value.is_empty()) {
            preconditions.insert(key.into(), value.into());
        }
    }
    if !preconditions.is_empty() {
        map.insert("preconditions".into(), Value::Object(preconditions));
    }
    Ok(Value::Object(map))
}

/// Upstream: `Decode` of the codecs in `apimachinery/pkg/apis/meta/internalversion/scheme`.
fn options_from_body(body: &Body) -> Result<Value, Status> {
    let ty = Schema::builtin()
        .type_named("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions")
        .ok_or_else(|| Status::internal("no schema of DeleteOptions"))?;
    check_options_kind(&apiserver_registry::head(body).map_err(Status::bad_request)?)?;
    let decoded = match body.format {
        // Go reads `null` as options of which none is set.
        Format::Json if body.bytes.trim_ascii() == b"null" => return Ok(Value::Object(apimachinery::Map::new())),
        Format::Json => codec::json::decode(&ty, &body.bytes).map(|d| d.value),
        Format::Yaml => codec::yaml::decode(&ty, &body.bytes).map(|d| d.value),
        Format::Protobuf => {
            codec::protobuf::open(&body.bytes).and_then(|envelope| codec::protobuf::decode(&ty, envelope.raw))
        }
    };
    decoded.map_err(|error| Status::bad_request(error.to_string()))
}

/// Options of another kind are a mistake that would delete something.
fn check_options_kind(head: &codec::json::Head) -> Result<(), Status> {
    // Kinds that are the same in every version.
    const UNVERSIONED: [&str; 5] = ["APIGroup", "APIGroupList", "APIResourceList", "APIVersions", "Status"];
    let (kind, version) = (&*head.kind, &*head.api_version);
    if version.matches('/').count() > 1 {
        return Err(Status::bad_request(format!("unexpected GroupVersion string: {version}")));
    }
    let why = match kind {
        "" | "DeleteOptions" => return Ok(()),
        kind if UNVERSIONED.contains(&kind) => {
            format!("converting (v1.{kind}) to (v1.DeleteOptions): unknown conversion")
        }
        kind => {
            let version = if version.is_empty() { "meta.k8s.io/v1" } else { version };
            format!(
                "no kind {} is registered for version {} in scheme \
                 \"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27\"",
                quoted(kind),
                quoted(version)
            )
        }
    };
    Err(Status::bad_request(why))
}

/// Whether these delete options ask for a dry run.
pub fn is_dry_run(options: &Value) -> bool {
    options.get("dryRun").and_then(Value::as_array).is_some_and(|list| !list.is_empty())
}

fn delete_option_errors(options: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let policy = options.get("propagationPolicy").and_then(Value::as_str);
    if let Some(policy) = policy {
        if options.get("orphanDependents").is_some() {
            errors.push(FieldError {
                path: Path::new("propagationPolicy"),
                kind: FieldErrorKind::Invalid(
                    quoted(policy),
                    "orphanDependents and deletionPropagation cannot be both set".into(),
                ),
            });
        }
        if !matches!(policy, "Foreground" | "Background" | "Orphan") {
            let allowed = ["Foreground", "Background", "Orphan", "nil"].map(String::from).to_vec();
            errors.push(FieldError {
                path: Path::new("propagationPolicy"),
                kind: FieldErrorKind::NotSupported(quoted(policy), allowed),
            });
        }
    }
    let list = options.get("dryRun").and_then(Value::as_array);
    let values: Vec<&str> = list.into_iter().flatten().filter_map(Value::as_str).collect();
    errors.extend(dry_run_errors(&values));
    errors
}
