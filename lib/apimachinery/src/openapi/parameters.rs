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
