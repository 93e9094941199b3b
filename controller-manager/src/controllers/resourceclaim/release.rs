//! Lets one claim go: drops consumers that are gone, deallocates it with the last of them, and
//! deletes it if the pod that it was made for will not run.

use super::plan;
use crate::scaffold::context::namespaced;
use crate::scaffold::pod_control::same;
use crate::scaffold::{At, Controller, Next, ReconcileError, Writes, is_not_found};
use client::{Informer, ObjectKey};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceClaimConsumerReference};
use kube::Api;
use kube::api::PostParams;

pub(super) struct Claims {
    pub(super) client: kube::Client,
    pub(super) pods: Informer<Pod>,
    pub(super) claims: Informer<ResourceClaim>,
    pub(super) writes: Writes,
}

impl Controller for Claims {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(claim) = self.claims.get(&key.namespace, &key.name) else { return Ok(Next::OnChange) };
        let remaining = self.remaining(&claim).await?;
        let is_free = remaining.is_empty();
        let api = namespaced::<ResourceClaim>(&self.client, &key.namespace);
        let Some(claim) = self.write(&api, key, &claim, &remaining).await? else { return Ok(Next::OnChange) };
        if is_free && self.is_useless(&claim) {
            match api.delete(&key.name, &same(&claim)).await {
                Err(error) if !is_not_found(&error) => return Err(error).at(|| format!("delete unused claim {key}")),
                _ => self.writes.deleted(key, &self.claims, &claim),
            }
        }
        Ok(Next::OnChange)
    }
}

impl Claims {
    /// The consumers that may still use the claim.
    async fn remaining(&self, claim: &ResourceClaim) -> Result<Vec<ResourceClaimConsumerReference>, ReconcileError> {
        let namespace = claim.metadata.namespace.as_deref().unwrap_or_default();
        let mut remaining = Vec::new();
        for consumer in plan::reserved(claim) {
            if !plan::is_pod(consumer) || self.consumes(namespace, consumer).await? {
                remaining.push(consumer.clone());
            }
        }
        Ok(remaining)
    }

    /// A pod that the cache does not have may be new: then the apiserver knows.
    async fn consumes(
        &self,
        namespace: &str,
        consumer: &ResourceClaimConsumerReference,
    ) -> Result<bool, ReconcileError> {
        if let Some(pod) = self.pods.get(namespace, &consumer.name) {
            return Ok(plan::still_consumes(&pod, consumer));
        }
        let pod = namespaced::<Pod>(&self.client, namespace).get_opt(&consumer.name).await;
        let pod = pod.at(|| format!("read pod {namespace}/{}", consumer.name))?;
        Ok(pod.is_some_and(|pod| pod.metadata.uid.as_ref() == Some(&consumer.uid)))
    }

    /// Writes the status and then the finalizer; gives the claim as it is afterwards, `None` if it
    /// is gone.
    async fn write(
        &self,
        api: &Api<ResourceClaim>,
        key: &ObjectKey,
        claim: &ResourceClaim,
        remaining: &[ResourceClaimConsumerReference],
    ) -> Result<Option<ResourceClaim>, ReconcileError> {
        let mut claim = claim.clone();
        let released = plan::released(&claim, remaining);
        let was_released = released.is_some();
        if let Some(after) = released {
            match api.replace_status(&key.name, &PostParams::default(), &after).await {
                Err(error) if is_not_found(&error) => return Ok(None),
                written => claim = written.at(|| format!("release claim {key}"))?,
            }
            self.writes.wrote(key, &self.claims, &claim);
        }
        if let Some(after) = plan::unprotected(&claim, was_released) {
            match api.replace(&key.name, &PostParams::default(), &after).await {
                Err(error) if is_not_found(&error) => return Ok(None),
                written => claim = written.at(|| format!("remove the finalizer of claim {key}"))?,
            }
            match claim.metadata.deletion_timestamp {
                // The last finalizer of a claim that was to be deleted: it is gone now.
                Some(_) => return Ok(None),
                None => self.writes.wrote(key, &self.claims, &claim),
            }
        }
        Ok(Some(claim))
    }

    /// Whether it was made for a pod that will not run. Of a pod that is not known the garbage
    /// collector finds out.
    fn is_useless(&self, claim: &ResourceClaim) -> bool {
        let Some((name, uid)) = plan::maker(claim) else { return false };
        let namespace = claim.metadata.namespace.as_deref().unwrap_or_default();
        let pod = self.pods.get(namespace, name);
        claim.metadata.deletion_timestamp.is_none()
            && pod.is_some_and(|pod| pod.metadata.uid.as_deref() != Some(uid) || plan::is_done(&pod))
    }
}
