//! Writes a volume's finalizer.

use super::plan;
use crate::scaffold::{At, Controller, Next, ReconcileError, is_not_found};
use client::{Informer, ObjectKey};
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::Api;
use kube::api::PostParams;

pub(super) struct Volumes {
    pub(super) client: kube::Client,
    pub(super) volumes: Informer<PersistentVolume>,
}

impl Controller for Volumes {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let planned = self.volumes.get("", &key.name).and_then(|volume| plan::plan(&volume));
        let Some(after) = planned else { return Ok(Next::OnChange) };
        let api = Api::<PersistentVolume>::all(self.client.clone());
        match api.replace(&key.name, &PostParams::default(), &after).await {
            Err(error) if is_not_found(&error) => Ok(Next::OnChange),
            written => written.map(|_| Next::OnChange).at(|| format!("write the finalizer of volume {key}")),
        }
    }
}
