//! A request as webhooks and expressions see it: as one of the resources that the rules name.
//!
//! Upstream: `apiserver/pkg/admission/plugin/webhook/request/admissionreview.go`,
//! `apiserver/pkg/admission/plugin/webhook/generic/conversion.go`.

use apimachinery::Value;
use apimachinery::codec::fields;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::resources::{ResourceInfo, Subresource};
use apimachinery::schema::{Schema, TypeRef};
use apimachinery::status::Status;
use apiserver_registry::Context;
use apiserver_registry::admission::Attributes;
use serde_json::json;
use std::borrow::Cow;
use std::sync::Arc;

/// The resource as which a request is looked at.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) resource: Arc<ResourceInfo>,
    pub(crate) subresource: Option<Subresource>,
}

impl Target {
    /// As it was requested.
    pub(crate) fn of(context: &Context) -> Self {
        Self { resource: context.resource.clone(), subresource: context.subresource.clone() }
    }

    /// The kind of the body.
    pub(crate) fn kind(&self) -> GroupVersionKind {
        self.subresource.as_ref().map_or_else(|| self.resource.gvk(), |sub| sub.kind.clone())
    }

    /// The type of the body, if it is known.
    pub(crate) fn schema(&self) -> Option<TypeRef> {
        let kind = self.kind();
        match kind == self.resource.gvk() {
            true => Some(self.resource.schema.clone()),
            false => Schema::builtin().kind(&kind),
        }
    }

    fn is_own(&self, context: &Context) -> bool {
        Arc::ptr_eq(&self.resource, &context.resource)
            || self.resource.version == context.resource.version && self.resource.group == context.resource.group
    }

    /// An object of the request in this version, with trees for all that may be texts.
    pub(crate) async fn view<'a>(
        &self,
        attributes: &Attributes<'_>,
        object: &'a Value,
    ) -> Result<Cow<'a, Value>, Status> {
        let context = attributes.context;
        let foreign = self.kind() != self.resource.gvk();
        let object = fields::opened(object);
        if self.is_own(context) || object.is_null() || foreign {
            return Ok(object);
        }
        attributes.registry.convert_to(&context.resource, &self.resource, object.into_owned()).await.map(Cow::Owned)
    }

    /// An object in this version as one of the request's.
    pub(crate) async fn back(&self, attributes: &Attributes<'_>, object: Value) -> Result<Value, Status> {
        let context = attributes.context;
        match self.is_own(context) || self.kind() != self.resource.gvk() {
            true => Ok(object),
            false => attributes.registry.convert_to(&self.resource, &context.resource, object).await,
        }
    }
}

/// The namespace of the request; a Namespace is in itself.
pub(crate) fn namespace<'a>(attributes: &'a Attributes<'_>) -> &'a str {
    match is_namespace(attributes.context) {
        true => attributes.name,
        false => &attributes.context.namespace,
    }
}

/// Whether the request is about a Namespace.
pub(crate) fn is_namespace(context: &Context) -> bool {
    context.resource.group.is_empty() && &*context.resource.plural == "namespaces"
}

/// An `AdmissionRequest` without its objects and its UID.
pub(crate) fn describe(attributes: &Attributes<'_>, target: &Target) -> Value {
    let context = attributes.context;
    let requested = Target::of(context);
    let mut request = json!({
        "kind": kind(target),
        "resource": resource(&target.resource),
        "requestKind": kind(&requested),
        "requestResource": resource(&requested.resource),
        "operation": attributes.operation.as_str(),
        "userInfo": user(context),
        "dryRun": context.dry_run,
        "options": attributes.options,
    });
    for (key, text) in [
        ("name", attributes.name),
        ("namespace", namespace(attributes)),
        ("subResource", target.subresource.as_ref().map_or("", |sub| &sub.name)),
        ("requestSubResource", context.subresource_name()),
    ] {
        if !text.is_empty() {
            request[key] = text.into();
        }
    }
    request
}

fn kind(target: &Target) -> Value {
    let kind = target.kind();
    json!({"group": &*kind.group, "version": &*kind.version, "kind": &*kind.kind})
}

fn resource(resource: &ResourceInfo) -> Value {
    json!({"group": &*resource.group, "version": &*resource.version, "resource": &*resource.plural})
}

fn user(context: &Context) -> Value {
    let user = &context.user;
    let mut info = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        info["uid"] = user.uid.as_str().into();
    }
    if !user.extra.is_empty() {
        info["extra"] = json!(user.extra);
    }
    info
}
