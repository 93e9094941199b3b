//! What to do about a volume.

use super::matching::is_same_mode;
use super::{PROVISIONED_BY, has, phase_of_volume};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

/// What to do about a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum VolumeStep {
    /// It is in this phase.
    Phase(&'static str),
    /// Its claim is not bound to it yet: that is the claim's business.
    Claim,
    /// Its claim cannot be bound to it: one is a file system, the other a device.
    WrongMode,
    /// Its claim is gone, or has another volume: do with it what its policy says.
    Reclaim,
    /// Its claim has another volume: it is free again.
    Unbind,
}

/// Decides about a volume, given its claim; `None` if that is gone.
pub(in super::super) fn volume_step(volume: &PersistentVolume, claim: Option<&PersistentVolumeClaim>) -> VolumeStep {
    let spec = volume.spec.as_ref();
    let reference = spec.and_then(|spec| spec.claim_ref.as_ref());
    let uid = reference.and_then(|reference| reference.uid.as_deref()).filter(|uid| !uid.is_empty());
    if uid.is_none() {
        return VolumeStep::Phase("Available");
    }
    let Some(claim) = claim.filter(|claim| claim.metadata.uid.as_deref() == uid) else { return VolumeStep::Reclaim };
    let named = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).filter(|name| !name.is_empty());
    match named {
        None if !is_same_mode(claim, volume) => VolumeStep::WrongMode,
        None => VolumeStep::Claim,
        Some(name) if volume.metadata.name.as_deref() == Some(name) => VolumeStep::Phase("Bound"),
        Some(_) => {
            let policy = spec.and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
            match has(&volume.metadata, PROVISIONED_BY) && policy == Some("Delete") {
                true => VolumeStep::Reclaim,
                false => VolumeStep::Unbind,
            }
        }
    }
}

/// Whether the volume is not marked as released yet. What failed stays failed, for all to see.
pub(in super::super) fn is_unreleased(volume: &PersistentVolume) -> bool {
    !matches!(phase_of_volume(volume), "Released" | "Failed")
}
