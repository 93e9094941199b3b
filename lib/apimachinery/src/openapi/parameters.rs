//! The parameters of operations.

use crate::schema::{Schema, Shape, TypeRef};

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) place: Place,
    /// JSON type.
    pub(super) kind: &'static str,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Path,
    Query,
}

/// What parameters are for, sorted by name.
const TEXTS: &[(&str, &str)] = &[
    ("allowWatchBookmarks", "Whether the watch may send bookmarks: events that tell only how far it has got."),
    ("command", "The command to run, not in a shell; each use of the parameter is one word."),
    ("container", "The container of the pod; may be left out if there is one only."),
    ("continue", "The token that the part of the list before this one ended with."),
    ("dryRun", "With the value All, everything is done but nothing is stored."),
    ("fieldManager", "The name of who makes the change, in the object's managed fields. Applying needs it."),
    (
        "fieldValidation",
        "What becomes of unknown and repeated fields: Ignore drops them, Warn drops them with a warning, Strict refuses the request.",
    ),
    (
        "fieldSelector",
        "Restricts the list of returned objects to those whose fields match. Without it, all are returned.",
    ),
    ("follow", "Whether the answer goes on with what the container will write."),
    ("force", "Whether applying takes over fields that others own. Only for patches of that type."),
    (
        "gracePeriodSeconds",
        "How long the object may take to end. Zero ends it at once; what the object says holds otherwise.",
    ),
    (
        "ignoreStoreReadErrorWithClusterBreakingPotential",
        "Whether an object that cannot be read is removed without finalizers and preconditions.",
    ),
    ("insecureSkipTLSVerifyBackend", "Whether the kubelet's certificate is taken unverified."),
    (
        "labelSelector",
        "Restricts the list of returned objects to those whose labels match. Without it, all are returned.",
    ),
    ("limit", "How many objects the answer may have; it tells a token to go on with if there are more."),
    ("limitBytes", "How many bytes the answer may have."),
    ("logpath", "The path to the log."),
    ("name", "The object's name."),
    ("namespace", "The object's namespace."),
    ("orphanDependents", "Outdated: propagationPolicy says more. Whether dependents are kept."),
    ("path", "The path of the request that is passed on."),
    ("ports", "The ports to forward."),
    ("pretty", "With the value true, the answer is indented."),
    ("previous", "Whether to answer with what the container before this one has written."),
    ("propagationPolicy", "What becomes of dependents: Orphan, Background or Foreground."),
    ("resourceVersion", "From which state of the cluster to answer; resourceVersionMatch says how."),
    ("resourceVersionMatch", "How resourceVersion is meant in a list: Exact or NotOlderThan."),
    ("sendInitialEvents", "Whether the watch begins with what exists, and a bookmark after it."),
    ("sinceSeconds", "From how many seconds ago on."),
    ("sinceTime", "From this time on."),
    ("stderr", "Whether to pass on the error output."),
    ("stdin", "Whether to pass on the input."),
    ("stdout", "Whether to pass on the output."),
    ("stream", "What the container has written: All, Stdout or Stderr."),
    ("tailLines", "How many lines, from the end."),
    ("timeoutSeconds", "After how many seconds the answer ends."),
    ("timestamps", "Whether each line begins with its time."),
    ("tty", "Whether the command gets a terminal."),
    ("watch", "Watch for changes to the described resources: they are told as they happen, instead of a list."),
];

const LIST: &[(&str, &str)] = &[
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
];

const WRITE: &[(&str, &str)] = &[("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")];

const DELETE: &[(&str, &str)] = &[
    ("dryRun", "string"),
    ("gracePeriodSeconds", "integer"),
    ("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
];

impl Parameter {
    /// What it is for.
    pub(super) fn text(&self) -> Option<&'static str> {
        TEXTS.iter().find(|(name, _)| *name == self.name).map(|(_, text)| *text)
    }
}

pub(super) fn list() -> Vec<Parameter> {
    query(LIST)
}

pub(super) fn write() -> Vec<Parameter> {
    query(WRITE)
}

pub(super) fn patch() -> Vec<Parameter> {
    let mut parameters = write();
    parameters.extend(query(&[("force", "boolean")]));
    parameters
}

pub(super) fn delete() -> Vec<Parameter> {
    query(DELETE)
}

pub(super) fn delete_collection() -> Vec<Parameter> {
    let mut parameters = delete();
    parameters.extend(list().into_iter().filter(|p| p.name != "watch" && p.name != "allowWatchBookmarks"));
    parameters
}

pub(super) fn pretty() -> Parameter {
    Parameter { name: "pretty".into(), place: Place::Query, kind: "string" }
}

/// The `{...}` parts of a path.
pub(super) fn in_path(path: &str) -> Vec<Parameter> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names.map(|name| Parameter { name: name.into(), place: Place::Path, kind: "string" }).collect()
}

/// The query parameters that an options type stands for.
pub(super) fn options(kind: &TypeRef) -> Vec<Parameter> {
    let fields = kind.def().fields.iter();
    let parameters = fields.filter_map(|f| Some((&f.json, json_type(&f.shape)?)));
    parameters.map(|(name, kind)| Parameter { name: name.to_string(), place: Place::Query, kind }).collect()
}

/// The query parameters of a core options type.
pub(super) fn core_options(name: &str) -> Vec<Parameter> {
    Schema::builtin().type_named(&format!("io.k8s.api.core.v1.{name}")).map(|ty| options(&ty)).unwrap_or_default()
}

fn json_type(shape: &Shape) -> Option<&'static str> {
    match shape {
        Shape::String => Some("string"),
        Shape::Bool => Some("boolean"),
        Shape::Int32 | Shape::Int64 => Some("integer"),
        Shape::List(inner) => json_type(inner),
        _ => None,
    }
}

fn query(table: &[(&str, &'static str)]) -> Vec<Parameter> {
    table.iter().map(|(name, kind)| Parameter { name: (*name).into(), place: Place::Query, kind }).collect()
}
