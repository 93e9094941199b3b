//! `NamespaceAutoProvision`: namespaces come with the first object in them.
//!
//! Upstream: `plugin/pkg/admission/namespace/autoprovision`.

use crate::denial::forbidden;
use crate::lookup::get;
use apimachinery::resources;
use apimachinery::status::{Reason, Status};
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use apiserver_registry::registry::{Body, Format};
use apiserver_registry::{Context, Verb};
use apiserver_storage::Store;
use async_trait::async_trait;
use serde_json::json;

pub(crate) struct NamespaceAutoProvision {
    store: Store,
}

impl NamespaceAutoProvision {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Plugin for NamespaceAutoProvision {
    fn name(&self) -> &'static str {
        "NamespaceAutoProvision"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        operation == Operation::Create
            && !context.dry_run
            && !context.namespace.is_empty()
            && context.resource.plural != "namespaces"
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let (context, kind) = (attributes.context, ("", "v1", "namespaces"));
        if get(&self.store, kind, "", &context.namespace).await?.is_some() {
            return Ok(());
        }
        let Some(resource) = resources::find(kind.0, kind.1, kind.2) else { return Ok(()) };
        let create = Context {
            user: context.user.clone(),
            verb: Verb::Create,
            resource: resource.clone(),
            subresource: None,
            namespace: String::new(),
            name: String::new(),
            dry_run: false,
            field_manager: context.field_manager.clone(),
            field_validation: context.field_validation,
            deadline: context.deadline,
            warnings: context.warnings.clone(),
            annotations: context.annotations.clone(),
        };
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": context.namespace}});
        let body = Body { bytes: namespace.to_string().into(), format: Format::Json };
        match attributes.registry.create(&create, body).await {
            Err(status) if status.reason != Reason::AlreadyExists => Err(forbidden(attributes, &status.message)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, context, run_in};
    use apimachinery::Value;

    #[tokio::test]
    async fn the_first_object_brings_its_namespace() {
        let cluster = Cluster::start().await;
        let plugin = NamespaceAutoProvision::new(cluster.store.clone());
        for name in ["a", "b"] {
            let map = json!({"metadata": {"name": name}});
            let cx = context("/configmaps", "", "tester");
            run_in(cluster.store.clone(), &plugin, &cx, Operation::Create, map, Value::Null).await.expect("admitted");
        }
        let made =
            get(&cluster.store, ("", "v1", "namespaces"), "", "ns").await.expect("a store").expect("a namespace");
        assert_eq!(made.value()["spec"]["finalizers"], json!(["kubernetes"]));
    }
}
