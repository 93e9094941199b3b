//! Counts for one quota and writes its status.

use super::counts::{Count, Counts};
use super::plan;
use crate::scaffold::context::namespaced;
use crate::scaffold::informers::SharedKind;
use crate::scaffold::{At, Controller, Informers, Next, ReconcileError, is_not_found};
use client::{Informer, ObjectKey};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, ResourceQuota, Service};
use k8s_openapi::api::resource::v1::ResourceClaim;
use kube::api::PostParams;
use rules::quota::Amounts;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What objects of a resource use, or when to ask again what they use.
enum Used {
    Amounts(Amounts),
    NotServed(Duration),
}

pub(super) struct Quotas {
    pub(super) client: kube::Client,
    pub(super) informers: Arc<Informers>,
    pub(super) quotas: Informer<ResourceQuota>,
    pub(super) pods: Informer<Pod>,
    pub(super) services: Informer<Service>,
    pub(super) claims: Informer<PersistentVolumeClaim>,
    pub(super) counts: Arc<Counts>,
    pub(super) resync: Duration,
}

impl Controller for Quotas {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(quota) = self.quotas.get(&key.namespace, &key.name) else { return Ok(Next::OnChange) };
        let tree = serde_json::to_value(&*quota).unwrap_or_default();
        let mut found = BTreeMap::new();
        let (mut next, mut failed) = (self.resync, None);
        for resource in plan::counted(&quota) {
            match self.used(&quota, &tree, resource, &key.namespace).await {
                Ok(Used::Amounts(amounts)) => drop(found.insert(resource.to_owned(), amounts)),
                Ok(Used::NotServed(again)) => next = next.min(again),
                Err(error) => failed = Some(error),
            }
        }
        if let Some(status) = plan::status(&quota, &found) {
            let after = ResourceQuota { status: Some(status), ..(*quota).clone() };
            let api = namespaced::<ResourceQuota>(&self.client, &key.namespace);
            match api.replace_status(&key.name, &PostParams::default(), &after).await {
                Err(error) if is_not_found(&error) => return Ok(Next::OnChange),
                written => drop(written.at(|| format!("write the status of quota {key}"))?),
            }
        }
        failed.map_or(Ok(Next::After(next)), Err)
    }
}

impl Quotas {
    /// What the namespace's objects of a resource use.
    async fn used(
        &self,
        quota: &ResourceQuota,
        tree: &Value,
        resource: &str,
        namespace: &str,
    ) -> Result<Used, ReconcileError> {
        let amounts = match resource {
            "pods" => plan::used(tree, resource, trees(&self.pods, namespace)),
            "services" => plan::used(tree, resource, trees(&self.services, namespace)),
            "persistentvolumeclaims" => plan::used(tree, resource, trees(&self.claims, namespace)),
            "resourceclaims.resource.k8s.io" => {
                // Few clusters limit devices: their claims are cached only where one does.
                if let Count::NotServed { again } = self.counts.count(resource, namespace).await? {
                    return Ok(Used::NotServed(again));
                }
                let claims = self.informers.of::<ResourceClaim>();
                claims.synced().await;
                plan::used(tree, resource, trees(&claims, namespace))
            }
            _ if plan::is_scoped(quota) => Amounts::new(),
            // From the cache that shows this quota itself: another one may not have it yet.
            "resourcequotas" => plan::number(resource, self.quotas.list_namespace(namespace).len()),
            _ => match self.counts.count(resource, namespace).await? {
                Count::Objects(objects) => plan::number(resource, objects),
                Count::NotServed { again } => return Ok(Used::NotServed(again)),
            },
        };
        Ok(Used::Amounts(amounts))
    }
}

fn trees<K: SharedKind + Serialize>(cache: &Informer<K>, namespace: &str) -> impl Iterator<Item = Value> + use<K> {
    cache.list_namespace(namespace).into_iter().filter_map(|object| serde_json::to_value(&*object).ok())
}
