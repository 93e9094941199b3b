//! Which pod of its set a pod is, by its name.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Volume};

/// Label: the pod's own name.
pub(super) const NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
/// Label: the ordinal.
pub(super) const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// The name of the set that the pod's name speaks of, and the ordinal.
pub(super) fn parse(pod: &Pod) -> Option<(&str, i32)> {
    let (parent, ordinal) = pod.metadata.name.as_deref()?.rsplit_once('-')?;
    let is_number = !ordinal.is_empty() && ordinal.bytes().all(|byte| byte.is_ascii_digit());
    let ordinal = ordinal.parse().ok().filter(|_| is_number)?;
    Some((parent, ordinal))
}

/// The ordinal.
pub(super) fn ordinal(pod: &Pod) -> Option<i32> {
    parse(pod).map(|(_, ordinal)| ordinal)
}

/// The set's name.
pub(super) fn set_name(set: &StatefulSet) -> &str {
    set.metadata.name.as_deref().unwrap_or_default()
}

/// Whether the pod's name is one of the set's.
pub(in super::super) fn is_member(set: &StatefulSet, pod: &Pod) -> bool {
    parse(pod).is_some_and(|(parent, _)| parent == set_name(set))
}

/// The first ordinal, and the one after the last.
pub(super) fn range(set: &StatefulSet) -> std::ops::Range<i32> {
    let spec = set.spec.as_ref();
    let start = spec.and_then(|spec| spec.ordinals.as_ref()?.start).unwrap_or(0);
    let replicas = spec.and_then(|spec| spec.replicas).unwrap_or(1).max(0);
    start..start.saturating_add(replicas)
}

/// The name of the pod with this ordinal.
pub(super) fn pod_name(set: &StatefulSet, ordinal: i32) -> String {
    format!("{}-{ordinal}", set_name(set))
}

/// The name of the claim of a template for the pod with this ordinal.
pub(super) fn claim_name(set: &StatefulSet, template: &str, ordinal: i32) -> String {
    format!("{template}-{}-{ordinal}", set_name(set))
}

/// The names of the claim templates.
pub(super) fn claim_templates(set: &StatefulSet) -> impl Iterator<Item = &str> {
    let templates = set.spec.iter().flat_map(|spec| spec.volume_claim_templates.iter().flatten());
    templates.map(|claim| claim.metadata.name.as_deref().unwrap_or_default())
}

/// Whether the pod says who it is.
pub(super) fn has_identity(set: &StatefulSet, pod: &Pod) -> bool {
    let label = pod.metadata.labels.as_ref().and_then(|labels| labels.get(NAME_LABEL));
    // The form of the number counts too: `web-01` is not `web-1`.
    let is_canonical = parse(pod).is_some_and(|(_, ordinal)| pod.metadata.name == Some(pod_name(set, ordinal)));
    is_member(set, pod) && is_canonical && label == pod.metadata.name.as_ref()
}

/// Whether the pod mounts the claims that are its own.
pub(in super::super) fn has_storage(set: &StatefulSet, pod: &Pod) -> bool {
    let Some(ordinal) = ordinal(pod) else { return false };
    let volumes = || pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let claim = |volume: &Volume| volume.persistent_volume_claim.as_ref().map(|claim| claim.claim_name.clone());
    claim_templates(set).all(|template| {
        let volume = volumes().find(|volume| volume.name == template);
        volume.and_then(claim) == Some(claim_name(set, template, ordinal))
    })
}
