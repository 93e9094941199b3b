//! `NamespaceLifecycle`: nothing is created in a namespace that is missing or going, and the
//! namespaces that a cluster stands on stay. `NamespaceExists` is the first half of that.
//!
//! Upstream: `apiserver/pkg/admission/plugin/namespace/lifecycle/admission.go`.

use crate::denial::forbidden;
use crate::lookup::{get, text};
use apimachinery::gvk::GroupResource;
use apimachinery::status::{Cause, Status};
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use apiserver_storage::{Object, Store};
use async_trait::async_trait;
use std::sync::Arc;

const PROTECTED: &[&str] = &["default", "kube-system", "kube-public"];

pub(crate) struct NamespaceLifecycle {
    store: Store,
}

impl NamespaceLifecycle {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Plugin for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        let deletes_namespace = operation == Operation::Delete && is_namespaces(context);
        deletes_namespace || needs_namespace(operation, context)
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        if attributes.operation == Operation::Delete {
            return match PROTECTED.contains(&attributes.name) {
                true => Err(forbidden(attributes, "this namespace may not be deleted")),
                false => Ok(()),
            };
        }
        let namespace = existing(&self.store, attributes.context).await?;
        match attributes.operation {
            Operation::Create if is_terminating(&namespace) => Err(terminating(attributes)),
            _ => Ok(()),
        }
    }
}

/// See the module.
pub(crate) struct NamespaceExists {
    store: Store,
}

impl NamespaceExists {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Plugin for NamespaceExists {
    fn name(&self) -> &'static str {
        "NamespaceExists"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        needs_namespace(operation, context)
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        existing(&self.store, attributes.context).await.map(drop)
    }
}

fn is_namespaces(context: &Context) -> bool {
    context.resource.group.is_empty() && context.resource.plural == "namespaces" && context.subresource.is_none()
}

/// Access reviews may be about namespaces that do not exist; deletions must always be possible.
fn needs_namespace(operation: Operation, context: &Context) -> bool {
    matches!(operation, Operation::Create | Operation::Update)
        && !context.namespace.is_empty()
        && !(context.resource.group.is_empty() && context.resource.plural == "namespaces")
        && context.resource.plural != "localsubjectaccessreviews"
}

async fn existing(store: &Store, context: &Context) -> Result<Arc<Object>, Status> {
    let wrong = rules::validation::names::path_segment(&context.namespace);
    if !wrong.is_empty() {
        // Upstream asks itself for the namespace, and its client does not send such a name.
        let why = format!("invalid resource name {:?}: [{}]", context.namespace, wrong.join(" "));
        return Err(Status::internal(why));
    }
    let namespace = get(store, ("", "v1", "namespaces"), "", &context.namespace).await?;
    namespace.ok_or_else(|| Status::not_found(&GroupResource::new("", "namespaces"), &context.namespace))
}

fn is_terminating(namespace: &Object) -> bool {
    match namespace.field("status.phase") {
        Some(phase) => phase == "Terminating",
        None => text(&namespace.value(), "/status/phase") == "Terminating",
    }
}

fn terminating(attributes: &Attributes<'_>) -> Status {
    let namespace = &attributes.context.namespace;
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut status = forbidden(attributes, &why);
    if let Some(details) = &mut status.details {
        details.causes.push(Cause {
            reason: "NamespaceTerminating".into(),
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".into(),
        });
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, context, create, run};
    use apimachinery::Value;
    use serde_json::json;

    fn namespace(name: &str, phase: &str) -> Value {
        json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}, "status": {"phase": phase}})
    }

    #[tokio::test]
    async fn content_needs_a_living_namespace() {
        let cluster = Cluster::start().await;
        let plugin = NamespaceLifecycle::new(cluster.store.clone());
        let object = || json!({"metadata": {"name": "a"}});
        let missing = create(&plugin, "/configmaps", object()).await.expect_err("no namespace");
        assert_eq!((missing.code, missing.message.as_str()), (404, "namespaces \"ns\" not found"));
        cluster.add("/namespaces", namespace("ns", "Active")).await;
        create(&plugin, "/configmaps", object()).await.expect("created");
    }

    #[tokio::test]
    async fn a_terminating_namespace_takes_no_more() {
        let cluster = Cluster::start().await;
        let plugin = NamespaceLifecycle::new(cluster.store.clone());
        cluster.add("/namespaces", namespace("ns", "Terminating")).await;
        let refused = create(&plugin, "/configmaps", json!({"metadata": {"name": "a"}})).await.expect_err("refused");
        let text = "configmaps \"a\" is forbidden: unable to create new content in namespace ns because it is being terminated";
        assert_eq!((refused.code, refused.message.as_str()), (403, text));
        assert_eq!(refused.details.expect("details").causes[0].reason, "NamespaceTerminating");
        let update = run(&plugin, &context("/configmaps", "", "u"), Operation::Update, json!({}), json!({})).await;
        update.expect("existing content can change");
    }

    #[tokio::test]
    async fn the_first_namespaces_stay() {
        let cluster = Cluster::start().await;
        let plugin = NamespaceLifecycle::new(cluster.store.clone());
        for (name, refused) in [("default", true), ("kube-system", true), ("mine", false)] {
            let cx = context("/namespaces", "", "u");
            let result = run(&plugin, &cx, Operation::Delete, Value::Null, namespace(name, "Active")).await;
            assert_eq!(result.is_err(), refused, "{name}");
        }
    }
}
