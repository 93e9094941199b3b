//! Whether a schema is structural: every value it speaks of has exactly one place with a type.
//!
//! Upstream: `apiextensions-apiserver/pkg/apiserver/schema/validation.go`.

use crate::schema::compile_pattern;
use apimachinery::{Map, Value};
use rules::tree::Tree;
use rules::validation::check::{At, Report};
use serde_json::json;

/// Where a schema stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// Checks a schema; findings are sorted by the caller's report.
pub(super) fn check(schema: &Value, at: &At<'_>, out: &mut Report) {
    invariants(schema, Level::Root, at, out);
    completeness(schema, Some(schema), at, at, out);
}

fn invariants(schema: &Value, level: Level, at: &At<'_>, out: &mut Report) {
    let ty = schema.text("type");
    let items = schema.at("items").filter(|items| items.is_object());
    if ty == "array" && items.is_none() {
        out.required(&at.child("items"), "must be specified");
    }
    if let Some(items) = items {
        invariants(items, Level::Item, &at.child("items"), out);
    }
    let properties = at.child("properties");
    for (name, property) in schema.entries("properties") {
        invariants(property, Level::Field, &properties.key(name), out);
    }
    if let Some(additional) = schema.at("additionalProperties") {
        let at = at.child("additionalProperties");
        if level == Level::Root {
            out.forbidden(&at, "must not be used at the root");
        }
        if additional.is_object() {
            invariants(additional, Level::Field, &at, out);
        }
    }
    extensions(schema, at, out);
    let (skip_any, skip_all) = int_or_string_patterns(schema);
    value_validation(schema, skip_any, skip_all, at, out);
    types(schema, ty, level, at, out);
    metadata(schema, level, at, out);
}

fn extensions(schema: &Value, at: &At<'_>, out: &mut Report) {
    if schema.flag("x-kubernetes-int-or-string") {
        for key in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
            if schema.flag(key) {
                out.invalid(&at.child(key), true, "must be false if x-kubernetes-int-or-string is true");
            }
        }
    }
}

fn types(schema: &Value, ty: &str, level: Level, at: &At<'_>, out: &mut Report) {
    let embedded = schema.flag("x-kubernetes-embedded-resource");
    let free = schema.flag("x-kubernetes-int-or-string") || schema.flag("x-kubernetes-preserve-unknown-fields");
    let type_at = at.child("type");
    match ty {
        "object" => {}
        "" if embedded => out.required(&type_at, "must be object if x-kubernetes-embedded-resource is true"),
        ty if embedded => out.invalid(&type_at, ty, "must be object if x-kubernetes-embedded-resource is true"),
        "" if !free => out.required(
            &type_at,
            match level {
                Level::Root => "must not be empty at the root",
                Level::Item => "must not be empty for specified array items",
                Level::Field => "must not be empty for specified object fields",
            },
        ),
        _ => {}
    }
    if embedded && schema.has("additionalProperties") {
        out.forbidden(&at.child("additionalProperties"), "must not be used if x-kubernetes-embedded-resource is set");
    }
    if level == Level::Root && !ty.is_empty() && ty != "object" {
        out.invalid(&type_at, ty, "must be object at the root");
    }
}

fn metadata(schema: &Value, level: Level, at: &At<'_>, out: &mut Report) {
    let embedded = schema.flag("x-kubernetes-embedded-resource");
    let properties = at.child("properties");
    let property = |name: &str| schema.object("properties").and_then(|p| p.at(name));
    if level == Level::Root || embedded {
        for name in ["kind", "apiVersion"] {
            if let Some(found) = property(name).map(|p| p.text("type")).filter(|t| *t != "string") {
                let at = properties.key(name);
                out.invalid(&at.child("type"), found, "must be string");
            }
        }
        if let Some(found) = property("metadata").map(|p| p.text("type")).filter(|t| *t != "object") {
            let at = properties.key("metadata");
            out.invalid(&at.child("type"), found, "must be object");
        }
    }
    if let (Level::Root, Some(metadata)) = (level, property("metadata").and_then(Value::as_object)) {
        let extra = metadata.iter().any(|(key, value)| !is_allowed_in_metadata(key, value));
        if extra {
            let why =
                "must not specify anything other than name and generateName, but metadata is implicitly specified";
            out.forbidden(&properties.key("metadata"), why);
        }
    }
    let lacks_properties = schema.object("properties").is_none_or(Map::is_empty);
    if embedded && !schema.flag("x-kubernetes-preserve-unknown-fields") && lacks_properties {
        let why =
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        out.required(&properties, why);
    }
}

fn is_allowed_in_metadata(key: &str, value: &Value) -> bool {
    match key {
        "type" | "default" => true,
        "properties" => {
            value.as_object().is_some_and(|p| p.keys().all(|k| matches!(k.as_str(), "name" | "generateName")))
        }
        _ => rules::tree::is_empty(value) || value == &Value::Bool(false),
    }
}

/// The forms in which `anyOf` may say "integer or string" though types are forbidden there.
fn int_or_string_patterns(schema: &Value) -> (bool, bool) {
    let pattern = json!([{"type": "integer"}, {"type": "string"}]);
    let any = schema.at("anyOf") == Some(&pattern);
    let all = schema.items("allOf").first().is_some_and(|first| first.at("anyOf") == Some(&pattern));
    (any, all)
}

fn value_validation(schema: &Value, skip_any: bool, skip_all: bool, at: &At<'_>, out: &mut Report) {
    for (key, skip) in [("anyOf", skip_any), ("allOf", false), ("oneOf", false)] {
        let at = at.child(key);
        for (index, branch) in schema.items(key).iter().enumerate().filter(|_| !skip) {
            nested(branch, key == "allOf" && skip_all && index == 0, &at.index(index), out);
        }
    }
    if let Some(not) = schema.at("not") {
        nested(not, false, &at.child("not"), out);
    }
    let pattern = schema.text("pattern");
    if let Err(why) = compile_pattern(pattern) {
        out.invalid(&at.child("pattern"), pattern, format!("must be a valid regular expression, but isn't: {why}"));
    }
}

/// A schema inside of `allOf` and its like: it restricts, and structures nothing.
fn nested(schema: &Value, skip_any: bool, at: &At<'_>, out: &mut Report) {
    value_validation(schema, skip_any, false, at, out);
    if let Some(items) = schema.at("items").filter(|items| items.is_object()) {
        nested(items, false, &at.child("items"), out);
    }
    let properties = at.child("properties");
    for (name, property) in schema.entries("properties") {
        nested(property, false, &properties.key(name), out);
    }
    let mut forbid = |key: &str, why: &str| out.forbidden(&at.child(key), format!("must be {why} to be structural"));
    for key in ["type", "title", "description"] {
        if !schema.text(key).is_empty() {
            forbid(key, "empty");
        }
    }
    for key in ["additionalProperties", "default", "x-kubernetes-list-type", "x-kubernetes-map-type"] {
        if schema.has(key) {
            forbid(key, "undefined");
        }
    }
    for key in [
        "nullable",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
    ] {
        if schema.flag(key) {
            forbid(key, "false");
        }
    }
    for key in ["x-kubernetes-list-map-keys", "x-kubernetes-validations"] {
        if !schema.items(key).is_empty() {
            forbid(key, "empty");
        }
    }
    if schema.object("properties").is_some_and(|p| p.contains_key("metadata")) {
        out.forbidden(&properties.key("metadata"), "must not be specified in a nested context");
    }
}

/// Whatever a nested schema restricts must have a structure in the schema around it.
fn completeness(validation: &Value, structure: Option<&Value>, at: &At<'_>, from: &At<'_>, out: &mut Report) {
    if let Some(not) = validation.at("not") {
        nested_completeness(not, structure, at, &from.child("not"), out);
    }
    for key in ["allOf", "anyOf", "oneOf"] {
        let from = from.child(key);
        for (index, branch) in validation.items(key).iter().enumerate() {
            nested_completeness(branch, structure, at, &from.index(index), out);
        }
    }
    // The structure's own parts are checked where they stand.
    let is_structure = structure.is_some_and(|s| std::ptr::eq(s, validation));
    if let (true, Some(structure)) = (is_structure, structure) {
        if let Some(items) = structure.at("items").filter(|items| items.is_object()) {
            completeness(items, Some(items), &at.child("items"), &from.child("items"), out);
        }
        let (at, from) = (at.child("properties"), from.child("properties"));
        for (name, property) in structure.entries("properties") {
            completeness(property, Some(property), &at.key(name), &from.key(name), out);
        }
    }
}

fn nested_completeness(validation: &Value, structure: Option<&Value>, at: &At<'_>, from: &At<'_>, out: &mut Report) {
    let Some(structure) = structure else {
        return out.required(at, &format!("because it is defined in {}", from.path()));
    };
    completeness(validation, Some(structure), at, from, out);
    if let Some(items) = validation.at("items").filter(|items| items.is_object()) {
        let inner = structure.at("items").filter(|items| items.is_object());
        nested_completeness(items, inner, &at.child("items"), &from.child("items"), out);
    }
    let (at, from) = (at.child("properties"), from.child("properties"));
    for (name, property) in validation.entries("properties") {
        let inner = structure.object("properties").and_then(|p| p.get(name));
        nested_completeness(property, inner, &at.key(name), &from.key(name), out);
    }
}
