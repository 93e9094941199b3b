//! A made-up resource for this crate's tests, and the backends that batteries run on.

use crate::StoreConfig;
use crate::backend::Backend;
use crate::backend::etcd::Etcd;
use crate::backend::memory::Memory;
use crate::form::Form;
use apimachinery::Value;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::resources::{ResourceInfo, SelectableField};
use apimachinery::schema::{Schema, TypeRef};
use component::Supervisor;
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
        custom: None,
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

/// A backend that a battery runs on, alive as long as this.
pub(crate) trait TestBackend: Sized {
    /// `None` if it cannot run here, which it says.
    fn start() -> Option<Self>;
    /// The backend, connected anew on each call.
    async fn backend(&self) -> Arc<dyn Backend>;
}

pub(crate) struct MemoryBackend(Memory);

impl TestBackend for MemoryBackend {
    fn start() -> Option<Self> {
        Some(Self(Memory::new(&Supervisor::new())))
    }

    async fn backend(&self) -> Arc<dyn Backend> {
        Arc::new(self.0.clone())
    }
}

pub(crate) struct EtcdBackend(pub(crate) testkit::etcd::Etcd);

impl TestBackend for EtcdBackend {
    fn start() -> Option<Self> {
        if !testkit::etcd::Etcd::is_installed() {
            println!("skipped: no etcd is installed");
            return None;
        }
        Some(Self(testkit::etcd::Etcd::start().expect("etcd starts")))
    }

    async fn backend(&self) -> Arc<dyn Backend> {
        let config = StoreConfig { servers: vec![self.0.endpoint()], ..StoreConfig::default() };
        Arc::new(Etcd::new(&config).await.expect("a good configuration"))
    }
}
