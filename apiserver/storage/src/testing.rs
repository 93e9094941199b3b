//! A made-up resource for this crate's tests.

use crate::form::Form;
use apimachinery::Value;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::resources::{ResourceInfo, SelectableField};
use apimachinery::schema::{Schema, TypeRef};
use serde_json::json;
use std::sync::Arc;

/// `things` of `example.com/v1`, stored as JSON.
pub(crate) fn things() -> Arc<ResourceInfo> {
    resource("things")
}

/// A namespaced resource with the selectable field `spec.node`.
pub(crate) fn resource(prefix: &'static str) -> Arc<ResourceInfo> {
    let node = SelectableField { label: "spec.node".into(), paths: vec!["spec.node".into()], default: "".into() };
    Arc::new(ResourceInfo {
        group: "example.com".into(),
        version: "v1".into(),
        plural: prefix.into(),
        singular: "thing".into(),
        kind: "Thing".into(),
        list_kind: "ThingList".into(),
        namespaced: true,
        short_names: vec![],
        categories: vec![],
        verbs: vec![],
        subresources: vec![],
        storage_prefix: prefix.into(),
        storage_kind: GroupVersionKind::new("example.com", "v1", "Thing"),
        schema: TypeRef { schema: Arc::new(Schema::default()), id: 0 },
        selectable_fields: vec![node],
    })
}

pub(crate) fn form() -> Arc<Form> {
    Arc::new(Form::new(&things(), false))
}

/// A thing in a namespace with a label `app` and a `spec.node`.
pub(crate) fn thing(namespace: &str, name: &str, app: &str, node: &str) -> Value {
    json!({
        "kind": "Thing", "apiVersion": "example.com/v1",
        "metadata": {"name": name, "namespace": namespace, "uid": format!("uid-{name}"), "labels": {"app": app}},
        "spec": {"node": node}
    })
}
