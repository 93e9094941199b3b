//! Brings one volume forward.

use super::bind::Binder;
use super::plan::{self, VolumeStep};
use super::reclaim;
use crate::scaffold::context::namespaced;
use crate::scaffold::{At, Controller, Next, ReconcileError};
use client::{Informer, ObjectKey, Queue, events};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use std::sync::Arc;
use std::time::Duration;

pub(super) struct Volumes {
    pub(super) binder: Arc<Binder>,
    /// Where claims are brought forward.
    pub(super) claim_queue: Queue<ObjectKey>,
    pub(super) pods: Informer<Pod>,
    /// How often what could not be reclaimed is tried again.
    pub(super) resync: Duration,
}

impl Controller for Volumes {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(volume) = self.binder.volumes.get("", &key.name) else {
            self.binder.of_volumes.forget(key);
            return Ok(Next::OnChange);
        };
        let claim = self.claim(&volume).await?;
        match plan::volume_step(&volume, claim.as_ref()) {
            VolumeStep::Phase(phase) => drop(self.binder.set_phase(&volume, phase, "").await?),
            VolumeStep::Claim => plan::claimant(&volume).into_iter().for_each(|claim| self.claim_queue.add(claim)),
            VolumeStep::WrongMode => self.report_mode(&volume, claim.as_ref()),
            VolumeStep::Unbind => self.binder.unbind(&volume).await?,
            VolumeStep::Reclaim => {
                let released = match plan::is_unreleased(&volume) {
                    true => self.binder.set_phase(&volume, "Released", "").await?,
                    false => (*volume).clone(),
                };
                return match reclaim::reclaim(&self.binder, &self.pods, &released).await? {
                    reclaim::Done::Yes => Ok(Next::OnChange),
                    reclaim::Done::NotYet => Ok(Next::After(self.resync)),
                };
            }
        }
        Ok(Next::OnChange)
    }
}

impl Volumes {
    /// The claim that the volume is for. Before a volume is taken from a claim that the cache does
    /// not have, or has as another of its name, the apiserver is asked.
    async fn claim(&self, volume: &PersistentVolume) -> Result<Option<PersistentVolumeClaim>, ReconcileError> {
        let Some(key) = plan::claimant(volume) else { return Ok(None) };
        let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
        let uid = reference.and_then(|reference| reference.uid.clone()).filter(|uid| !uid.is_empty());
        let cached = self.binder.claims.get(&key.namespace, &key.name);
        match cached {
            Some(claim) if uid.is_none() || claim.metadata.uid == uid => Ok(Some((*claim).clone())),
            None if uid.is_none() || !plan::is_unreleased(volume) => Ok(None),
            _ => {
                let api = namespaced::<PersistentVolumeClaim>(&self.binder.client, &key.namespace);
                api.get_opt(&key.name).await.at(|| format!("read claim {key}"))
            }
        }
    }

    fn report_mode(&self, volume: &PersistentVolume, claim: Option<&PersistentVolumeClaim>) {
        let Some(claim) = claim else { return };
        let name =
            |meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta| meta.name.clone().unwrap_or_default();
        let message = format!(
            "Cannot bind PersistentVolume to requested PersistentVolumeClaim {:?} due to incompatible volumeMode.",
            name(&claim.metadata)
        );
        self.binder.recorder.warning(&events::reference(volume), "VolumeMismatch", message);
        let message = format!(
            "Cannot bind PersistentVolume {:?} to requested PersistentVolumeClaim due to incompatible volumeMode.",
            name(&volume.metadata)
        );
        self.binder.recorder.warning(&events::reference(claim), "VolumeMismatch", message);
    }
}
