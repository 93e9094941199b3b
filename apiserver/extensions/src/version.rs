//! One version of a custom resource: what the generic registry asks of it.
//!
//! Upstream: `apiextensions-apiserver/pkg/registry/customresource/{strategy,status_strategy,validator}.go`.

use crate::definition::{conversion, scale_paths};
use crate::jsonpath::JsonPath;
use crate::schema::{self, Base, Node};
use apimachinery::Value;
use apimachinery::codec::json;
use apimachinery::field::{FieldError, FieldErrorKind as Kind, Path};
use apimachinery::go::{Plain, quoted};
use apimachinery::resources::{AGE_DESCRIPTION, ConversionWebhook, Custom, PrintedColumn, ScalePaths};
use apimachinery::schema::TypeRef;
use rules::tree::Tree;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The schemas of all versions by name.
type Schemas = BTreeMap<String, (Arc<Node>, TypeRef)>;

/// A version.
#[derive(Debug)]
pub struct Version {
    group: String,
    kind: String,
    name: String,
    node: Arc<Node>,
    table: TypeRef,
    schemas: Arc<Schemas>,
    columns: Vec<PrintedColumn>,
    paths: Vec<Option<JsonPath>>,
    scale: Option<ScalePaths>,
    conversion: Option<ConversionWebhook>,
    warning: Option<String>,
}

impl Version {
    /// A version of a definition.
    pub(crate) fn new(definition: &Value, version: &Value, schemas: Arc<Schemas>) -> Self {
        let name = version.text("name");
        let spec = definition.at("spec").unwrap_or(&Value::Null);
        let (node, table) = match schemas.get(name) {
            Some((node, table)) => (node.clone(), table.clone()),
            None => (Arc::default(), schema::table("", &Node::default())),
        };
        let (columns, paths) = columns(version).into_iter().unzip();
        let kind = definition.pointer("/spec/names/kind").and_then(Value::as_str).unwrap_or_default();
        Self {
            group: spec.text("group").to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            node,
            table,
            schemas,
            columns,
            paths,
            scale: scale_paths(version),
            conversion: conversion(definition),
            warning: warning(spec.text("group"), kind, version),
        }
    }

    /// The type of its objects.
    pub(crate) fn table(&self) -> &TypeRef {
        &self.table
    }

    fn kind_errors(&self, object: &Value) -> Vec<FieldError> {
        let version = apimachinery::gvk::api_version(&self.group, &self.name);
        let check = |key: &str, wanted: &str| {
            let found = object.text(key);
            let kind = Kind::Invalid(quoted(found), format!("must be {wanted}"));
            (found != wanted).then(|| FieldError { path: Path::new(key), kind })
        };
        [check("kind", &self.kind), check("apiVersion", &version)].into_iter().flatten().collect()
    }

    fn scale_errors(&self, object: &Value, part: ScalePart) -> Vec<FieldError> {
        let Some(scale) = &self.scale else { return Vec::new() };
        let mut errors = Vec::new();
        if part == ScalePart::Whole {
            errors.extend(replicas_error(object, &scale.spec_replicas));
        }
        errors.extend(replicas_error(object, &scale.status_replicas));
        let selector = scale.selector.as_ref().and_then(|(text, path)| Some((text, at(object, path)?)));
        if let Some((text, value)) = selector.filter(|(_, value)| !value.is_string()) {
            let (shown, value_type) = (Plain(value), go_type(value));
            let why = format!("{text} accessor error: {shown} is of the type {value_type}, expected string");
            errors.push(FieldError { path: Path::new(text), kind: Kind::Invalid("\"\"".into(), why) });
        }
        errors
    }
}

const BLOCKED: &str = "some validation rules were not checked because the object was invalid; correct the existing errors to \
                       complete validation";

/// Which part of a scale is checked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ScalePart {
    Whole,
    Status,
}

impl Custom for Version {
    fn default(&self, object: &mut Value) {
        schema::prune_nulls(&self.node, object);
        schema::default(&self.node, object);
    }

    fn create_errors(&self, new: &Value) -> Vec<FieldError> {
        let mut errors = self.kind_errors(new);
        if !errors.is_empty() {
            return errors;
        }
        errors.extend(schema::validate(&self.node, new, None, Base::Object));
        errors.extend(self.scale_errors(new, ScalePart::Whole));
        errors.extend(schema::check_embedded(&self.node, new));
        errors.extend(schema::check_lists(&self.node, new));
        self.with_rules(errors, new, None)
    }

    fn update_errors(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self.kind_errors(new);
        if !errors.is_empty() {
            return errors;
        }
        errors.extend(schema::validate(&self.node, new, Some(old), Base::Object));
        errors.extend(self.scale_errors(new, ScalePart::Whole));
        errors.extend(schema::check_embedded(&self.node, new));
        errors.extend(self.new_list_errors(new, old));
        self.with_rules(errors, new, Some(old))
    }

    fn status_errors(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self.kind_errors(new);
        if !errors.is_empty() {
            return errors;
        }
        if let (Some(status), Some(node)) = (new.get("status"), self.node.properties.get("status")) {
            errors.extend(schema::validate(node, status, old.get("status"), Base::Member("status")));
        }
        errors.extend(self.scale_errors(new, ScalePart::Status));
        errors.extend(self.new_list_errors(new, old));
        self.with_rules(errors, new, Some(old))
    }

    fn read(&self, object: &mut Value) {
        let version = object.text("apiVersion").rsplit('/').next().unwrap_or_default();
        let Some((node, table)) = self.schemas.get(version) else { return };
        json::restore(table, object);
        schema::prune_nulls(node, object);
        schema::default(node, object);
    }

    fn prune(&self, object: &mut Value) {
        json::prune(&self.table, object);
        schema::prune_nulls(&self.node, object);
    }

    fn columns(&self) -> &[PrintedColumn] {
        &self.columns
    }

    fn cells(&self, object: &Value) -> Vec<Value> {
        let value =
            |path: &Option<JsonPath>| path.as_ref().and_then(|path| path.first(object)).cloned().unwrap_or_default();
        self.paths.iter().map(value).collect()
    }

    fn scale(&self) -> Option<&ScalePaths> {
        self.scale.as_ref()
    }

    fn conversion(&self) -> Option<&ConversionWebhook> {
        self.conversion.as_ref()
    }

    fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }
}

impl Version {
    /// The findings of the rules, which run on objects of the right form only.
    fn with_rules(&self, mut errors: Vec<FieldError>, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let blocks = |kind: &Kind| {
            matches!(
                kind,
                Kind::NotSupported(..)
                    | Kind::Required(_)
                    | Kind::TooLong(_)
                    | Kind::TooMany(..)
                    | Kind::TypeInvalid(..)
            )
        };
        match errors.iter().any(|error| blocks(&error.kind)) {
            false => errors.extend(schema::evaluate(&self.node, new, old)),
            true if self.node.has_rules() => errors
                .push(FieldError { path: Path::new("<nil>"), kind: Kind::Invalid("null".into(), BLOCKED.to_owned()) }),
            true => {}
        }
        errors
    }

    /// Lists that were not unique before need not become so.
    fn new_list_errors(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let errors = schema::check_lists(&self.node, new);
        match errors.is_empty() || !schema::check_lists(&self.node, old).is_empty() {
            true => Vec::new(),
            false => errors,
        }
    }
}

fn columns(version: &Value) -> Vec<(PrintedColumn, Option<JsonPath>)> {
    let declared = version.items("additionalPrinterColumns");
    if declared.is_empty() {
        let age = PrintedColumn {
            name: "Age".into(),
            kind: "date".into(),
            format: String::new(),
            description: AGE_DESCRIPTION.into(),
            priority: 0,
        };
        return vec![(age, JsonPath::parse(".metadata.creationTimestamp").ok())];
    }
    let column = |column: &Value| {
        let path = column.text("jsonPath");
        let description = match column.text("description") {
            "" => format!("Custom resource definition column (in JSONPath format): {path}"),
            text => text.to_owned(),
        };
        let printed = PrintedColumn {
            name: column.text("name").to_owned(),
            kind: column.text("type").to_owned(),
            format: column.text("format").to_owned(),
            description,
            priority: i32::try_from(column.int("priority")).unwrap_or_default(),
        };
        (printed, JsonPath::parse(path).ok())
    };
    declared.iter().map(column).collect()
}

fn warning(group: &str, kind: &str, version: &Value) -> Option<String> {
    if !version.flag("deprecated") {
        return None;
    }
    let own = version.text("deprecationWarning");
    Some(if own.is_empty() { format!("{group}/{} {kind} is deprecated", version.text("name")) } else { own.to_owned() })
}

/// The value at a path of members; `None` if it is absent.
pub fn at<'v>(object: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(object, |value, member| value.get(member))
}

fn replicas_error(object: &Value, (text, path): &(String, Vec<String>)) -> Option<FieldError> {
    let refused = |value: &Value, wanted: &str| {
        let value_type = go_type(value);
        let why = format!("{text} accessor error: {} is of the type {value_type}, expected {wanted}", Plain(value));
        Some(FieldError { path: Path::new(text), kind: Kind::Invalid("0".into(), why) })
    };
    // What should hold the replicas may be something that holds nothing.
    for length in 1..path.len() {
        match at(object, &path[..length]) {
            Some(Value::Object(_)) => {}
            Some(value) => return refused(value, "map[string]interface{}"),
            None => return None,
        }
    }
    let value = at(object, path)?;
    let (shown, why) = match value.as_i64() {
        Some(n) if n < 0 => (n, "should be a non-negative integer".to_owned()),
        Some(n) if n > i64::from(i32::MAX) => (n, format!("should be less than or equal to {}", i32::MAX)),
        Some(_) => return None,
        None => return refused(value, "int64"),
    };
    Some(FieldError { path: Path::new(text), kind: Kind::Invalid(shown.to_string(), why) })
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
