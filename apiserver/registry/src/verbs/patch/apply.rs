//! Server-side apply: a configuration laid over the object, which is made if it is not there.
//!
//! Upstream: `applyPatcher` in `endpoints/handlers/patch.go`.

use super::super::create;
use super::super::update::{Part, Source, change, may_create};
use super::scale_type;
use crate::{Body, Context, Registry, Reply, managed, metadata, subresources};
use apimachinery::Value;
use apimachinery::codec::{FieldValidation, json, yaml};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::meta::ObjectMeta;
use apimachinery::schema::{Origin, TypeRef};
use apimachinery::status::{Reason, Status};
use rules::apply::ApplyError;

/// Changes between present and absent until the client has to try again itself.
const ATTEMPTS: usize = 3;

/// A configuration as it came.
struct Config {
    value: Value,
    /// What is said about keys that are given twice.
    duplicates: Option<String>,
    force: bool,
}

pub(super) async fn patch(registry: &Registry, cx: &Context, force: bool, body: &Body) -> Result<Reply, Status> {
    let (value, duplicates) = yaml::to_value_with_findings(&body.bytes)
        .map_err(|error| Status::bad_request(format!("error decoding YAML: error converting YAML to JSON: {error}")))?;
    let found = match &value {
        // Nothing is an object that does not say what it is.
        Value::Object(_) | Value::Null => None,
        Value::Array(_) => Some("array"),
        Value::String(_) => Some("string"),
        Value::Number(_) => Some("number"),
        Value::Bool(_) => Some("bool"),
    };
    if let Some(found) = found {
        return Err(Status::bad_request(format!(
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go value \
             of type map[string]interface {{}}"
        )));
    }
    let config = Config { value, duplicates, force };
    if cx.subresource_name() == "scale" {
        return apply_scale(registry, cx, &config).await;
    }
    let part = Part::of(cx)?;
    for _ in 0..ATTEMPTS {
        match change_or_create(registry, cx, part, &config).await {
            // Somebody else was faster: there is something to change now.
            Err(status) if status.reason == Reason::AlreadyExists => {}
            result => return result,
        }
    }
    let resource = cx.resource.group_resource();
    Err(Status::conflict(&resource, &cx.name, crate::failure::STALE))
}

async fn change_or_create(registry: &Registry, cx: &Context, part: Part, config: &Config) -> Result<Reply, Status> {
    let source: &mut Source<'_> = &mut |old| laid_over(cx, config, old);
    match change(registry, cx, part, "PatchOptions", source).await {
        Err(status) if status.reason == Reason::NotFound && part == Part::Main => {
            let mut object = laid_over(cx, config, &Value::Null)?;
            may_create(registry, cx).await?;
            metadata::forget_revision(cx, &mut object)?;
            create::insert_tracked(registry, cx, object, false).await
        }
        result => result,
    }
}

fn laid_over(cx: &Context, config: &Config, live: &Value) -> Result<Value, Status> {
    check_kind(&config.value, &cx.resource.gvk())?;
    let merged = managed::apply(cx, live, &config.value, config.force)?;
    let mut new = conformed(&cx.resource.schema, &config.value, merged, live)?;
    report_duplicates(cx, config)?;
    if live.is_null() {
        check_uid(cx, &new)?;
    }
    metadata::ensure_namespace(cx, &mut new)?;
    metadata::ensure_name(cx, &new)?;
    rules::defaults::apply(&cx.resource, &mut new);
    Ok(new)
}

/// The result as its type has it, of a `live` object or nothing.
fn conformed(ty: &TypeRef, config: &Value, merged: Value, live: &Value) -> Result<Value, Status> {
    let converted = match ty.schema.origin {
        Origin::Builtin => json::from_tree(ty, merged, live),
        Origin::Definition => json::conform(ty, &merged),
    };
    converted.map(|decoded| decoded.value).map_err(|error| {
        let kind = given_kind(config);
        let (namespace, name) = (config.namespace(), config.name());
        let why = format!(
            "failed to convert new object ({namespace}/{name}; {kind}) to proper version: unable to convert unstructured \
             object to {kind}: {error}"
        );
        Status::plain(500, Reason::Unknown, why)
    })
}

fn report_duplicates(cx: &Context, config: &Config) -> Result<(), Status> {
    let Some(duplicates) = &config.duplicates else { return Ok(()) };
    let text = format!("error converting YAML to JSON: {duplicates}");
    match cx.field_validation {
        FieldValidation::Strict => Err(Status::bad_request(format!("error strict decoding YAML: {text}"))),
        FieldValidation::Warn => {
            crate::decode::warnings(&text).into_iter().for_each(|text| cx.warn(text));
            Ok(())
        }
        FieldValidation::Ignore => Ok(()),
    }
}

fn given_kind(config: &Value) -> GroupVersionKind {
    let text = |key: &str| config.get(key).and_then(Value::as_str).unwrap_or_default();
    GroupVersionKind::parse(text("apiVersion"), text("kind")).unwrap_or_else(|| GroupVersionKind::new("", "", ""))
}

fn check_kind(config: &Value, expected: &GroupVersionKind) -> Result<(), Status> {
    let given = given_kind(config);
    if given == *expected {
        return Ok(());
    }
    Err(ApplyError::Kind(given.to_string()).into())
}

/// A configuration with a UID is about an object that is there.
fn check_uid(cx: &Context, object: &Value) -> Result<(), Status> {
    if object.uid().is_empty() {
        return Ok(());
    }
    let uid = object.uid();
    let why = format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
    Err(Status::conflict(&cx.resource.group_resource(), &cx.name, &why))
}

async fn apply_scale(registry: &Registry, cx: &Context, config: &Config) -> Result<Reply, Status> {
    let ty = scale_type()?;
    let source: &mut Source<'_> = &mut |old| {
        check_kind(&config.value, &GroupVersionKind::new("autoscaling", "v1", "Scale"))?;
        let merged = managed::apply_scale(cx, &ty, old, &config.value, config.force)?;
        report_duplicates(cx, config)?;
        conformed(&ty, &config.value, merged, old)
    };
    subresources::scale::write(registry, cx, "PatchOptions", source).await
}
