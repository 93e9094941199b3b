//! Tells one claim who expands its volume.

use super::plan::{self, Expander};
use crate::scaffold::context::namespaced;
use crate::scaffold::{At, Controller, Next, ReconcileError, is_not_found};
use client::{Informer, ObjectKey, Recorder, events};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{Patch, PatchParams};
use serde_json::json;

pub(super) struct Volumes {
    pub(super) client: kube::Client,
    pub(super) recorder: Recorder,
    pub(super) claims: Informer<PersistentVolumeClaim>,
    pub(super) volumes: Informer<PersistentVolume>,
}

impl Controller for Volumes {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let is_bound = |claim: &PersistentVolumeClaim| {
            claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
        };
        let claim = self.claims.get(&key.namespace, &key.name).filter(|claim| is_bound(claim));
        let Some(claim) = claim else { return Ok(Next::OnChange) };
        let name = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or_default();
        let Some(volume) = self.volumes.get("", name) else {
            return Err(ReconcileError::Unfinished { left: format!("volume {name} of claim {key} is not there") });
        };
        let planned = plan::plan(&claim, &volume);
        let planned = planned.map_err(|why| ReconcileError::Unfinished { left: format!("{why} : {key}") })?;
        if let Some(expander) = planned {
            self.recorder.normal(&events::reference(&*claim), "ExternalExpanding", expander.message());
            self.hand_over(&claim, expander).await?;
        }
        Ok(Next::OnChange)
    }
}

impl Volumes {
    /// Names the resizer of a volume that a driver has taken over; it finds all others by itself.
    async fn hand_over(&self, claim: &PersistentVolumeClaim, expander: Expander) -> Result<(), ReconcileError> {
        let Expander::Migrated { driver, .. } = expander else { return Ok(()) };
        let Some(after) = plan::with_resizer(claim, driver) else { return Ok(()) };
        let key = ObjectKey::of(claim);
        let api = namespaced::<PersistentVolumeClaim>(&self.client, &key.namespace);
        // The role allows writes of the status only, which let annotations through.
        let patch = json!({"metadata": {"annotations": after.metadata.annotations, "uid": claim.metadata.uid}});
        match api.patch_status(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Err(error) if is_not_found(&error) => Ok(()),
            written => written.map(drop).at(|| format!("name the resizer of claim {key}")),
        }
    }
}
