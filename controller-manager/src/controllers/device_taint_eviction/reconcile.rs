//! Looks at one pod with devices: waits, or deletes it.

use super::plan;
use crate::objects::resources;
use crate::scaffold::informers::trims::BY_POOL;
use crate::scaffold::pod_control::{mark_and_delete, same};
use crate::scaffold::{Controller, Next, ReconcileError};
use client::{Informer, ObjectKey, Recorder, events};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceSlice};
use parking_lot::Mutex;
use std::collections::HashSet;

const REASON: &str = "DeviceTaintManagerEviction";

pub(super) struct DeviceTaintEviction {
    pub(super) client: kube::Client,
    pub(super) recorder: Recorder,
    pub(super) pods: Informer<Pod>,
    pub(super) claims: Informer<ResourceClaim>,
    pub(super) slices: Informer<ResourceSlice>,
    /// Pods that will have to leave.
    pub(super) waiting: Mutex<HashSet<ObjectKey>>,
}

impl Controller for DeviceTaintEviction {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(pod) = self.pods.get(&key.namespace, &key.name) else {
            self.waiting.lock().remove(key);
            return Ok(Next::OnChange);
        };
        let now = Timestamp::now();
        let claims: Vec<_> = resources::claims_of(&pod)
            .iter()
            .filter_map(|claim| self.claims.get(&claim.namespace, &claim.name))
            .collect();
        let Some(at) = plan::leaves_at(&pod, &claims, |pool| self.slices.by_index(BY_POOL, pool)) else {
            self.cancel(key, &pod);
            return Ok(Next::OnChange);
        };
        let left = at.duration_since(now);
        if left.is_positive() {
            self.waiting.lock().insert(key.clone());
            return Ok(Next::After(left.try_into().unwrap_or_default()));
        }
        self.evict(key, &pod, now).await?;
        Ok(Next::OnChange)
    }
}

impl DeviceTaintEviction {
    fn cancel(&self, key: &ObjectKey, pod: &Pod) {
        if self.waiting.lock().remove(key) && pod.metadata.deletion_timestamp.is_none() {
            self.recorder.normal(&events::reference(pod), REASON, "Cancelling deletion");
        }
    }

    async fn evict(&self, key: &ObjectKey, pod: &Pod, now: Timestamp) -> Result<(), ReconcileError> {
        self.recorder.normal(&events::reference(pod), REASON, "Marking for deletion");
        let mut marked = pod.clone();
        plan::WHY.mark(&mut marked, now);
        mark_and_delete(&self.client, pod, Some(&marked), &same(pod)).await?;
        self.waiting.lock().remove(key);
        Ok(())
    }
}
