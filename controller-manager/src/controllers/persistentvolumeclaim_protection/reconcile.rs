//! Adds the finalizer to a claim, or removes it once the claim is not used.

use super::plan::{self, FINALIZER};
use crate::objects::claims::{self, Protection};
use crate::scaffold::context::namespaced;
use crate::scaffold::informers::trims::BY_CLAIM;
use crate::scaffold::patch::{self, Guard, Part};
use crate::scaffold::{At, Controller, Next, ReconcileError, is_not_found};
use client::{Informer, ObjectKey};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::ListParams;

pub(super) struct Claims {
    pub(super) client: kube::Client,
    pub(super) claims: Informer<PersistentVolumeClaim>,
    pub(super) pods: Informer<Pod>,
}

impl Controller for Claims {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(claim) = self.claims.get(&key.namespace, &key.name) else { return Ok(Next::OnChange) };
        let mut after = (*claim).clone();
        match claims::protection(&claim.metadata, FINALIZER) {
            Protection::Fine => return Ok(Next::OnChange),
            Protection::Missing => claims::with_finalizer(&mut after.metadata, FINALIZER),
            Protection::Held if self.is_used(key, &claim).await? => return Ok(Next::OnChange),
            Protection::Held => claims::without_finalizer(&mut after.metadata, FINALIZER),
        }
        let api = namespaced::<PersistentVolumeClaim>(&self.client, &key.namespace);
        match patch::write(&api, Part::Object, Guard::Version, &*claim, &after).await {
            Err(error) if is_not_found(&error) => Ok(Next::OnChange),
            written => written.map(|_| Next::OnChange).at(|| format!("write the finalizer of claim {key}")),
        }
    }
}

impl Claims {
    /// Asks the cache, and where it says no, the apiserver: the cache may not have the pod yet.
    async fn is_used(&self, key: &ObjectKey, claim: &PersistentVolumeClaim) -> Result<bool, ReconcileError> {
        let cached = self.pods.by_index(BY_CLAIM, &key.to_string());
        if cached.iter().any(|pod| plan::uses(pod, claim)) {
            return Ok(true);
        }
        let api = namespaced::<Pod>(&self.client, &key.namespace);
        let live = api.list(&ListParams::default()).await.at(|| format!("list the pods of {}", key.namespace))?;
        Ok(live.items.iter().any(|pod| plan::uses(pod, claim)))
    }
}
