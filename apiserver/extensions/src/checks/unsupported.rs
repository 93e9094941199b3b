//! Members of JSON schemas that keep a schema from being read as a structural one.
//!
//! Upstream: `NewStructural` in `apiextensions-apiserver/pkg/apiserver/schema/convert.go`.

use apimachinery::Value;
use rules::tree::Tree;

/// The first reason why a schema cannot be read, if there is one.
pub(super) fn first(schema: &Value) -> Option<&'static str> {
    own(schema).or_else(|| branches(schema)).or_else(|| extension(schema)).or_else(|| parts(schema))
}

fn own(schema: &Value) -> Option<&'static str> {
    [
        (!schema.text("id").is_empty(), "OpenAPIV3Schema 'id' is not supported"),
        (!schema.text("$schema").is_empty(), "OpenAPIV3Schema 'schema' is not supported"),
        (!schema.text("$ref").is_empty(), "OpenAPIV3Schema '$ref' is not supported"),
        (!schema.lacks("patternProperties"), "OpenAPIV3Schema 'patternProperties' is not supported"),
        (!schema.lacks("dependencies"), "OpenAPIV3Schema 'dependencies' is not supported"),
        (schema.has("additionalItems"), "OpenAPIV3Schema 'additionalItems' is not supported"),
        (!schema.lacks("definitions"), "OpenAPIV3Schema 'definitions' is not supported"),
    ]
    .into_iter()
    .find_map(|(is_there, why)| is_there.then_some(why))
}

fn branches(schema: &Value) -> Option<&'static str> {
    let lists = ["allOf", "anyOf", "oneOf"].into_iter().flat_map(|key| schema.items(key));
    schema.at("not").into_iter().chain(lists).find_map(first)
}

fn extension(schema: &Value) -> Option<&'static str> {
    let is_off = schema.at("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false));
    is_off.then_some("internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined")
}

fn parts(schema: &Value) -> Option<&'static str> {
    let items = schema.at("items");
    if items.and_then(Value::as_array).is_some_and(|list| !list.is_empty()) {
        return Some("OpenAPIV3Schema 'items' must be a schema, but is an array");
    }
    let properties = schema.entries("properties").map(|(_, property)| property);
    items.into_iter().chain(properties).chain(schema.at("additionalProperties")).find_map(first)
}
