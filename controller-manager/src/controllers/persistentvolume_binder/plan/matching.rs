//! Whether a volume fits a claim.

use super::phase_of_volume;
use crate::objects::claims::{class_of_claim, class_of_volume};
use crate::objects::selector::Selector;
use apimachinery::quantity::Quantity;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Whether the volume is this claim's, or reserved for one of its name.
pub(in super::super) fn is_bound_to(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let Some(reference) = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()) else { return false };
    let uid = reference.uid.as_ref().filter(|uid| !uid.is_empty());
    reference.name == claim.metadata.name
        && reference.namespace == claim.metadata.namespace
        && uid.is_none_or(|uid| Some(uid) == claim.metadata.uid.as_ref())
}

/// The volume for a claim: one that is reserved for it, else the smallest that fits, of those with
/// the fewest access modes. A claim whose binding waits for its consumer only gets a reserved one.
pub(super) fn best(
    claim: &PersistentVolumeClaim,
    selector: Option<&Selector>,
    volumes: &[Arc<PersistentVolume>],
    waits: bool,
) -> Option<Arc<PersistentVolume>> {
    let wanted = claim_modes(claim);
    let sets: BTreeSet<(usize, BTreeSet<&str>)> = volumes
        .iter()
        .map(|volume| volume_modes(volume))
        .filter(|modes| wanted.is_subset(modes))
        .map(|modes| (modes.len(), modes))
        .collect();
    sets.iter().find_map(|(_, modes)| {
        let with_these = volumes.iter().filter(|volume| volume_modes(volume) == *modes);
        smallest(claim, selector, with_these, waits)
    })
}

fn smallest<'a>(
    claim: &PersistentVolumeClaim,
    selector: Option<&Selector>,
    volumes: impl Iterator<Item = &'a Arc<PersistentVolume>>,
    waits: bool,
) -> Option<Arc<PersistentVolume>> {
    let mut best: Option<(Quantity, &Arc<PersistentVolume>)> = None;
    for volume in volumes.filter(|volume| could_hold(claim, volume)) {
        if is_bound_to(volume, claim) {
            return Some(Arc::clone(volume));
        }
        let is_free = phase_of_volume(volume) == "Available"
            && selector.is_none_or(|selector| selector.matches(volume.metadata.labels.as_ref()))
            && class_of_volume(volume) == class_of_claim(claim);
        let name = &volume.metadata.name;
        let size = capacity(volume);
        if !waits && is_free && best.is_none_or(|(least, held)| (size, name) < (least, &held.metadata.name)) {
            best = Some((size, volume));
        }
    }
    best.map(|(_, volume)| Arc::clone(volume))
}

/// Whether the volume is large enough, of the right kind, and not somebody else's.
fn could_hold(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> bool {
    let is_claimed = volume.spec.as_ref().is_some_and(|spec| spec.claim_ref.is_some());
    (!is_claimed || is_bound_to(volume, claim))
        && capacity(volume) >= request(claim)
        && is_same_mode(claim, volume)
        && attributes_of_claim(claim) == attributes_of_volume(volume)
        && volume.metadata.deletion_timestamp.is_none()
}

/// Why a volume that the claim names is not fit for it; in upstream's words.
pub(super) fn mismatch(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Option<String> {
    let name = volume.metadata.name.as_deref().unwrap_or_default();
    if volume.metadata.deletion_timestamp.is_some() {
        return Some(format!("the volume is marked for deletion {name:?}"));
    }
    let why = if capacity(volume) < request(claim) {
        "requested PV is too small"
    } else if class_of_volume(volume) != class_of_claim(claim) {
        "storageClassName does not match"
    } else if attributes_of_claim(claim) != attributes_of_volume(volume) {
        "volumeAttributesClassName does not match"
    } else if !is_same_mode(claim, volume) {
        "incompatible volumeMode"
    } else if !claim_modes(claim).is_subset(&volume_modes(volume)) {
        "incompatible accessMode"
    } else {
        return None;
    };
    Some(why.to_owned())
}

/// Whether both are file systems, or both devices.
pub(super) fn is_same_mode(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> bool {
    let of_claim = claim.spec.as_ref().and_then(|spec| spec.volume_mode.as_deref());
    let of_volume = volume.spec.as_ref().and_then(|spec| spec.volume_mode.as_deref());
    of_claim.unwrap_or("Filesystem") == of_volume.unwrap_or("Filesystem")
}

fn claim_modes(claim: &PersistentVolumeClaim) -> BTreeSet<&str> {
    claim.spec.iter().flat_map(|spec| spec.access_modes.iter().flatten()).map(String::as_str).collect()
}

fn volume_modes(volume: &PersistentVolume) -> BTreeSet<&str> {
    volume.spec.iter().flat_map(|spec| spec.access_modes.iter().flatten()).map(String::as_str).collect()
}

fn request(claim: &PersistentVolumeClaim) -> Quantity {
    let resources = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let storage = resources.and_then(|resources| resources.requests.as_ref()?.get("storage"));
    storage.and_then(|storage| storage.0.parse().ok()).unwrap_or(Quantity::ZERO)
}

fn capacity(volume: &PersistentVolume) -> Quantity {
    let storage = volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref()?.get("storage"));
    storage.and_then(|storage| storage.0.parse().ok()).unwrap_or(Quantity::ZERO)
}

fn attributes_of_claim(claim: &PersistentVolumeClaim) -> &str {
    claim.spec.as_ref().and_then(|spec| spec.volume_attributes_class_name.as_deref()).unwrap_or_default()
}

fn attributes_of_volume(volume: &PersistentVolume) -> &str {
    volume.spec.as_ref().and_then(|spec| spec.volume_attributes_class_name.as_deref()).unwrap_or_default()
}
