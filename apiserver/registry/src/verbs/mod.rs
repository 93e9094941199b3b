//! The generic verbs, one file each.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod patch;
pub(crate) mod read;
pub(crate) mod update;

use crate::admission::{Attributes, Operation, Reinvocation};
use crate::{Context, Registry, Reply, convert};
use apimachinery::Value;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::meta::ObjectMeta;
use apimachinery::resources::ResourceInfo;
use apimachinery::schema::{Schema, TypeRef};
use apimachinery::status::{Reason, Status};
use apiserver_storage::Object;
use serde_json::json;
use std::sync::Arc;

/// The object that a request is about, as the store knows it.
pub(crate) struct Target {
    /// The resource in the version it is stored in.
    pub(crate) stored: Arc<ResourceInfo>,
    /// The key below the prefix.
    pub(crate) key: String,
}

impl Target {
    /// The object of this name in the request's namespace.
    pub(crate) fn named(cx: &Context, name: &str) -> Self {
        Self { stored: convert::stored_as(&cx.resource), key: cx.resource.key(&cx.namespace, name) }
    }

    /// The object that the request names, if it can be one.
    pub(crate) fn of(cx: &Context) -> Result<Self, Status> {
        check_path(&cx.resource, &cx.namespace, Some(&cx.name))?;
        Ok(Self::named(cx, &cx.name))
    }
}

/// Refuses names that would lead out of the keys of a resource, in upstream's words: a namespace that does is found
/// by its store, which knows nothing of reasons. Collections have no name.
pub fn check_path(resource: &ResourceInfo, namespace: &str, name: Option<&str>) -> Result<(), Status> {
    if let Some(name) = name {
        let findings = rules::validation::names::path_segment(name);
        if !findings.is_empty() {
            let why = format!("Name parameter invalid: {name:?}: {}", findings.join(";"));
            return Err(Status::bad_request(why));
        }
    }
    if resource.namespaced && matches!(namespace, "." | "..") {
        let prefix = &resource.storage_prefix;
        let tail: String = name.into_iter().flat_map(|name| ["/", name]).collect();
        return Err(Status::plain(500, Reason::Unknown, format!("invalid key: \"/{prefix}/{namespace}{tail}\"")));
    }
    Ok(())
}

/// A stored object in the requested version.
pub(crate) fn tree(cx: &Context, object: &Object) -> Value {
    match convert::is_needed(&cx.resource) {
        true => convert::from_storage(&cx.resource, object.value()),
        false => object.value(),
    }
}

/// A stored object as an answer.
pub(crate) fn reply(cx: &Context, object: Arc<Object>) -> Reply {
    match convert::is_needed(&cx.resource) {
        true => value_reply(cx, convert::from_storage(&cx.resource, object.value())),
        false => Reply::Object(object),
    }
}

/// A tree of the request's kind as an answer.
pub(crate) fn value_reply(cx: &Context, value: Value) -> Reply {
    Reply::Value { value, ty: cx.resource.schema.clone() }
}

/// An object that would have been written, as it would have been read.
pub(crate) fn unwritten_reply(cx: &Context, mut value: Value) -> Reply {
    if cx.resource.custom.is_none() {
        apimachinery::schema::settle(&cx.resource.schema, &mut value);
    }
    value_reply(cx, value)
}

/// The type of a `meta/v1.Status`.
fn status_type() -> TypeRef {
    let name = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
    Schema::builtin().type_named(name).expect("meta/v1.Status is in the built-in table")
}

/// A `Status` of success with these details, if any.
pub(crate) fn success(details: Option<Value>) -> Reply {
    let mut value = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
    if let Some(details) = details {
        value["details"] = details;
    }
    Reply::Value { value, ty: status_type() }
}

/// The same for what has been made without being stored.
pub(crate) fn created() -> Reply {
    let mut reply = success(None);
    if let Reply::Value { value, .. } = &mut reply {
        value["code"] = 201.into();
    }
    Reply::Created(Box::new(reply))
}

/// The kind that a refused object is named by: custom ones are what they say they are.
pub(crate) fn told_kind(cx: &Context, object: &Value) -> GroupVersionKind {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let own = cx.resource.custom.as_ref().and_then(|_| GroupVersionKind::parse(text("apiVersion"), text("kind")));
    own.unwrap_or_else(|| cx.resource.storage_kind.clone())
}

/// Mutating admission, for a write of `object` over `old`.
pub(crate) async fn admit(
    registry: &Registry,
    cx: &Context,
    operation: Operation,
    object: &mut Value,
    old: &Value,
    options: &Value,
) -> Result<(), Status> {
    let name = request_name(cx, object);
    let reinvocation = Reinvocation::default();
    let mut attributes =
        Attributes { registry, context: cx, operation, name: &name, object, old_object: old, options, reinvocation };
    registry.admission.admit(&mut attributes).await
}

/// Refuses roles and bindings that give away what the user does not hold.
pub(crate) async fn check_escalation(
    registry: &Registry,
    cx: &Context,
    object: &Value,
    old: &Value,
) -> Result<(), Status> {
    match &registry.options.escalation {
        Some(check) if cx.resource.group == "rbac.authorization.k8s.io" => check.check(cx, object, old).await,
        _ => Ok(()),
    }
}

/// Validating admission, of the object as it will be stored.
pub(crate) async fn validate(
    registry: &Registry,
    cx: &Context,
    operation: Operation,
    object: &mut Value,
    old: &Value,
    options: &Value,
) -> Result<(), Status> {
    let name = request_name(cx, object);
    let reinvocation = Reinvocation::default();
    let attributes =
        Attributes { registry, context: cx, operation, name: &name, object, old_object: old, options, reinvocation };
    registry.admission.validate(&attributes).await
}

fn request_name(cx: &Context, object: &Value) -> String {
    match cx.name.is_empty() {
        true => object.name().to_owned(),
        false => cx.name.clone(),
    }
}

/// `CreateOptions`, `UpdateOptions` or `PatchOptions` of a request, for webhooks.
pub(crate) fn options(cx: &Context, kind: &str) -> Value {
    let mut options = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
    if !cx.field_manager.is_empty() {
        options["fieldManager"] = cx.field_manager.as_str().into();
    }
    if cx.dry_run {
        options["dryRun"] = json!(["All"]);
    }
    options
}
