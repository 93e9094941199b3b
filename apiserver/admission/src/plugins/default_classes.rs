//! `DefaultStorageClass` and `DefaultIngressClass`: claims and ingresses that name no class get
//! the cluster's default one.
//!
//! Upstream: `plugin/pkg/admission/storage/storageclass/setdefault`,
//! `plugin/pkg/admission/network/defaultingressclass`.

use crate::denial::forbidden;
use crate::lookup::list;
use crate::pod::spec;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::status::Status;
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use apiserver_storage::Store;
use async_trait::async_trait;

/// `DefaultStorageClass`.
pub(crate) struct DefaultStorageClass {
    store: Store,
}

impl DefaultStorageClass {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Plugin for DefaultStorageClass {
    fn name(&self) -> &'static str {
        "DefaultStorageClass"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        creates(operation, context, "", "persistentvolumeclaims")
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let beta = "volume.beta.kubernetes.io/storage-class";
        let annotated = attributes.object.annotations().is_some_and(|a| a.contains_key(beta));
        if annotated || attributes.object.pointer("/spec/storageClassName").is_some() {
            return Ok(());
        }
        let marks = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
        let mut defaults = defaults(&self.store, ("storage.k8s.io", "v1", "storageclasses"), &marks);
        // The newest one, and of several the first by name.
        defaults.sort_by(|a, b| {
            let made = |class: &Value| class.meta_str("creationTimestamp").to_owned();
            made(b).cmp(&made(a)).then_with(|| a.name().cmp(b.name()))
        });
        if let Some(class) = defaults.first() {
            spec(attributes.object).insert("storageClassName".into(), class.name().into());
        }
        Ok(())
    }
}

/// `DefaultIngressClass`.
pub(crate) struct DefaultIngressClass {
    store: Store,
}

impl DefaultIngressClass {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Plugin for DefaultIngressClass {
    fn name(&self) -> &'static str {
        "DefaultIngressClass"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        creates(operation, context, "networking.k8s.io", "ingresses")
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let annotated = attributes.object.annotations().is_some_and(|a| a.contains_key("kubernetes.io/ingress.class"));
        if annotated || attributes.object.pointer("/spec/ingressClassName").is_some() {
            return Ok(());
        }
        let classes = ("networking.k8s.io", "v1", "ingressclasses");
        match defaults(&self.store, classes, &["ingressclass.kubernetes.io/is-default-class"]).as_slice() {
            [] => {}
            [class] => {
                spec(attributes.object).insert("ingressClassName".into(), class.name().into());
            }
            many => {
                let why = format!("{} default IngressClasses were found, only 1 allowed", many.len());
                return Err(forbidden(attributes, &why));
            }
        }
        Ok(())
    }
}

fn creates(operation: Operation, context: &Context, group: &str, plural: &str) -> bool {
    let resource = &context.resource;
    operation == Operation::Create
        && context.subresource.is_none()
        && resource.group == group
        && resource.plural == plural
}

/// The classes that carry one of these annotations with the value `true`.
fn defaults(store: &Store, resource: (&str, &str, &str), marks: &[&str]) -> Vec<Value> {
    let is_default = |class: &Value| {
        class.annotations().is_some_and(|a| marks.iter().any(|m| a.get(*m).and_then(Value::as_str) == Some("true")))
    };
    list(store, resource, None).iter().map(|class| class.value()).filter(is_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, create};
    use serde_json::json;

    fn class(name: &str, mark: &str, made: &str) -> Value {
        json!({"metadata": {"name": name, "creationTimestamp": made, "annotations": {mark: "true"}}})
    }

    #[tokio::test]
    async fn claims_get_the_newest_default() {
        let cluster = Cluster::start().await;
        let plugin = DefaultStorageClass::new(cluster.store.clone());
        let claim = |spec: Value| json!({"metadata": {"name": "c"}, "spec": spec});
        let made = create(&plugin, "/persistentvolumeclaims", claim(json!({}))).await.expect("admitted");
        assert_eq!(made["spec"].get("storageClassName"), None);
        let mark = "storageclass.kubernetes.io/is-default-class";
        for (name, time) in [("old", "2025-01-01T00:00:00Z"), ("new", "2026-01-01T00:00:00Z")] {
            cluster.add("storage.k8s.io/storageclasses", class(name, mark, time)).await;
        }
        for (spec, want) in
            [(json!({}), "new"), (json!({"storageClassName": ""}), ""), (json!({"storageClassName": "x"}), "x")]
        {
            let made = create(&plugin, "/persistentvolumeclaims", claim(spec)).await.expect("admitted");
            assert_eq!(made["spec"]["storageClassName"], want);
        }
    }

    #[tokio::test]
    async fn ingresses_get_the_only_default() {
        let cluster = Cluster::start().await;
        let plugin = DefaultIngressClass::new(cluster.store.clone());
        let mark = "ingressclass.kubernetes.io/is-default-class";
        let ingress = || json!({"metadata": {"name": "i"}, "spec": {}});
        cluster.add("networking.k8s.io/ingressclasses", class("a", mark, "2026-01-01T00:00:00Z")).await;
        let made = create(&plugin, "networking.k8s.io/ingresses", ingress()).await.expect("admitted");
        assert_eq!(made["spec"]["ingressClassName"], "a");
        cluster.add("networking.k8s.io/ingressclasses", class("b", mark, "2026-01-01T00:00:00Z")).await;
        let refused = create(&plugin, "networking.k8s.io/ingresses", ingress()).await.expect_err("two defaults");
        assert!(refused.message.ends_with("2 default IngressClasses were found, only 1 allowed"));
    }
}
