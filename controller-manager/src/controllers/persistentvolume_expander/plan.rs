//! Whether a volume has to be expanded, and by whom.

use crate::objects::claims;
use apimachinery::quantity::Quantity;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec};

/// Kept on a volume from before its expansion until the node has done its part.
const PRE_RESIZE: &str = "volume.alpha.kubernetes.io/pre-resize-capacity";
/// Which resizer is to expand a claim's volume.
const RESIZER: &str = "volume.kubernetes.io/storage-resizer";

/// Who expands a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expander {
    /// Whoever it is, it knows.
    External,
    /// The driver that has taken over a kind of volume of old.
    Migrated {
        /// The plugin of old.
        plugin: &'static str,
        /// The driver.
        driver: &'static str,
    },
}

impl Expander {
    /// What is said of it, in upstream's words.
    pub(super) fn message(self) -> String {
        match self {
            Self::External => "waiting for an external controller to expand this PVC".to_owned(),
            Self::Migrated { plugin, .. } => {
                format!("CSI migration enabled for {plugin}; waiting for external resizer to expand the pvc")
            }
        }
    }
}

/// Whether the claim asks for more or has got more.
pub(super) fn grew(before: &PersistentVolumeClaim, after: &PersistentVolumeClaim) -> bool {
    requested(after) > requested(before) || capacity(after) > capacity(before)
}

/// Who expands the claim's volume; `None` if it is large enough. An error says that the volume is not the claim's.
pub(super) fn plan(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Result<Option<Expander>, String> {
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    let is_bound = reference.is_some_and(|reference| {
        reference.namespace == claim.metadata.namespace && reference.uid == claim.metadata.uid
    });
    if !is_bound {
        return Err("persistent Volume is not bound to PVC being updated".to_owned());
    }
    if requested(claim) <= capacity(claim) && claims::annotation(&volume.metadata, PRE_RESIZE).is_none() {
        return Ok(None);
    }
    Ok(Some(volume.spec.as_ref().map_or(Expander::External, expander)))
}

fn expander(spec: &PersistentVolumeSpec) -> Expander {
    let migrated = [
        (spec.aws_elastic_block_store.is_some(), "kubernetes.io/aws-ebs", "ebs.csi.aws.com"),
        (spec.gce_persistent_disk.is_some(), "kubernetes.io/gce-pd", "pd.csi.storage.gke.io"),
        (spec.cinder.is_some(), "kubernetes.io/cinder", "cinder.csi.openstack.org"),
        (spec.azure_disk.is_some(), "kubernetes.io/azure-disk", "disk.csi.azure.com"),
        (spec.azure_file.is_some(), "kubernetes.io/azure-file", "file.csi.azure.com"),
        (spec.vsphere_volume.is_some(), "kubernetes.io/vsphere-volume", "csi.vsphere.vmware.com"),
        (spec.portworx_volume.is_some(), "kubernetes.io/portworx-volume", "pxd.portworx.com"),
    ];
    let found = migrated.into_iter().find(|(is_it, ..)| *is_it);
    found.map_or(Expander::External, |(_, plugin, driver)| Expander::Migrated { plugin, driver })
}

/// The claim with the name of its resizer; `None` if it has it.
pub(super) fn with_resizer(claim: &PersistentVolumeClaim, driver: &str) -> Option<PersistentVolumeClaim> {
    if claims::annotation(&claim.metadata, RESIZER) == Some(driver) {
        return None;
    }
    let mut after = claim.clone();
    after.metadata.annotations.get_or_insert_default().insert(RESIZER.to_owned(), driver.to_owned());
    Some(after)
}

fn requested(claim: &PersistentVolumeClaim) -> Quantity {
    let resources = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let storage = resources.and_then(|resources| resources.requests.as_ref()?.get("storage"));
    storage.and_then(|storage| storage.0.parse().ok()).unwrap_or(Quantity::ZERO)
}

fn capacity(claim: &PersistentVolumeClaim) -> Quantity {
    let storage = claim.status.as_ref().and_then(|status| status.capacity.as_ref()?.get("storage"));
    storage.and_then(|storage| storage.0.parse().ok()).unwrap_or(Quantity::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn claim(requested: &str, capacity: &str) -> PersistentVolumeClaim {
        serde_json::from_value(json!({
            "metadata": {"namespace": "n", "name": "c", "uid": "u"},
            "spec": {"resources": {"requests": {"storage": requested}}, "volumeName": "v"},
            "status": {"phase": "Bound", "capacity": {"storage": capacity}}
        }))
        .unwrap()
    }

    fn volume(uid: &str, source: Value, annotations: Value) -> PersistentVolume {
        let mut spec = json!({"claimRef": {"namespace": "n", "name": "c", "uid": uid}});
        spec.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        serde_json::from_value(json!({"metadata": {"name": "v", "annotations": annotations}, "spec": spec})).unwrap()
    }

    #[test]
    fn who_expands() {
        let csi = json!({"csi": {"driver": "d", "volumeHandle": "h"}});
        let disk = json!({"gcePersistentDisk": {"pdName": "p"}});
        let migrated = Expander::Migrated { plugin: "kubernetes.io/gce-pd", driver: "pd.csi.storage.gke.io" };
        let table = [
            (claim("1Gi", "1Gi"), volume("u", csi.clone(), Value::Null), Ok(None)),
            (claim("2Gi", "1Gi"), volume("u", csi.clone(), Value::Null), Ok(Some(Expander::External))),
            (claim("2Gi", "1Gi"), volume("u", disk, Value::Null), Ok(Some(migrated))),
            (
                claim("1Gi", "1024Mi"),
                volume("u", csi.clone(), json!({PRE_RESIZE: "1Gi"})),
                Ok(Some(Expander::External)),
            ),
            (
                claim("2Gi", "1Gi"),
                volume("other", csi, Value::Null),
                Err("persistent Volume is not bound to PVC being updated".to_owned()),
            ),
        ];
        for (claim, volume, expected) in table {
            assert_eq!(plan(&claim, &volume), expected);
        }
    }

    #[test]
    fn only_growth_is_looked_at() {
        let table = [("1Gi", "1Gi", false), ("2Gi", "1Gi", true), ("512Mi", "1Gi", false), ("1Gi", "2Gi", true)];
        for (requested, capacity, expected) in table {
            assert_eq!(grew(&claim("1Gi", "1Gi"), &claim(requested, capacity)), expected, "{requested} {capacity}");
        }
    }

    #[test]
    fn the_resizer_is_named_once() {
        let named = with_resizer(&claim("1Gi", "1Gi"), "d").unwrap();
        assert_eq!(claims::annotation(&named.metadata, RESIZER), Some("d"));
        assert_eq!(with_resizer(&named, "d"), None);
    }
}
