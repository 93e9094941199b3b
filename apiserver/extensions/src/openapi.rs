//! What OpenAPI says of custom kinds: their schemas as the definition has them, with what every
//! object has around it.
//!
//! Upstream: `apiextensions-apiserver/pkg/controller/openapi/{builder,v2}`.

use crate::definition::Document;
use apimachinery::openapi::{Texts, type_name};
use apimachinery::{Map, Value};
use rules::tree::Tree;
use serde_json::json;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// The language of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Dialect {
    V2,
    V3,
}

/// The types of a served version: the kind and its list, by name.
pub fn types(document: &Document, dialect: Dialect, texts: &Texts) -> Map {
    let resource = &document.resource;
    let name = |kind: &str| type_name(&resource.group, &resource.version, kind);
    let mut kind = match dialect {
        Dialect::V3 => document.schema.clone(),
        Dialect::V2 => for_v2(&document.schema),
    };
    if !kind.is_object() {
        kind = json!({"type": "object"});
    }
    let is_opaque = dialect == Dialect::V2 && document.schema.flag("x-kubernetes-preserve-unknown-fields");
    if is_opaque {
        kind = json!({"type": "object"});
    } else {
        add_object_members(&mut kind, dialect, texts);
        embedded(&mut kind, dialect, texts);
    }
    let gvk = |kind: &str| json!([{"group": resource.group, "version": resource.version, "kind": kind}]);
    kind["x-kubernetes-group-version-kind"] = gvk(&resource.kind);
    if !resource.selectable_fields.is_empty() {
        let fields = resource.selectable_fields.iter().map(|field| json!({"fieldPath": field.label}));
        kind["x-kubernetes-selectable-fields"] = fields.collect();
    }
    let mut list = json!({
        "type": "object", "required": ["items"],
        "description": format!("{} is a list of {}", resource.list_kind, resource.kind),
        "properties": {
            "items": {"type": "array", "items": reference(dialect, &name(&resource.kind)),
                "description": format!("List of {}. More info: {CONVENTIONS}", resource.plural)},
            "metadata": reference(dialect, &format!("{META}.ListMeta")),
        },
        "x-kubernetes-group-version-kind": gvk(&resource.list_kind),
    });
    add_kind(&mut list, texts);
    Map::from_iter([(name(&resource.kind), kind), (name(&resource.list_kind), list)])
}

/// Where upstream's texts send the reader.
const CONVENTIONS: &str = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";

fn reference(dialect: Dialect, name: &str) -> Value {
    match dialect {
        Dialect::V2 => json!({"$ref": format!("#/definitions/{name}")}),
        Dialect::V3 => json!({"$ref": format!("#/components/schemas/{name}")}),
    }
}

fn properties(schema: &mut Value) -> Option<&mut Map> {
    if !schema.get("properties").is_some_and(Value::is_object) {
        schema["properties"] = json!({});
    }
    schema["properties"].as_object_mut()
}

fn add_kind(schema: &mut Value, texts: &Texts) {
    let Some(properties) = properties(schema) else { return };
    for key in ["apiVersion", "kind"] {
        let text = texts.of_every_object(key).unwrap_or_default();
        properties.insert(key.into(), json!({"type": "string", "description": text}));
    }
}

fn add_object_members(schema: &mut Value, dialect: Dialect, texts: &Texts) {
    add_kind(schema, texts);
    let reference = reference(dialect, &format!("{META}.ObjectMeta"));
    let text = texts.of_every_object("metadata").unwrap_or_default();
    let metadata = match dialect {
        Dialect::V2 => json!({"$ref": reference["$ref"], "description": text}),
        Dialect::V3 => json!({"allOf": [reference], "description": text}),
    };
    if let Some(properties) = properties(schema) {
        properties.insert("metadata".into(), metadata);
    }
}

/// Gives embedded objects the members of objects.
fn embedded(schema: &mut Value, dialect: Dialect, texts: &Texts) {
    let opaque = dialect == Dialect::V2 && schema.flag("x-kubernetes-preserve-unknown-fields");
    let is_embedded = schema.flag("x-kubernetes-embedded-resource") && !opaque;
    for child in children(schema) {
        embedded(child, dialect, texts);
    }
    if is_embedded {
        add_object_members(schema, dialect, texts);
        let mut required: Vec<Value> = schema.items("required").to_vec();
        for key in ["kind", "apiVersion"] {
            if !required.iter().any(|r| r == key) {
                required.push(key.into());
            }
        }
        schema["required"] = required.into();
    }
}

/// The structural children of a schema.
fn children(schema: &mut Value) -> Vec<&mut Value> {
    let Some(map) = schema.as_object_mut() else { return Vec::new() };
    let mut found = Vec::new();
    for (key, value) in map.iter_mut() {
        match (key.as_str(), value) {
            ("properties", Value::Object(properties)) => found.extend(properties.values_mut()),
            ("items" | "additionalProperties", value @ Value::Object(_)) => found.push(value),
            _ => {}
        }
    }
    found
}

/// A schema without what clients of version 2 cannot read.
fn for_v2(schema: &Value) -> Value {
    let mut schema = schema.clone();
    strip(&mut schema);
    schema
}

fn strip(schema: &mut Value) {
    let optional: Vec<String> =
        schema.entries("properties").filter(|(_, p)| p.flag("nullable")).map(|(name, _)| name.to_owned()).collect();
    let all_optional = schema.at("additionalProperties").is_some_and(|values| values.flag("nullable"));
    let (nullable, opaque) = (schema.flag("nullable"), schema.flag("x-kubernetes-preserve-unknown-fields"));
    if let Some(map) = schema.as_object_mut() {
        for key in ["allOf", "oneOf", "anyOf", "not", "nullable"] {
            map.remove(key);
        }
        if nullable || opaque {
            map.remove("items");
            map.remove("properties");
        }
        let untyped = match map.get("type").and_then(Value::as_str) {
            Some("array") => !map.contains_key("items"),
            Some("object") => opaque,
            _ => false,
        };
        if nullable || untyped {
            map.remove("type");
        }
        let left = |required: &Value| !all_optional && !optional.iter().any(|name| required == name);
        let required = map.get_mut("required").and_then(Value::as_array_mut);
        let is_empty = required.is_some_and(|required| {
            required.retain(left);
            required.is_empty()
        });
        if is_empty {
            map.remove("required");
        }
    }
    children(schema).into_iter().for_each(strip);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn version_2_knows_less() {
        let schema = json!({"type": "object", "required": ["a", "b"], "properties": {
            "a": {"type": "string", "nullable": true}, "b": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                "properties": {"c": {"type": "string"}}}, "d": {"type": "integer", "oneOf": [{"minimum": 1}]}}});
        assert_eq!(
            for_v2(&schema),
            json!({"type": "object", "required": ["b"], "properties": {
                "a": {}, "b": {"x-kubernetes-preserve-unknown-fields": true}, "d": {"type": "integer"}}})
        );
    }

    #[test]
    fn objects_are_described() {
        let text = |name: &str| (Box::from(name), Box::from(format!("about {name}")));
        let object = HashMap::from([text("apiVersion"), text("kind"), text("metadata")]);
        let texts = Texts::new(HashMap::from([("io.k8s.api.core.v1.ConfigMap".into(), object)]));
        let mut schema = json!({"type": "object"});
        add_object_members(&mut schema, Dialect::V3, &texts);
        let text = |pointer: &str| schema.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        assert_eq!(text("/properties/apiVersion/description"), "about apiVersion");
        assert_eq!(text("/properties/metadata/description"), "about metadata");
    }
}
