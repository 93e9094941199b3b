//! Writes a class's finalizer.

use super::plan;
use crate::scaffold::{At, Controller, Next, ReconcileError, is_not_found};
use client::{Informer, ObjectKey};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::VolumeAttributesClass;
use kube::Api;
use kube::api::PostParams;

pub(super) struct Classes {
    pub(super) client: kube::Client,
    pub(super) classes: Informer<VolumeAttributesClass>,
    pub(super) claims: Informer<PersistentVolumeClaim>,
    pub(super) volumes: Informer<PersistentVolume>,
}

impl Controller for Classes {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(class) = self.classes.get("", &key.name) else { return Ok(Next::OnChange) };
        let Some(after) = plan::plan(&class, || self.is_used(&key.name)) else { return Ok(Next::OnChange) };
        let api = Api::<VolumeAttributesClass>::all(self.client.clone());
        match api.replace(&key.name, &PostParams::default(), &after).await {
            Err(error) if is_not_found(&error) => Ok(Next::OnChange),
            written => written.map(|_| Next::OnChange).at(|| format!("write the finalizer of class {key}")),
        }
    }
}

impl Classes {
    fn is_used(&self, class: &str) -> bool {
        let has = |names: Vec<String>| names.iter().any(|name| name == class);
        self.volumes.list().iter().any(|volume| has(plan::of_volume(volume)))
            || self.claims.list().iter().any(|claim| has(plan::of_claim(claim)))
    }
}
