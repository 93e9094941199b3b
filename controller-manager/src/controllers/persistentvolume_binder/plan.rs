//! Which volume a claim gets, and what a volume is to its claim.

mod claim;
mod matching;
mod volume;

pub(super) use claim::{ClaimStep, Facts, claim_step, provisioner};
pub(super) use matching::is_bound_to;
pub(super) use volume::{VolumeStep, is_unreleased, volume_step};

use client::ObjectKey;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The claim's binding is done; what it says then is to be trusted.
pub(super) const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// The binding was this controller's choice, not the user's.
pub(super) const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// Who made the volume.
pub(super) const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// The scheduler chose a node for the claim's first consumer.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// Who is asked to make a volume, and the same of old.
pub(super) const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
pub(super) const BETA_PROVISIONER: &str = "volume.beta.kubernetes.io/storage-provisioner";
/// The driver that has taken over from a plugin of Kubernetes' own.
pub(super) const MIGRATED_TO: &str = "pv.kubernetes.io/migrated-to";
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
const BETA_DEFAULT_CLASS: &str = "storageclass.beta.kubernetes.io/is-default-class";
/// The size a volume had before it grew under its claim.
const PRE_RESIZE: &str = "volume.alpha.kubernetes.io/pre-resize-capacity";

pub(super) fn has(meta: &ObjectMeta, annotation: &str) -> bool {
    meta.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(annotation))
}

pub(super) fn phase_of_claim(claim: &PersistentVolumeClaim) -> &str {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

pub(super) fn phase_of_volume(volume: &PersistentVolume) -> &str {
    volume.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Whether the claim waits for a volume.
pub(super) fn is_pending(claim: &PersistentVolumeClaim) -> bool {
    !has(&claim.metadata, BIND_COMPLETED) && claim.metadata.deletion_timestamp.is_none()
}

/// The claim that a volume is for.
pub(super) fn claimant(volume: &PersistentVolume) -> Option<ObjectKey> {
    let claim = volume.spec.as_ref()?.claim_ref.as_ref()?;
    Some(ObjectKey { namespace: claim.namespace.clone()?, name: claim.name.clone()? })
}

/// The volume bound to the claim; `None` if it is.
pub(super) fn bound_volume(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<PersistentVolume> {
    let mut after = volume.clone();
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    let is_complete = reference.is_some_and(|reference| {
        reference.name == claim.metadata.name
            && reference.namespace == claim.metadata.namespace
            && reference.uid == claim.metadata.uid
    });
    if !is_complete {
        after.spec.get_or_insert_default().claim_ref = Some(client::events::reference(claim));
    }
    if !is_bound_to(volume, claim) {
        annotate(&mut after.metadata, BOUND_BY_CONTROLLER, "yes");
    }
    (after != *volume).then_some(after)
}

/// The claim bound to the volume; `None` if it is.
pub(super) fn bound_claim(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Option<PersistentVolumeClaim> {
    let mut after = claim.clone();
    let spec = after.spec.get_or_insert_default();
    if spec.volume_name != volume.metadata.name {
        spec.volume_name.clone_from(&volume.metadata.name);
        annotate(&mut after.metadata, BOUND_BY_CONTROLLER, "yes");
    }
    annotate(&mut after.metadata, BIND_COMPLETED, "yes");
    (after != *claim).then_some(after)
}

/// The volume without its claim, as far as the binding was this controller's choice; a user's stays
/// as a reservation.
pub(super) fn unbound(volume: &PersistentVolume) -> PersistentVolume {
    let mut after = volume.clone();
    let Some(spec) = &mut after.spec else { return after };
    if has(&volume.metadata, BOUND_BY_CONTROLLER) {
        spec.claim_ref = None;
        if let Some(annotations) = &mut after.metadata.annotations {
            annotations.remove(BOUND_BY_CONTROLLER);
        }
        after.metadata.annotations = after.metadata.annotations.take().filter(|annotations| !annotations.is_empty());
    } else if let Some(reference) = &mut spec.claim_ref {
        reference.uid = None;
    }
    after
}

/// The claim's status in this phase, bound to this volume or to none.
pub(super) fn claim_status(
    claim: &PersistentVolumeClaim,
    phase: &str,
    volume: Option<&PersistentVolume>,
) -> PersistentVolumeClaimStatus {
    let before = claim.status.clone().unwrap_or_default();
    let mut after = before.clone();
    after.phase = Some(phase.to_owned());
    let Some(spec) = volume.and_then(|volume| volume.spec.as_ref()) else {
        after.access_modes = None;
        after.capacity = None;
        after.current_volume_attributes_class_name = None;
        return after;
    };
    after.access_modes.clone_from(&spec.access_modes);
    if before.phase.as_deref() != Some(phase) {
        // Later the two may differ: the file system may be smaller than its device.
        after.capacity.clone_from(&spec.capacity);
        let before_growth = volume.and_then(|v| v.metadata.annotations.as_ref()?.get(PRE_RESIZE));
        if let (Some(size), Some(capacity)) = (before_growth, &mut after.capacity) {
            let size = k8s_openapi::apimachinery::pkg::api::resource::Quantity(size.clone());
            capacity.insert("storage".to_owned(), size);
        }
    }
    if before.phase.as_deref() == Some("Pending") && phase == "Bound" {
        after.current_volume_attributes_class_name.clone_from(&spec.volume_attributes_class_name);
    }
    after
}

pub(super) fn annotate(meta: &mut ObjectMeta, key: &str, value: &str) {
    meta.annotations.get_or_insert_default().entry(key.to_owned()).or_insert_with(|| value.to_owned());
}

#[cfg(test)]
mod tests;
