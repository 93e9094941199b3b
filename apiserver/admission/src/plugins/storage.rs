//! `StorageObjectInUseProtection`: volumes and claims outlive their users.
//! `PersistentVolumeClaimResize`: a claim grows only where its class lets it.
//!
//! Upstream: `plugin/pkg/admission/storage/{storageobjectinuseprotection,persistentvolume/resize}`.

use crate::denial::forbidden;
use crate::lookup::{get, text};
use crate::pod::list;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::quantity::Quantity;
use apimachinery::status::Status;
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use apiserver_storage::Store;
use async_trait::async_trait;

/// `StorageObjectInUseProtection`.
pub(crate) struct InUseProtection;

fn finalizer(context: &Context) -> Option<&'static str> {
    match (&*context.resource.group, &*context.resource.plural) {
        ("", "persistentvolumes") => Some("kubernetes.io/pv-protection"),
        ("", "persistentvolumeclaims") => Some("kubernetes.io/pvc-protection"),
        ("storage.k8s.io", "volumeattributesclasses") => Some("kubernetes.io/vac-protection"),
        _ => None,
    }
}

#[async_trait]
impl Plugin for InUseProtection {
    fn name(&self) -> &'static str {
        "StorageObjectInUseProtection"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        operation == Operation::Create && context.subresource.is_none() && finalizer(context).is_some()
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let Some(finalizer) = finalizer(attributes.context) else { return Ok(()) };
        let finalizers = list(attributes.object.metadata_mut(), "finalizers");
        if !finalizers.iter().any(|f| f == finalizer) {
            finalizers.push(finalizer.into());
        }
        Ok(())
    }
}

/// `PersistentVolumeClaimResize`.
pub(crate) struct ClaimResize {
    store: Store,
}

impl ClaimResize {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    async fn allows(&self, claim: &Value) -> Result<bool, Status> {
        let class = text(claim, "/spec/storageClassName");
        if class.is_empty() {
            return Ok(false);
        }
        let class = get(&self.store, ("storage.k8s.io", "v1", "storageclasses"), "", class).await?;
        Ok(class.is_some_and(|c| c.value().get("allowVolumeExpansion").and_then(Value::as_bool) == Some(true)))
    }
}

#[async_trait]
impl Plugin for ClaimResize {
    fn name(&self) -> &'static str {
        "PersistentVolumeClaimResize"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        operation == Operation::Update
            && context.subresource.is_none()
            && context.resource.plural == "persistentvolumeclaims"
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let (new, old) = (size(attributes.object), size(attributes.old_object));
        let grows = matches!((new, old), (Some(new), Some(old)) if new > old);
        if !grows {
            return Ok(());
        }
        if text(attributes.old_object, "/status/phase") != "Bound" {
            return Err(forbidden(attributes, "Only bound persistent volume claims can be expanded"));
        }
        match self.allows(attributes.old_object).await? {
            true => Ok(()),
            false => Err(forbidden(
                attributes,
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must \
                 support resize",
            )),
        }
    }
}

fn size(claim: &Value) -> Option<Quantity> {
    text(claim, "/spec/resources/requests/storage").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, context, create, run};
    use serde_json::json;

    #[tokio::test]
    async fn volumes_and_claims_are_protected() {
        for (resource, want) in [
            ("/persistentvolumes", json!(["kubernetes.io/pv-protection"])),
            ("/persistentvolumeclaims", json!(["kubernetes.io/pvc-protection"])),
            ("storage.k8s.io/volumeattributesclasses", json!(["kubernetes.io/vac-protection"])),
        ] {
            let made = create(&InUseProtection, resource, json!({"metadata": {"name": "a"}})).await.expect("admitted");
            assert_eq!(made["metadata"]["finalizers"], want);
        }
    }

    #[tokio::test]
    async fn claims_grow_where_their_class_lets_them() {
        let cluster = Cluster::start().await;
        let class = json!({"metadata": {"name": "grows"}, "allowVolumeExpansion": true, "provisioner": "p"});
        cluster.add("storage.k8s.io/storageclasses", class).await;
        let plugin = ClaimResize::new(cluster.store.clone());
        let claim = |class: &str, size: &str| {
            json!({"metadata": {"name": "c"}, "status": {"phase": "Bound"},
            "spec": {"storageClassName": class, "resources": {"requests": {"storage": size}}}})
        };
        let cx = context("/persistentvolumeclaims", "", "u");
        for (class, size, allowed) in [("grows", "2Gi", true), ("other", "2Gi", false), ("other", "1Gi", true)] {
            let result = run(&plugin, &cx, Operation::Update, claim(class, size), claim(class, "1Gi")).await;
            assert_eq!(result.is_ok(), allowed, "{class} {size}");
        }
    }
}
