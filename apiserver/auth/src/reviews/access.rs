//! `SubjectAccessReview` and its kin: what is asked, whether it makes sense, and the answer.
//!
//! Upstream: `pkg/apis/authorization/validation`, `pkg/registry/authorization/util`.

use super::selector::{self, Parsed};
use super::strings;
use crate::authorization::{Attributes, Authorizer, Decision};
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::meta::{ObjectMeta, in_order};
use apimachinery::status::Status;
use apimachinery::{Map, Value};
use apiserver_registry::{Context, UserInfo};

/// Refuses reviews that make no sense.
pub(super) fn validate(cx: &Context, review: &Value) -> Result<(), Status> {
    let kind = &*cx.resource.plural;
    let spec = review.get("spec").unwrap_or(&Value::Null);
    let mut errors = what_errors(spec);
    if kind != "selfsubjectaccessreviews" && text(spec, "user").is_empty() && strings(spec.get("groups")).is_empty() {
        errors.push(invalid("spec.user", "\"\"", "at least one of user or group must be specified"));
    }
    if let Some(resource) = spec.get("resourceAttributes") {
        let base = Path::new("spec.resourceAttributes");
        errors.extend(selector::errors(resource.get("fieldSelector"), &base.child("fieldSelector"), false));
        errors.extend(selector::errors(resource.get("labelSelector"), &base.child("labelSelector"), true));
    }
    errors.extend(metadata_error(kind, review));
    if kind == "localsubjectaccessreviews" {
        errors.extend(local_errors(review, spec));
    }
    match errors.is_empty() {
        true => Ok(()),
        // Upstream has lost the kind by then.
        false => Err(Status::invalid(&GroupVersionKind { kind: "".into(), ..cx.resource.gvk() }, "", &errors)),
    }
}

fn what_errors(spec: &Value) -> Vec<FieldError> {
    match (spec.get("resourceAttributes"), spec.get("nonResourceAttributes")) {
        (Some(_), Some(path)) => vec![invalid(
            "spec.nonResourceAttributes",
            &shown(path),
            "cannot be specified in combination with resourceAttributes",
        )],
        (None, None) => vec![invalid(
            "spec.resourceAttributes",
            "null",
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )],
        _ => Vec::new(),
    }
}

/// A path and a verb in upstream's print.
fn shown(path: &Value) -> String {
    let quoted = |key: &str| Value::from(text(path, key)).to_string();
    format!("{{\"Path\":{},\"Verb\":{}}}", quoted("path"), quoted("verb"))
}

fn metadata_error(kind: &str, review: &Value) -> Option<FieldError> {
    let local = kind == "localsubjectaccessreviews";
    let ignored = |key: &str| key == "managedFields" || local && key == "namespace";
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    let metadata = review.metadata()?;
    let detail = if local { "must be empty except for namespace" } else { "must be empty" };
    let given = metadata.iter().any(|(key, value)| !ignored(key) && !is_empty(value));
    given.then(|| invalid("metadata", &shown_metadata(review.get("metadata").unwrap_or(&Value::Null)), detail))
}

/// Metadata in upstream's print, in which members have their order.
fn shown_metadata(metadata: &Value) -> String {
    const OWNER: &[&str] = &["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
    const MANAGER: &[&str] = &["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource"];
    let object = |members: Vec<String>| format!("{{{}}}", members.join(","));
    let ordered = |item: &Value, order: &[&str]| {
        let member = |key: &&str| item.get(*key).map(|value| format!("{key:?}:{value}"));
        object(order.iter().filter_map(member).collect())
    };
    let list = |value: &Value, order: &[&str]| {
        let items: Vec<String> = value.as_array().into_iter().flatten().map(|item| ordered(item, order)).collect();
        format!("[{}]", items.join(","))
    };
    let member = |(key, value): (&str, &Value)| {
        let value = match key {
            "ownerReferences" => list(value, OWNER),
            "managedFields" => list(value, MANAGER),
            _ => value.to_string(),
        };
        format!("{key:?}:{value}")
    };
    object(in_order(metadata).map(member).collect())
}

fn local_errors(review: &Value, spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(resource) = spec.get("resourceAttributes")
        && text(resource, "namespace") != review.namespace()
    {
        let given = format!("{:?}", text(resource, "namespace"));
        errors.push(invalid("spec.resourceAttributes.namespace", &given, "must match metadata.namespace"));
    }
    if let Some(path) = spec.get("nonResourceAttributes") {
        errors.push(invalid("spec.nonResourceAttributes", &shown(path), "disallowed on this kind of request"));
    }
    errors
}

fn invalid(path: &str, value: &str, detail: &str) -> FieldError {
    FieldError { path: Path::new(path), kind: FieldErrorKind::Invalid(value.to_owned(), detail.to_owned()) }
}

/// The status of a review: whether `user` may do what it asks.
pub(super) async fn answer(authorizer: &Authorizer, user: &UserInfo, review: &Value) -> Value {
    let spec = review.get("spec").unwrap_or(&Value::Null);
    match (spec.get("resourceAttributes"), spec.get("nonResourceAttributes")) {
        (Some(resource), _) => {
            let (fields, labels) = (selector::fields(resource), selector::labels(resource));
            let attributes = Attributes {
                fields: fields.selector.as_ref(),
                labels: labels.selector.as_ref(),
                ..resource_attributes(resource)
            };
            let decision = authorizer.authorize(user, &attributes).await;
            status(&decision, &[ignored("fieldSelector", &fields), ignored("labelSelector", &labels)])
        }
        (None, path) => {
            let path = path.unwrap_or(&Value::Null);
            let attributes = Attributes { verb: text(path, "verb"), path: text(path, "path"), ..Attributes::default() };
            status(&authorizer.authorize(user, &attributes).await, &[])
        }
    }
}

fn resource_attributes(resource: &Value) -> Attributes<'_> {
    let version = match text(resource, "version") {
        "" => "*",
        version => version,
    };
    Attributes {
        verb: text(resource, "verb"),
        is_resource: true,
        group: text(resource, "group"),
        version,
        resource: text(resource, "resource"),
        subresource: text(resource, "subresource"),
        namespace: text(resource, "namespace"),
        name: text(resource, "name"),
        ..Attributes::default()
    }
}

/// What is said of a selector that could not be read, or not all of it.
fn ignored<T>(which: &str, parsed: &Parsed<T>) -> Option<String> {
    let how = match (parsed.is_complete, parsed.selector.is_some()) {
        (true, _) => return None,
        (false, true) => "partially ignored",
        (false, false) => "ignored",
    };
    Some(format!("spec.resourceAttributes.{which} {how} due to parse error"))
}

fn status(decision: &Decision, errors: &[Option<String>]) -> Value {
    let mut status = Map::new();
    status.insert("allowed".into(), decision.is_allowed().into());
    if matches!(decision, Decision::Deny(_)) {
        status.insert("denied".into(), true.into());
    }
    let reason = decision.reason();
    if !reason.is_empty() {
        status.insert("reason".into(), reason.into());
    }
    let errors: Vec<&str> = errors.iter().flatten().map(String::as_str).collect();
    if !errors.is_empty() {
        status.insert("evaluationError".into(), errors.join("; ").into());
    }
    Value::Object(status)
}

/// The user that a review is about.
pub(super) fn subject(review: &Value) -> UserInfo {
    let spec = review.get("spec").unwrap_or(&Value::Null);
    let extra = spec.get("extra").and_then(Value::as_object).into_iter().flatten();
    UserInfo {
        name: text(spec, "user").to_owned(),
        uid: text(spec, "uid").to_owned(),
        groups: strings(spec.get("groups")),
        extra: extra.map(|(k, v)| (k.clone(), strings(Some(v)))).collect(),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorization::Mode;
    use serde_json::json;

    #[tokio::test]
    async fn answers() {
        let authorizer = Authorizer { modes: vec![Mode::AlwaysDeny], ..Authorizer::default() };
        let ask = async |groups: Value, selector: Value| {
            let review = json!({"spec": {"user": "u", "groups": groups,
                "resourceAttributes": {"verb": "get", "resource": "pods", "fieldSelector": selector}}});
            answer(&authorizer, &subject(&review), &review).await
        };
        assert_eq!(ask(json!(["system:masters"]), Value::Null).await, json!({"allowed": true}));
        let denied = json!({"allowed": false, "reason": "Everything is forbidden."});
        assert_eq!(ask(json!([]), Value::Null).await, denied);
        let odd = ask(json!([]), json!({"requirements": [{"key": "a", "operator": "Exists"}]})).await;
        let want = "spec.resourceAttributes.fieldSelector ignored due to parse error";
        assert_eq!(odd["evaluationError"], want);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let pods = json!({"verb": "get", "resource": "pods"});
        let path = json!({"verb": "get", "path": "/x"});
        for (spec, want) in [
            (json!({"user": "u", "resourceAttributes": pods}), None),
            (
                json!({"user": "u"}),
                Some("exactly one of nonResourceAttributes or resourceAttributes must be specified"),
            ),
            (
                json!({"user": "u", "resourceAttributes": pods, "nonResourceAttributes": path}),
                Some("cannot be specified in combination with resourceAttributes"),
            ),
        ] {
            let errors = what_errors(&spec);
            assert_eq!(errors.is_empty(), want.is_none(), "{spec}");
        }
        let named = json!({"metadata": {"labels": {"a": "b"}, "name": "x",
            "managedFields": [{"apiVersion": "v1", "manager": "m"}]}});
        let error = metadata_error("subjectaccessreviews", &named).map(|error| error.to_string());
        let shown = r#"{"name":"x","labels":{"a":"b"},"managedFields":[{"manager":"m","apiVersion":"v1"}]}"#;
        assert_eq!(error, Some(format!("metadata: Invalid value: {shown}: must be empty")));
        let local = json!({"metadata": {"namespace": "x"}});
        assert!(metadata_error("localsubjectaccessreviews", &local).is_none());
        assert_eq!(local_errors(&local, &json!({"resourceAttributes": {"namespace": "y"}})).len(), 1);
    }
}
