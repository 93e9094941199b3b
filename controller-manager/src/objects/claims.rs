//! Volumes and their claims, as several controllers look at them.
//!
//! Upstream: `component-helpers/storage/{ephemeral,volume}`, `pkg/controller/volume/common`.

use super::owner;
use client::ObjectKey;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The storage class of a claim or volume, of before there was a field for it.
const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// A claim that a volume of a pod stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimOfPod {
    /// The claim.
    pub key: ObjectKey,
    /// Whether it is made for the pod, and goes with it.
    pub ephemeral: bool,
}

/// The claims of a pod's volumes.
pub fn of_pod(pod: &Pod) -> Vec<ClaimOfPod> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes
        .filter_map(|volume| {
            let name = name(pod, volume)?;
            let namespace = pod.metadata.namespace.clone().unwrap_or_default();
            Some(ClaimOfPod { key: ObjectKey { namespace, name }, ephemeral: volume.ephemeral.is_some() })
        })
        .collect()
}

/// The name of the claim behind a volume of a pod; `None` if there is none.
pub fn name(pod: &Pod, volume: &Volume) -> Option<String> {
    if let Some(claim) = &volume.persistent_volume_claim {
        return Some(claim.claim_name.clone());
    }
    let pod = pod.metadata.name.as_deref().unwrap_or_default();
    volume.ephemeral.as_ref().map(|_| format!("{pod}-{}", volume.name))
}

/// Whether the claim was made for this very pod.
pub fn is_made_for(pod: &Pod, claim: &PersistentVolumeClaim) -> bool {
    pod.metadata.namespace == claim.metadata.namespace
        && owner::controller_of(&claim.metadata).is_some_and(|owner| Some(&owner.uid) == pod.metadata.uid.as_ref())
}

/// The claim's storage class; empty if it wants none.
pub fn class_of_claim(claim: &PersistentVolumeClaim) -> &str {
    let named = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    annotation(&claim.metadata, BETA_CLASS).or(named).unwrap_or_default()
}

/// Whether the claim says which class it wants, be it none.
pub fn says_class(claim: &PersistentVolumeClaim) -> bool {
    annotation(&claim.metadata, BETA_CLASS).is_some()
        || claim.spec.as_ref().is_some_and(|spec| spec.storage_class_name.is_some())
}

/// The volume's storage class; empty if it has none.
pub fn class_of_volume(volume: &PersistentVolume) -> &str {
    let named = volume.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    annotation(&volume.metadata, BETA_CLASS).or(named).unwrap_or_default()
}

/// An annotation's value.
pub fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

/// What a finalizer that protects an object while it is used should become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// It is there, and nothing is to be deleted.
    Fine,
    /// It lacks.
    Missing,
    /// The object waits to be deleted until it is not used any more.
    Held,
}

/// How an object stands with its protecting finalizer.
pub fn protection(meta: &ObjectMeta, finalizer: &str) -> Protection {
    let has = meta.finalizers.iter().flatten().any(|have| have == finalizer);
    match (meta.deletion_timestamp.is_some(), has) {
        (true, true) => Protection::Held,
        (false, false) => Protection::Missing,
        _ => Protection::Fine,
    }
}

/// The finalizers with this one.
pub fn with_finalizer(meta: &mut ObjectMeta, finalizer: &str) {
    meta.finalizers.get_or_insert_default().push(finalizer.to_owned());
}

/// The finalizers without this one.
pub fn without_finalizer(meta: &mut ObjectMeta, finalizer: &str) {
    if let Some(finalizers) = &mut meta.finalizers {
        finalizers.retain(|have| have != finalizer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_names_its_claims() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u"},
            "spec": {"containers": [], "volumes": [
                {"name": "a", "persistentVolumeClaim": {"claimName": "c"}},
                {"name": "b", "ephemeral": {}}, {"name": "d", "emptyDir": {}}]}
        }))
        .unwrap();
        let found: Vec<_> = of_pod(&pod).iter().map(|claim| (claim.key.to_string(), claim.ephemeral)).collect();
        assert_eq!(found, [("n/c".to_owned(), false), ("n/p-b".to_owned(), true)]);
        let claim = |uid: &str| -> PersistentVolumeClaim {
            serde_json::from_value(json!({"metadata": {"name": "p-b", "namespace": "n", "ownerReferences": [
                {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid, "controller": true}]}}))
            .unwrap()
        };
        assert!(is_made_for(&pod, &claim("u")) && !is_made_for(&pod, &claim("v")));
    }

    #[test]
    fn a_class_can_be_none_or_unsaid() {
        for (claim, class, says) in [
            (json!({"spec": {}}), "", false),
            (json!({"spec": {"storageClassName": ""}}), "", true),
            (json!({"spec": {"storageClassName": "a"}}), "a", true),
            (json!({"metadata": {"annotations": {BETA_CLASS: "b"}}, "spec": {"storageClassName": "a"}}), "b", true),
        ] {
            let claim: PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
            assert_eq!((class_of_claim(&claim), says_class(&claim)), (class, says));
        }
    }

    #[test]
    fn finalizers_protect() {
        let meta = |deleted: bool, finalizers: &[&str]| -> ObjectMeta {
            let at = deleted.then_some("2026-01-01T00:00:00Z");
            serde_json::from_value(json!({"deletionTimestamp": at, "finalizers": finalizers})).unwrap()
        };
        let table = [
            (meta(false, &["f"]), Protection::Fine),
            (meta(false, &["g"]), Protection::Missing),
            (meta(true, &["g", "f"]), Protection::Held),
            (meta(true, &["g"]), Protection::Fine),
        ];
        for (mut meta, expected) in table {
            assert_eq!(protection(&meta, "f"), expected, "{meta:?}");
            without_finalizer(&mut meta, "f");
            with_finalizer(&mut meta, "f");
            assert_eq!(meta.finalizers.unwrap().iter().filter(|have| *have == "f").count(), 1);
        }
    }
}
