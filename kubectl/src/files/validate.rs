//! Whether documents say what they are, as `--validate` asks of them before they are read any further.
//!
//! Upstream: `kubectl/pkg/validation/schema.go`.

use super::objects::{find, group_version, type_of};
use crate::discovery::Discovery;
use crate::writing::log_warning;
use anyhow::anyhow;
use apimachinery::Value;

/// The document, if it says what it is, and what each of its items is.
pub(super) fn validated(source: &str, document: Value) -> anyhow::Result<Value> {
    match invalid(&document) {
        None => Ok(document),
        Some(why) => Err(not_validated(source, why)),
    }
}

/// The same, with a warning where the server has no way to look at it.
pub(super) fn warned(source: &str, document: Value, discovery: &Discovery) -> anyhow::Result<Value> {
    match invalid_or_warned(&document, discovery) {
        Some(why) => Err(not_validated(source, why)),
        None => Ok(document),
    }
}

/// Why a document is not valid, or else a warning where the server has no way to look at it.
pub(super) fn invalid_or_warned(document: &Value, discovery: &Discovery) -> Option<String> {
    if let Some(why) = told_of(unsaid(document)) {
        return Some(why);
    }
    let (version, kind) = type_of(document);
    if find(discovery, &version, kind).is_none_or(|resource| !resource.verbs.iter().any(|verb| verb == "patch")) {
        log_warning(
            "schema.go:145",
            "cannot perform warn validation if server-side field validation is unsupported, skipping validation",
        );
    }
    None
}

/// Why a document is not valid, if it does not say what it is, or an item of it does not.
pub(super) fn invalid(document: &Value) -> Option<String> {
    let mut wrong = unsaid(document);
    if wrong.is_empty() && document["apiVersion"] == "v1" && document["kind"] == "List" {
        match document["items"].as_array() {
            Some(items) => wrong.extend(items.iter().flat_map(unsaid)),
            None => wrong.push("invalid object to validate".into()),
        }
    }
    told_of(wrong)
}

/// Several things that are wrong as one, as Go tells of them.
fn told_of(wrong: Vec<String>) -> Option<String> {
    match wrong.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        several => Some(format!("[{}]", several.join(", "))),
    }
}

/// What an object does not say of its type.
fn unsaid(object: &Value) -> Vec<String> {
    if !object.is_object() {
        return vec!["invalid object to validate".into()];
    }
    let unsaid = |key: &str| match &object[key] {
        Value::Null => Some(format!("{key} not set")),
        Value::String(version) if key == "apiVersion" => group_version(version).err(),
        Value::String(_) => None,
        _ => Some(format!("{key} isn't string type")),
    };
    ["apiVersion", "kind"].into_iter().filter_map(unsaid).collect()
}

/// A document that is not valid, or cannot be validated.
pub(crate) fn not_validated(source: impl std::fmt::Display, why: impl std::fmt::Display) -> anyhow::Error {
    anyhow!(
        "error validating \"{source}\": error validating data: {why}; if you choose to ignore these errors, turn validation off with --validate=false"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_that_are_validated_say_what_they_are() {
        let why = |value| validated("f", value).map(drop).expect_err("wrong").to_string();
        let ending = "; if you choose to ignore these errors, turn validation off with --validate=false";
        let list = |items: Value| json!({"apiVersion": "v1", "kind": "List", "items": items});
        for (value, want) in [
            (json!({"kind": "Pod"}), "apiVersion not set"),
            (json!({}), "[apiVersion not set, kind not set]"),
            (json!({"kind": 1, "apiVersion": "v1"}), "kind isn't string type"),
            (json!({"kind": "Pod", "apiVersion": "a/b/c"}), "unexpected GroupVersion string: a/b/c"),
            (json!([1]), "invalid object to validate"),
            (list(json!([{"kind": "Pod"}, 5])), "[apiVersion not set, invalid object to validate]"),
            (list(json!({})), "invalid object to validate"),
        ] {
            assert_eq!(why(value), format!("error validating \"f\": error validating data: {want}{ending}"));
        }
        assert!(validated("f", json!({"kind": "Pod", "apiVersion": "v1"})).is_ok());
    }
}
