//! The pods and the claims of a stateful set.

use super::identity::{self, INDEX_LABEL, NAME_LABEL, claim_name, pod_name};
use crate::objects::history::HASH_LABEL;
use crate::objects::{owner, template};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume,
};

/// The pod of an ordinal, of the template of a revision.
pub(super) fn pod(set: &StatefulSet, template: &PodTemplateSpec, revision: &str, ordinal: i32) -> Pod {
    let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
    let mut pod = template::pod(template, namespace, identity::set_name(set), owner::controller_ref(set));
    pod.metadata.name = Some(pod_name(set, ordinal));
    identify(set, &mut pod);
    pod.metadata.labels.get_or_insert_default().insert(HASH_LABEL.to_owned(), revision.to_owned());
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(pod_name(set, ordinal));
    let service = set.spec.as_ref().and_then(|spec| spec.service_name.clone());
    spec.subdomain = service.filter(|service| !service.is_empty());
    mount(set, &mut pod);
    pod
}

/// Says who the pod is.
pub(in super::super) fn identify(set: &StatefulSet, pod: &mut Pod) {
    let Some(ordinal) = identity::ordinal(pod) else { return };
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(NAME_LABEL.to_owned(), pod_name(set, ordinal));
    labels.insert(INDEX_LABEL.to_owned(), ordinal.to_string());
}

/// Mounts the pod's own claims, in the place of other volumes of their names.
pub(in super::super) fn mount(set: &StatefulSet, pod: &mut Pod) {
    let Some(ordinal) = identity::ordinal(pod) else { return };
    let volume = |template: &str| Volume {
        name: template.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim_name(set, template, ordinal),
            read_only: None,
        }),
        ..Volume::default()
    };
    let mut volumes: Vec<_> = identity::claim_templates(set).map(volume).collect();
    let others = pod.spec.get_or_insert_default().volumes.take().unwrap_or_default();
    let others = others.into_iter().filter(|other| !identity::claim_templates(set).any(|name| name == other.name));
    volumes.extend(others.collect::<Vec<_>>());
    pod.spec.get_or_insert_default().volumes = (!volumes.is_empty()).then_some(volumes);
}

/// The claims of the pod, as they should be when they are made.
pub(in super::super) fn claims(set: &StatefulSet, pod: &Pod) -> Vec<PersistentVolumeClaim> {
    let (Some(ordinal), Some(spec)) = (identity::ordinal(pod), &set.spec) else { return Vec::new() };
    let made = |template: &PersistentVolumeClaim| {
        let mut claim = template.clone();
        let name = template.metadata.name.as_deref().unwrap_or_default();
        claim.metadata.name = Some(claim_name(set, name, ordinal));
        claim.metadata.namespace = set.metadata.namespace.clone();
        let labels = claim.metadata.labels.get_or_insert_default();
        labels.extend(spec.selector.match_labels.clone().unwrap_or_default());
        claim.status = None;
        claim
    };
    spec.volume_claim_templates.iter().flatten().map(made).collect()
}
