//! What becomes of a class's finalizer.

use crate::objects::claims::{self, Protection};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::VolumeAttributesClass;

/// Held until nothing has the class.
const FINALIZER: &str = "kubernetes.io/vac-protection";

/// The classes that a claim has, gets or wants.
pub(super) fn of_claim(claim: &PersistentVolumeClaim) -> Vec<String> {
    let status = claim.status.as_ref();
    let names = [
        claim.spec.as_ref().and_then(|spec| spec.volume_attributes_class_name.clone()),
        status.and_then(|status| status.current_volume_attributes_class_name.clone()),
        status.and_then(|status| status.modify_volume_status.as_ref()?.target_volume_attributes_class_name.clone()),
    ];
    names.into_iter().flatten().filter(|name| !name.is_empty()).collect()
}

/// The class of a volume.
pub(super) fn of_volume(volume: &PersistentVolume) -> Vec<String> {
    let name = volume.spec.as_ref().and_then(|spec| spec.volume_attributes_class_name.clone());
    name.into_iter().filter(|name| !name.is_empty()).collect()
}

/// The class as it should be; `None` if it is. `is_used` is asked only where it matters.
pub(super) fn plan(class: &VolumeAttributesClass, is_used: impl FnOnce() -> bool) -> Option<VolumeAttributesClass> {
    let mut after = class.clone();
    match claims::protection(&class.metadata, FINALIZER) {
        Protection::Missing => claims::with_finalizer(&mut after.metadata, FINALIZER),
        Protection::Held if !is_used() => claims::without_finalizer(&mut after.metadata, FINALIZER),
        Protection::Held | Protection::Fine => return None,
    }
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_class_in_use_stays() {
        let table = [
            (false, false, true, Some(1)),
            (false, true, false, None),
            (true, true, true, None),
            (true, true, false, Some(0)),
            (true, false, false, None),
        ];
        for (deleted, protected, used, finalizers) in table {
            let class: VolumeAttributesClass = serde_json::from_value(json!({
                "metadata": {"name": "c", "deletionTimestamp": deleted.then_some("2026-01-01T00:00:00Z"),
                    "finalizers": if protected { vec![FINALIZER] } else { vec![] }},
                "driverName": "d"
            }))
            .unwrap();
            let after = plan(&class, || used).map(|after| after.metadata.finalizers.unwrap().len());
            assert_eq!(after, finalizers, "{deleted} {protected} {used}");
        }
    }

    #[test]
    fn a_claim_has_what_it_wants_and_what_it_had() {
        let claim: PersistentVolumeClaim = serde_json::from_value(json!({
            "spec": {"volumeAttributesClassName": "new"},
            "status": {"currentVolumeAttributesClassName": "old",
                "modifyVolumeStatus": {"status": "InProgress", "targetVolumeAttributesClassName": "next"}}
        }))
        .unwrap();
        assert_eq!(of_claim(&claim), ["new", "old", "next"]);
        assert!(of_claim(&PersistentVolumeClaim::default()).is_empty());
        let volume = |name: &str| serde_json::from_value(json!({"spec": {"volumeAttributesClassName": name}})).unwrap();
        assert_eq!(of_volume(&volume("c")), ["c"]);
        assert!(of_volume(&volume("")).is_empty());
    }
}
