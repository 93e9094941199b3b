//! From client-side to server-side apply: what the client-side manager wrote becomes the
//! server-side manager's, so that it can take it out again.
//!
//! Upstream: `kubectl/pkg/cmd/apply/apply.go`, `client-go/util/csaupgrade`.

use super::SERVER_SIDE_MANAGER;
use crate::apply::LAST_APPLIED;
use crate::commands::Session;
use crate::files::Manifest;
use crate::writing::{PatchKind, Writing, code};
use apimachinery::meta::ObjectMeta;
use apimachinery::{Map, Value};
use http::Method;
use serde_json::json;

/// The manager that keeps the annotation from being dropped.
const ANNOTATION_MANAGER: &str = "kubectl-last-applied";
/// How often a patch that another writer outran is computed anew.
const TRIES: usize = 5;

/// What came of it.
pub(super) enum Outcome {
    /// There was nothing to do; the object may be newer now.
    Kept(Value),
    /// The fields have a new owner. What is to be applied must be applied once more.
    Migrated,
}

/// Hands the fields over, where the object was applied on the client before. Failures are told as
/// warnings: the object itself is applied.
pub(super) async fn run(
    session: &Session,
    writing: &Writing<'_>,
    manifest: &Manifest,
    path: &str,
    object: Value,
) -> Outcome {
    let kept = match keep_annotation(session, writing, manifest, path, &object).await {
        Ok(kept) => kept.unwrap_or(object),
        Err(error) => {
            warn("failed to migrate kubectl.kubernetes.io/last-applied-configuration for Server-Side Apply.", &error);
            return Outcome::Kept(object);
        }
    };
    match hand_over(session, writing, path, &kept).await {
        Ok(true) => Outcome::Migrated,
        Ok(false) => Outcome::Kept(kept),
        Err(error) => {
            warn("server rejected managed fields migration to Server-Side Apply.", &error);
            Outcome::Kept(kept)
        }
    }
}

/// Tells what did not work, and that it is tried again.
pub(super) fn warn(what: &str, error: &anyhow::Error) {
    eprintln!("Warning: {what} This is non-fatal and will be retried next time you apply. Error: {error:#}");
}

/// Gives the annotation a manager of its own; the newer object if it did.
async fn keep_annotation(
    session: &Session,
    writing: &Writing<'_>,
    manifest: &Manifest,
    path: &str,
    object: &Value,
) -> anyhow::Result<Option<Value>> {
    let text = object.annotations().and_then(|annotations| annotations.get(LAST_APPLIED));
    let (SERVER_SIDE_MANAGER, Some(text)) = (writing.manager, text) else { return Ok(None) };
    if !owners(object, "Apply").is_empty() {
        return Ok(None);
    }
    let mut only = json!({
        "apiVersion": manifest.resource.api_version(),
        "kind": manifest.resource.kind,
        "metadata": {"name": object.name(), "annotations": {LAST_APPLIED: text}},
    });
    if !object.namespace().is_empty() {
        only.set_meta("namespace", object.namespace());
    }
    let path = writing.path_as(path, ANNOTATION_MANAGER);
    session.client.write(Method::PATCH, &path, PatchKind::Apply.content_type(), &only).await.map(Some)
}

/// Makes client-side managers' fields those of the server-side manager; whether there were any.
async fn hand_over(session: &Session, writing: &Writing<'_>, path: &str, object: &Value) -> anyhow::Result<bool> {
    let names = owners(object, "Update");
    let mut object = std::borrow::Cow::Borrowed(object);
    for attempt in 1.. {
        let Some(fields) = upgraded(entries(&object), &names, writing.manager) else { return Ok(false) };
        let patch = json!([
            {"op": "replace", "path": "/metadata/managedFields", "value": fields},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": object.resource_version()},
        ]);
        match writing.patch(session, path, PatchKind::Json, &patch).await {
            Ok(_) => return Ok(true),
            Err(error) if code(&error) == Some(409) && attempt < TRIES => {
                object = std::borrow::Cow::Owned(session.client.get(path, "application/json").await?);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

fn entries(object: &Value) -> &[Value] {
    object.pointer("/metadata/managedFields").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The managers that own the annotation by an operation, each once.
fn owners(object: &Value, operation: &str) -> Vec<String> {
    let owns = |entry: &&Value| {
        let annotations = entry.get("fieldsV1").and_then(|f| f.get("f:metadata")?.get("f:annotations"));
        text(entry, "operation") == operation
            && annotations.is_some_and(|a| a.get(format!("f:{LAST_APPLIED}").as_str()).is_some())
    };
    let mut names: Vec<String> =
        entries(object).iter().filter(owns).map(|entry| text(entry, "manager").to_owned()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The entries with those of client-side managers in that of the server-side one; nothing if that
/// is what they are.
fn upgraded(entries: &[Value], client_side: &[String], server_side: &str) -> Option<Vec<Value>> {
    let mut fields = entries.to_vec();
    for name in client_side {
        let is = |entry: &Value, manager: &str, operation: &str| {
            text(entry, "manager") == manager
                && text(entry, "operation") == operation
                && text(entry, "subresource").is_empty()
        };
        let place = |fields: &[Value], manager: &str, operation: &str| {
            fields.iter().position(|entry| is(entry, manager, operation))
        };
        let applied = place(&fields, server_side, "Apply");
        // The newest entry comes first.
        let Some(target) = applied.or_else(|| place(&fields, name, "Update")) else { continue };
        if applied.is_none() {
            fields[target]["manager"] = server_side.into();
            fields[target]["operation"] = "Apply".into();
        }
        let same_version = |entry: &&Value| {
            is(entry, name, "Update") && text(entry, "apiVersion") == text(&fields[target], "apiVersion")
        };
        if let Some(others) = fields.iter().find(same_version).and_then(|entry| entry.get("fieldsV1")).cloned() {
            let own = fields[target].get("fieldsV1").cloned().unwrap_or_default();
            fields[target]["fieldsV1"] = union(own, others);
        }
        fields.retain(|entry| !is(entry, name, "Update"));
    }
    (fields != entries).then_some(fields)
}

/// All paths of two sets of fields. A path without others below it is an empty map, one with
/// others has a member `.` if it belongs to the set itself.
fn union(a: Value, b: Value) -> Value {
    let (Value::Object(mut all), Value::Object(more)) = (a, b) else { return Value::Object(Map::new()) };
    for (key, value) in more {
        let merged = match all.remove(&key) {
            None => value,
            Some(own) => {
                let is_leaf = |value: &Value| value.as_object().is_none_or(Map::is_empty);
                match (is_leaf(&own), is_leaf(&value)) {
                    (true, true) => own,
                    (true, false) => with_itself(value),
                    (false, true) => with_itself(own),
                    (false, false) => union(own, value),
                }
            }
        };
        all.insert(key, merged);
    }
    Value::Object(all)
}

fn with_itself(mut fields: Value) -> Value {
    if let Some(map) = fields.as_object_mut() {
        map.entry(".").or_insert_with(|| json!({}));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields})
    }

    #[test]
    fn owners_of_the_annotation_are_found() {
        let annotated = json!({"f:metadata": {"f:annotations": {format!("f:{LAST_APPLIED}"): {}}}});
        let fields =
            [entry("b", "Update", annotated.clone()), entry("c", "Update", json!({})), entry("k", "Apply", annotated)];
        let object = json!({"metadata": {"managedFields": fields}});
        assert_eq!((owners(&object, "Update"), owners(&object, "Apply")), (vec!["b".to_owned()], vec!["k".to_owned()]));
        assert!(owners(&json!({}), "Update").is_empty());
    }

    #[test]
    fn fields_of_the_client_side_become_the_server_sides() {
        let old = || entry("kubectl-client-side-apply", "Update", json!({"f:data": {"f:a": {}, "f:b": {}}}));
        let new = || entry("kubectl", "Apply", json!({"f:data": {"f:a": {}, "f:c": {}}}));
        let names = ["kubectl-client-side-apply".to_owned()];
        let both = entry("kubectl", "Apply", json!({"f:data": {"f:a": {}, "f:b": {}, "f:c": {}}}));
        assert_eq!(upgraded(&[new(), old()], &names, "kubectl"), Some(vec![both]));
        let renamed = entry("kubectl", "Apply", json!({"f:data": {"f:a": {}, "f:b": {}}}));
        assert_eq!(upgraded(&[old()], &names, "kubectl"), Some(vec![renamed]));
        assert_eq!(upgraded(&[new()], &names, "kubectl"), None);
    }

    #[test]
    fn sets_of_fields_are_united() {
        let made = union(json!({"f:a": {}, "f:b": {"f:c": {}}}), json!({"f:a": {"f:d": {}}, "f:b": {}}));
        assert_eq!(made, json!({"f:a": {".": {}, "f:d": {}}, "f:b": {".": {}, "f:c": {}}}));
    }
}
