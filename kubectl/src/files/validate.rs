//! Whether documents say what they are, as `--validate` asks of them before they are read any further.
//!
//! Upstream: `kubectl/pkg/validation/schema.go`.

use super::objects::{find, group_version, type_of};
use super::schema;
use crate::discovery::{Discovery, Resource};
use crate::writing::log_warning;
use anyhow::anyhow;
use apimachinery::Value;
use std::collections::HashSet;

/// The document, if it says what it is, and what each of its items is. What no server looks at is looked at here, in what
/// it publishes of its types.
pub(super) fn validated(source: &str, document: Value, published: Option<&Value>) -> anyhow::Result<Value> {
    match invalid(&document, published) {
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

/// Whether a document is of a kind that no server looks at before it is taken apart, or into its parts.
pub(super) fn wants_published(document: &Value, discovery: &Discovery) -> bool {
    let (version, kind) = type_of(document);
    if is_list(document) {
        return document["items"].as_array().is_some_and(|items| !items.is_empty());
    }
    let of = kind.strip_suffix("List").and_then(|of| find(discovery, &version, of));
    // What is only asked, as a review is.
    let is_asked = |resource: &Resource| resource.verbs.iter().all(|verb| verb == "create");
    of.is_some() || find(discovery, &version, kind).is_some_and(is_asked)
}

fn is_list(document: &Value) -> bool {
    document["apiVersion"] == "v1" && document["kind"] == "List"
}

/// Why a document is not valid, if it does not say what it is, or an item of it does not, or if it is not as the server
/// published its type.
pub(super) fn invalid(document: &Value, published: Option<&Value>) -> Option<String> {
    let mut wrong = unsaid(document);
    if !wrong.is_empty() {
        return told_of(wrong);
    }
    let misfits = |object: &Value| published.map(|published| schema::misfits(published, object)).unwrap_or_default();
    match document["items"].as_array() {
        _ if !is_list(document) => wrong.extend(misfits(document)),
        None => wrong.push("invalid object to validate".into()),
        Some(items) => {
            for item in items {
                let unsaid = unsaid(item);
                wrong.extend(if unsaid.is_empty() { misfits(item) } else { unsaid });
            }
        }
    }
    told_of(wrong)
}

/// Several things that are wrong as one, each told once, as Go tells of them.
fn told_of(wrong: Vec<String>) -> Option<String> {
    let mut seen = HashSet::new();
    let wrong: Vec<String> = wrong.into_iter().filter(|why| seen.insert(why.clone())).collect();
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
        let why = |value| validated("f", value, None).map(drop).expect_err("wrong").to_string();
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
        assert!(validated("f", json!({"kind": "Pod", "apiVersion": "v1"}), None).is_ok());
    }

    #[test]
    fn what_no_server_looks_at_is_looked_at_here() {
        let kinds = json!([{"group": "", "version": "v1", "kind": "Pod"}]);
        let pod =
            json!({"properties": {"apiVersion": {}, "kind": {}, "x": {}}, "x-kubernetes-group-version-kind": kinds});
        let published = json!({"definitions": {"Pod": pod}});
        let item = json!({"apiVersion": "v1", "kind": "Pod", "y": 1});
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [item, item, {"kind": "Pod"}]});
        let want = "[ValidationError(Pod): unknown field \"y\" in Pod, apiVersion not set]";
        assert_eq!(invalid(&list, Some(&published)).as_deref(), Some(want));
        let discovery = crate::discovery::tests::sample();
        let wants = |version: &str, kind: &str| {
            wants_published(&json!({"apiVersion": version, "kind": kind, "items": [1]}), &discovery)
        };
        assert!(wants("v1", "List") && wants("v1", "PodList"));
        assert!(!wants("v1", "Foo") && !wants("x/v1", "List"));
    }
}
