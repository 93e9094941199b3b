//! Writing the two sides of a binding.

use super::plan;
use crate::scaffold::context::namespaced;
use crate::scaffold::patch::{self, Guard, Part};
use crate::scaffold::{At, ReconcileError, Writes};
use client::{Informer, ObjectKey, Recorder};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimStatus};
use kube::Api;
use kube::api::PostParams;

pub(super) struct Binder {
    pub(super) client: kube::Client,
    pub(super) claims: Informer<PersistentVolumeClaim>,
    pub(super) volumes: Informer<PersistentVolume>,
    pub(super) recorder: Recorder,
    /// What the queue of claims waits for.
    pub(super) of_claims: Writes,
    /// What the queue of volumes waits for.
    pub(super) of_volumes: Writes,
}

impl Binder {
    /// Binds both to each other: the volume first, so that no two claims get it.
    pub(super) async fn bind(
        &self,
        volume: &PersistentVolume,
        claim: &PersistentVolumeClaim,
    ) -> Result<(), ReconcileError> {
        let volume = match plan::bound_volume(volume, claim) {
            Some(bound) => self.write_volume(&bound).await?,
            None => volume.clone(),
        };
        let volume = self.set_phase(&volume, "Bound", "").await?;
        let claim = match plan::bound_claim(claim, &volume) {
            Some(bound) => self.write_claim(claim, &bound).await?,
            None => claim.clone(),
        };
        self.set_status(&claim, plan::claim_status(&claim, "Bound", Some(&volume))).await.map(drop)
    }

    /// Makes a volume free again.
    pub(super) async fn unbind(&self, volume: &PersistentVolume) -> Result<(), ReconcileError> {
        let volume = self.write_volume(&plan::unbound(volume)).await?;
        self.set_phase(&volume, "Available", "").await.map(drop)
    }

    /// Writes what is new in a claim's specification.
    pub(super) async fn write_claim(
        &self,
        before: &PersistentVolumeClaim,
        after: &PersistentVolumeClaim,
    ) -> Result<PersistentVolumeClaim, ReconcileError> {
        let key = ObjectKey::of(before);
        let api = namespaced::<PersistentVolumeClaim>(&self.client, &key.namespace);
        let written = patch::write(&api, Part::Object, Guard::Version, before, after).await;
        let written = written.at(|| format!("write claim {key}"))?;
        let Some(written) = written else { return Ok(before.clone()) };
        self.of_claims.wrote(&key, &self.claims, &written);
        Ok(written)
    }

    /// Writes a claim's status, if it is another; `true` if it was.
    pub(super) async fn set_status(
        &self,
        claim: &PersistentVolumeClaim,
        status: PersistentVolumeClaimStatus,
    ) -> Result<bool, ReconcileError> {
        if claim.status.as_ref() == Some(&status) {
            return Ok(false);
        }
        let key = ObjectKey::of(claim);
        let after = PersistentVolumeClaim { status: Some(status), ..claim.clone() };
        let api = namespaced::<PersistentVolumeClaim>(&self.client, &key.namespace);
        let written = patch::write_status(&api, claim, &after).await;
        let written = written.at(|| format!("write the status of claim {key}"))?;
        if let Some(written) = &written {
            self.of_claims.wrote(&key, &self.claims, written);
        }
        Ok(written.is_some())
    }

    /// Writes a volume's specification.
    pub(super) async fn write_volume(&self, volume: &PersistentVolume) -> Result<PersistentVolume, ReconcileError> {
        let key = ObjectKey::of(volume);
        let api = Api::<PersistentVolume>::all(self.client.clone());
        let written = api.replace(&key.name, &PostParams::default(), volume).await;
        let written = written.at(|| format!("write volume {key}"))?;
        self.of_volumes.wrote(&key, &self.volumes, &written);
        Ok(written)
    }

    /// Writes a volume's phase, if it is in another.
    pub(super) async fn set_phase(
        &self,
        volume: &PersistentVolume,
        phase: &str,
        message: &str,
    ) -> Result<PersistentVolume, ReconcileError> {
        if plan::phase_of_volume(volume) == phase {
            return Ok(volume.clone());
        }
        let key = ObjectKey::of(volume);
        let mut after = volume.clone();
        let status = after.status.get_or_insert_default();
        status.phase = Some(phase.to_owned());
        status.message = Some(message.to_owned()).filter(|message| !message.is_empty());
        let api = Api::<PersistentVolume>::all(self.client.clone());
        let written = api.replace_status(&key.name, &PostParams::default(), &after).await;
        let written = written.at(|| format!("write the phase of volume {key}"))?;
        self.of_volumes.wrote(&key, &self.volumes, &written);
        Ok(written)
    }

    /// As [`Self::set_phase`], with an event if it was in another.
    pub(super) async fn fail(
        &self,
        volume: &PersistentVolume,
        reason: &str,
        message: &str,
    ) -> Result<(), ReconcileError> {
        if plan::phase_of_volume(volume) == "Failed" {
            return Ok(());
        }
        self.set_phase(volume, "Failed", message).await?;
        self.recorder.warning(&client::events::reference(volume), reason, message);
        Ok(())
    }
}
