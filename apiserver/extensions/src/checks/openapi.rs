//! A version's schema: which members it may have, and how they go together.
//!
//! Upstream: `ValidateCustomResourceDefinitionOpenAPISchema` in
//! `apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go`.

use super::{defaults, field_path, structural, unsupported};
use crate::schema::{Node, Total, check_rules};
use apimachinery::Value;
use rules::tree::Tree;
use rules::validation::check::{At, Report};

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
/// What the root may have besides a type if status is a subresource, in upstream's spelling.
const AT_ROOT: &str = "[Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern \
                       MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example \
                       XPreserveUnknownFields XValidations]";
const ROOT_MEMBERS: [&str; 23] = [
    "description",
    "type",
    "format",
    "title",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "uniqueItems",
    "multipleOf",
    "required",
    "items",
    "properties",
    "externalDocs",
    "example",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
    "nullable",
];

/// What a place in the schema may have.
#[derive(Clone, Copy)]
struct Rules<'a> {
    /// Why there may be no default; empty if there may be one.
    no_defaults: &'a str,
    inside_metadata: bool,
}

pub(super) fn check(schema: &Value, before: Option<&Value>, has_status: bool, at: &At<'_>, out: &mut Report) {
    let total = match before == Some(schema) {
        // What was wrong before may stay, but for what all rules cost together.
        true => all(schema, has_status, at, &mut Report::default()),
        false => all(schema, has_status, at, out),
    };
    total.report(at, out);
}

fn all(schema: &Value, has_status: bool, at: &At<'_>, out: &mut Report) -> Total {
    let mut errors = Report::default();
    if has_status {
        root(schema, at, &mut errors);
    }
    if schema.flag("nullable") {
        errors.forbidden(&at.child("nullable"), "nullable cannot be true at the root");
    }
    let mut own = Report::default();
    walk(schema, true, Rules { no_defaults: "", inside_metadata: false }, at, &mut own);
    let own = own.finish();
    let mut unreadable = unsupported::first(schema).map(str::to_owned);
    // What cannot be read has no structure that could be wrong.
    let mut structure = Vec::new();
    if unreadable.is_none() {
        let mut found = Report::default();
        structural::check(schema, at, &mut found);
        structure = found.finish();
        structure.sort_by_key(ToString::to_string);
    }
    let (mut total, mut rest) = (Total::default(), Report::default());
    match Node::read(schema) {
        Ok(node) if unreadable.is_none() && structure.is_empty() => {
            let mut found = Report::default();
            defaults::check(&node, at, &mut found);
            structure = found.finish();
            // Rules are only looked at if their types can be.
            if structure.is_empty() {
                total = check_rules(&node, at, &own, &mut rest);
            }
        }
        Ok(_) => {}
        Err(error) => _ = unreadable.get_or_insert_with(|| error.to_string()),
    }
    structure.extend(own);
    structure.extend(rest.finish());
    let mut errors = errors.with(structure);
    // It repeats what the others say, if there are any.
    if let Some(why) = unreadable.filter(|_| errors.is_empty()) {
        let mut found = Report::default();
        found.invalid(at, "", why);
        errors = found.finish();
    }
    *out = Report::from(std::mem::take(out).with(errors));
    total
}

fn root(schema: &Value, at: &At<'_>, out: &mut Report) {
    let ty = schema.text("type");
    if !ty.is_empty() && ty != "object" {
        let why =
            "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        return out.invalid(&at.child("type"), ty, why);
    }
    let set = schema.as_object().into_iter().flatten().filter(|(_, value)| !rules::tree::is_empty(value));
    if set.into_iter().any(|(key, _)| !ROOT_MEMBERS.contains(&key.as_str())) {
        let why =
            format!("only {AT_ROOT} fields are allowed at the root of the schema if the status subresource is enabled");
        out.invalid(at, schema, why);
    }
}

fn walk(schema: &Value, is_root: bool, rules: Rules<'_>, at: &At<'_>, out: &mut Report) {
    standard(schema, rules, at, out);
    if schema.flag("uniqueItems") {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        out.forbidden(&at.child("uniqueItems"), why);
    }
    parts(schema, is_root, rules, at, out);
    if let Some(not) = schema.at("not") {
        walk(not, false, rules, &at.child("not"), out);
    }
    for key in ["allOf", "oneOf", "anyOf"] {
        let at = at.child(key);
        for (index, branch) in schema.items(key).iter().enumerate() {
            walk(branch, false, rules, &at.index(index), out);
        }
    }
    named(schema, "definitions", rules, at, out);
    if let Some(items) = schema.at("items").filter(|items| items.is_object()) {
        walk(items, false, rules, &at.child("items"), out);
    }
    named(schema, "dependencies", rules, at, out);
    extensions(schema, at, out);
    list_map(schema, at, out);
    list_keys(schema, at, out);
    validations(schema, at, out);
}

/// Schemas by names, where there should be none.
fn named(schema: &Value, key: &str, rules: Rules<'_>, at: &At<'_>, out: &mut Report) {
    let at = at.child(key);
    for (name, schema) in schema.entries(key).filter(|(_, schema)| schema.is_object()) {
        walk(schema, false, rules, &at.key(name), out);
    }
}

/// Members and values.
fn parts(schema: &Value, is_root: bool, rules: Rules<'_>, at: &At<'_>, out: &mut Report) {
    let has_properties = schema.object("properties").is_some_and(|p| !p.is_empty());
    if let Some(additional) = schema.at("additionalProperties") {
        let at = at.child("additionalProperties");
        if has_properties && additional != &Value::Bool(true) {
            out.forbidden(&at, "additionalProperties and properties are mutual exclusive");
        }
        let why = "inside additionalProperties applying to object metadata";
        let rules = if rules.inside_metadata { Rules { no_defaults: why, ..rules } } else { rules };
        if additional.is_object() {
            walk(additional, false, rules, &at, out);
        }
    }
    let properties = at.child("properties");
    for (name, property) in schema.entries("properties") {
        let is_meta = matches!(name, "metadata" | "kind" | "apiVersion");
        let is_resource = is_root || schema.flag("x-kubernetes-embedded-resource");
        let why = format!("in top-level {name}");
        let rules = match (is_meta && is_resource, is_root) {
            (true, true) => Rules { no_defaults: &why, inside_metadata: true },
            (true, false) => Rules { inside_metadata: true, ..rules },
            (false, _) => rules,
        };
        walk(property, false, rules, &properties.key(name), out);
    }
}

/// Members of JSON schemas that definitions may not use.
fn standard(schema: &Value, rules: Rules<'_>, at: &At<'_>, out: &mut Report) {
    let ty = schema.text("type");
    if !ty.is_empty() && !TYPES.contains(&ty) {
        out.not_supported(&at.child("type"), ty, &TYPES);
    }
    if schema.has("default") && !rules.no_defaults.is_empty() {
        out.forbidden(&at.child("default"), format!("must not be set {}", rules.no_defaults));
    }
    for key in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
        // These are there even if they are empty.
        let counts_empty = matches!(key, "additionalItems" | "dependencies" | "$ref");
        if !schema.lacks(key) || counts_empty && schema.has(key) {
            out.forbidden(&at.child(key), format!("{key} is not supported"));
        }
    }
    if ty == "null" {
        out.forbidden(&at.child("type"), "type cannot be set to null, use nullable as an alternative");
    }
    if schema.at("items").is_some_and(Value::is_array) {
        out.forbidden(&at.child("items"), "items must be a schema object and not an array");
    }
    const EMBEDDED: &str = "x-kubernetes-embedded-resource";
    if rules.inside_metadata && schema.flag(EMBEDDED) {
        out.forbidden(&at.child(EMBEDDED), "must not be used inside of resource meta");
    }
}

fn extensions(schema: &Value, at: &At<'_>, out: &mut Report) {
    const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
    if schema.at(PRESERVE) == Some(&Value::Bool(false)) {
        out.invalid(&at.child(PRESERVE), false, "must be true or undefined");
    }
    let mut typed = |key: &str, wanted: &str, known: &[&str]| {
        let Some(value) = schema.at(key).and_then(Value::as_str) else { return };
        let why = format!("must be {wanted} if {key} is specified");
        match schema.text("type") {
            ty if ty == wanted => {}
            "" => out.required(&at.child("type"), &why),
            ty => out.invalid(&at.child("type"), ty, why),
        }
        if !known.contains(&value) {
            out.not_supported(&at.child(key), value, known);
        }
    };
    typed("x-kubernetes-map-type", "object", &["atomic", "granular"]);
    typed("x-kubernetes-list-type", "array", &["atomic", "set", "map"]);
    set_items(schema, at, out);
}

/// The elements of sets are replaced as a whole.
fn set_items(schema: &Value, at: &At<'_>, out: &mut Report) {
    let (true, Some(items)) = (schema.text("x-kubernetes-list-type") == "set", schema.at("items")) else { return };
    let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
    let items_at = at.child("items");
    let mut check = |key: &str, is_atomic: bool| {
        if !is_atomic {
            out.invalid(&items_at.child(key), items.at(key).unwrap_or(&Value::Null), why);
        }
    };
    match items.text("type") {
        "array" => check("x-kubernetes-list-type", matches!(items.text("x-kubernetes-list-type"), "" | "atomic")),
        "object" => check("x-kubernetes-map-type", items.text("x-kubernetes-map-type") == "atomic"),
        _ => {}
    }
}

fn list_map(schema: &Value, at: &At<'_>, out: &mut Report) {
    const LIST: &str = "x-kubernetes-list-type";
    const KEYS: &str = "x-kubernetes-list-map-keys";
    let (list_type, keys) = (schema.text(LIST), schema.items(KEYS));
    if !keys.is_empty() && list_type != "map" {
        let why = "must be map if x-kubernetes-list-map-keys is non-empty";
        match list_type {
            "" => out.required(&at.child(LIST), why),
            other => out.invalid(&at.child(LIST), other, why),
        }
    }
    if list_type != "map" {
        return;
    }
    if keys.is_empty() {
        out.required(&at.child(KEYS), "must not be empty if x-kubernetes-list-type is map");
    }
    let Some(items) = schema.at("items") else {
        return out.required(&at.child("items"), "must have a schema if x-kubernetes-list-type is map");
    };
    let items_at = at.child("items");
    if items.text("type") != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        return out.invalid(&items_at.child("type"), items.text("type"), why);
    }
    let value = schema.at(KEYS).unwrap_or(&Value::Null);
    for (index, key) in keys.iter().enumerate() {
        let name = key.as_str().unwrap_or_default();
        match items.object("properties").and_then(|p| p.get(name)) {
            Some(property) if matches!(property.text("type"), "array" | "object") => {
                let (properties, why) = (
                    items_at.child("properties"),
                    "must be a scalar type if parent array's x-kubernetes-list-type is map",
                );
                let at = properties.key(name);
                out.invalid(&at.child("type"), items.text("type"), why);
            }
            Some(_) => {}
            None => out.invalid(&at.child(KEYS), value, "entries must all be names of item properties"),
        }
        if keys[..index].contains(key) {
            out.invalid(&at.child(KEYS), value, "must not contain duplicate entries");
        }
    }
}

/// Keys of list maps are always there.
fn list_keys(schema: &Value, at: &At<'_>, out: &mut Report) {
    let list_type = schema.text("x-kubernetes-list-type");
    let (true, Some(items)) = (matches!(list_type, "set" | "map"), schema.at("items").filter(|i| i.is_object())) else {
        return;
    };
    let items_at = at.child("items");
    if items.flag("nullable") {
        let why = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        out.forbidden(&items_at.child("nullable"), why);
    }
    if list_type != "map" {
        return;
    }
    let properties = items_at.child("properties");
    for key in schema.texts("x-kubernetes-list-map-keys") {
        let Some(property) = items.object("properties").and_then(|p| p.get(key)) else { continue };
        let at = properties.key(key);
        if !items.texts("required").any(|required| required == key) && !property.has("default") {
            let why =
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            out.required(&at.child("default"), why);
        }
        if property.flag("nullable") {
            let why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            out.forbidden(&at.child("nullable"), why);
        }
    }
}

/// The form of `x-kubernetes-validations`.
fn validations(schema: &Value, at: &At<'_>, out: &mut Report) {
    const REASONS: [&str; 4] =
        ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
    let list = at.child("x-kubernetes-validations");
    let is_broken = |text: &str| text.contains(['\n', '\r']);
    for (index, rule) in schema.items("x-kubernetes-validations").iter().enumerate() {
        let at = list.index(index);
        let (text, message) = (rule.text("rule").trim(), rule.text("message"));
        let (rule_at, message_at) = (at.child("rule"), at.child("message"));
        if text.is_empty() {
            out.required(&rule_at, "rule is not specified");
        } else if !message.is_empty() && message.trim().is_empty() {
            out.invalid(&message_at, message, "must be non-empty if specified");
        } else if is_broken(message.trim()) {
            out.invalid(&message_at, message, "must not contain line breaks");
        } else if is_broken(text) && message.trim().is_empty() {
            out.required(&message_at, "message must be specified if rule contains line breaks");
        }
        let expression = rule.text("messageExpression");
        if !expression.is_empty() && expression.trim().is_empty() {
            out.required(&at.child("messageExpression"), "messageExpression must be non-empty if specified");
        }
        if let Some(reason) = rule.at("reason").and_then(Value::as_str).filter(|reason| !REASONS.contains(reason)) {
            out.not_supported(&at.child("reason"), reason, &REASONS);
        }
        let path = rule.text("fieldPath");
        if !path.is_empty() && path.trim().is_empty() {
            out.invalid(&at.child("fieldPath"), path, "must be non-empty if specified");
        }
        if is_broken(path) {
            out.invalid(&at.child("fieldPath"), path, "must not contain line breaks");
        }
        if !path.is_empty() && !field_path::is_valid(schema, path) {
            out.invalid(&at.child("fieldPath"), path, "must be a valid path");
        }
    }
}
