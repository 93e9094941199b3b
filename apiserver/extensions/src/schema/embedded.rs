//! `x-kubernetes-embedded-resource`: objects inside the object.
//!
//! Upstream: `apiextensions-apiserver/pkg/apiserver/schema/objectmeta/validation.go`.

use super::Node;
use apimachinery::field::FieldError;
use apimachinery::gvk::parse_api_version;
use apimachinery::{Map, Value};
use rules::validation::check::{At, Report};
use rules::validation::{embedded_metadata, names};

/// What is wrong with the objects inside an object.
pub fn check(node: &Node, object: &Value) -> Vec<FieldError> {
    let mut out = Report::default();
    for (key, value) in object.as_object().into_iter().flatten() {
        if let Some(member) = node.properties.get(key.as_str()) {
            visit(member, value, &At::root(key), &mut out);
        }
    }
    out.finish()
}

/// The same of a value at a place: a default.
pub fn visit(node: &Node, value: &Value, at: &At<'_>, out: &mut Report) {
    match value {
        Value::Object(map) => {
            if node.extensions.is_embedded {
                resource(map, at, out);
            }
            for (key, value) in map {
                match (node.properties.get(key.as_str()), node.member(key)) {
                    (Some(property), _) => visit(property, value, &at.child(key), out),
                    (None, Some(values)) => visit(values, value, &at.key(key), out),
                    (None, None) => {}
                }
            }
        }
        Value::Array(list) => {
            let Some(items) = &node.items else { return };
            list.iter().enumerate().for_each(|(index, value)| visit(items, value, &at.index(index), out));
        }
        _ => {}
    }
}

fn resource(map: &Map, at: &At<'_>, out: &mut Report) {
    let (version_at, kind_at) = (at.child("apiVersion"), at.child("kind"));
    match map.get("apiVersion") {
        None => out.required(&version_at, ""),
        Some(Value::String(text)) if text.is_empty() => out.invalid(&version_at, "", "must not be empty"),
        Some(Value::String(text)) if parse_api_version(text).is_none() => {
            out.invalid(&version_at, text.as_str(), format!("unexpected GroupVersion string: {text}"));
        }
        Some(Value::String(_)) => {}
        Some(other) => out.invalid(&version_at, other, "must be a string"),
    }
    match map.get("kind") {
        None => out.required(&kind_at, ""),
        Some(Value::String(text)) if text.is_empty() => out.invalid(&kind_at, "", "must not be empty"),
        Some(Value::String(text)) => {
            let wrong = names::label_1035(&text.to_lowercase());
            if !wrong.is_empty() {
                let why = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
                out.invalid(&kind_at, text.as_str(), why);
            }
        }
        Some(other) => out.invalid(&kind_at, other, "must be a string"),
    }
    embedded_metadata(&at.child("metadata"), map.get("metadata").and_then(Value::as_object), out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::node;
    use serde_json::json;

    #[test]
    fn objects_have_kind_and_version() {
        let node = node(json!({"properties": {"pod": {"x-kubernetes-embedded-resource": true}}}));
        for (pod, want) in [
            (json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": "b"}}}), vec![]),
            (json!({}), vec!["pod.apiVersion: Required value", "pod.kind: Required value"]),
            (
                json!({"apiVersion": "a/b/c", "kind": ""}),
                vec![
                    r#"pod.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c"#,
                    r#"pod.kind: Invalid value: "": must not be empty"#,
                ],
            ),
        ] {
            let found = check(&node, &json!({"pod": pod}));
            assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), want, "{pod}");
        }
    }
}
