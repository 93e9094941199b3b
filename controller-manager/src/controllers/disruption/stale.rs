//! Takes back the announcement of a disruption that did not come in two minutes.

use super::plan;
use crate::scaffold::context::namespaced;
use crate::scaffold::{At, Controller, Next, ReconcileError, is_not_found, patch};
use client::{Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

pub(super) struct Pods {
    pub(super) client: kube::Client,
    pub(super) pods: Informer<Pod>,
}

impl Controller for Pods {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(pod) = self.pods.get(&key.namespace, &key.name) else { return Ok(Next::OnChange) };
        let Some(since) = plan::announced(&pod) else { return Ok(Next::OnChange) };
        let now = Timestamp::now();
        let left = plan::TIMEOUT - now.duration_since(since);
        if left.is_positive() {
            return Ok(Next::After(left.try_into().unwrap_or_default()));
        }
        let api = namespaced::<Pod>(&self.client, &key.namespace);
        match patch::write_status(&api, &pod, &plan::retracted(&pod, now)).await {
            Err(error) if is_not_found(&error) => Ok(Next::OnChange),
            written => written.map(|_| Next::OnChange).at(|| format!("retract the disruption of pod {key}")),
        }
    }
}
