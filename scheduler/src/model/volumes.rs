//! What a pod's volumes mean for where it can go: claims, and disks that it names itself.
//!
//! Upstream: `pkg/scheduler/framework/plugins/{volumerestrictions,nodevolumelimits}`,
//! `staging/src/k8s.io/csi-translation-lib`.

use k8s_openapi::api::core::v1 as core;
use std::sync::Arc;

/// Namespace and name of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClaimKey {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl std::fmt::Display for ClaimKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Who made a pod's claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Somebody; pods may share it.
    Named,
    /// The controller of ephemeral volumes, for this pod alone, which has to own it.
    Ephemeral,
}

/// A volume of a pod, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodVolume {
    /// Of a claim.
    Claim {
        /// Which.
        key: ClaimKey,
        /// Who made it.
        origin: Origin,
    },
    /// A disk that the pod names itself.
    Disk(Disk),
}

/// A disk by the plugins that were once part of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disk {
    /// `gcePersistentDisk`.
    Gce {
        /// Its name.
        name: String,
        /// Whether it is only read.
        is_read_only: bool,
    },
    /// `awsElasticBlockStore`.
    Ebs {
        /// Its ID.
        id: String,
    },
    /// `iscsi`.
    Iscsi {
        /// Its qualified name.
        iqn: String,
        /// Whether it is only read.
        is_read_only: bool,
    },
    /// `rbd`.
    Rbd {
        /// The cluster's monitors.
        monitors: Vec<String>,
        /// The pool.
        pool: String,
        /// The image.
        image: String,
        /// Whether it is only read.
        is_read_only: bool,
    },
    /// `azureDisk`.
    Azure {
        /// Its address.
        uri: String,
    },
    /// `cinder`.
    Cinder {
        /// Its ID.
        id: String,
    },
    /// `portworxVolume`.
    Portworx {
        /// Its ID.
        id: String,
    },
}

/// A plugin of the past and the CSI driver that took over from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The old name.
    pub plugin: &'static str,
    /// The driver.
    pub driver: &'static str,
}

/// All that nodes may have migrated.
pub const MIGRATIONS: [Migration; 5] = [EBS, GCE, AZURE, CINDER, PORTWORX];

const EBS: Migration = Migration { plugin: "kubernetes.io/aws-ebs", driver: "ebs.csi.aws.com" };
const GCE: Migration = Migration { plugin: "kubernetes.io/gce-pd", driver: "pd.csi.storage.gke.io" };
const AZURE: Migration = Migration { plugin: "kubernetes.io/azure-disk", driver: "disk.csi.azure.com" };
const CINDER: Migration = Migration { plugin: "kubernetes.io/cinder", driver: "cinder.csi.openstack.org" };
const PORTWORX: Migration = Migration { plugin: "kubernetes.io/portworx-volume", driver: "pxd.portworx.com" };

impl PodVolume {
    /// The volumes of a pod that matter.
    pub fn all_of(pod: &core::Pod) -> Vec<Self> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        volumes.filter_map(|volume| Self::of(volume, namespace, name)).collect()
    }

    fn of(volume: &core::Volume, namespace: &str, pod: &str) -> Option<Self> {
        let key = |name: &str| ClaimKey { namespace: Arc::from(namespace), name: Arc::from(name) };
        if let Some(claim) = &volume.persistent_volume_claim {
            return Some(Self::Claim { key: key(&claim.claim_name), origin: Origin::Named });
        }
        if volume.ephemeral.is_some() {
            return Some(Self::Claim { key: key(&format!("{pod}-{}", volume.name)), origin: Origin::Ephemeral });
        }
        Disk::of(volume).map(Self::Disk)
    }

    /// Whether [`PodVolume::all_of`] reads it.
    pub fn matters(volume: &core::Volume) -> bool {
        Self::of(volume, "", "").is_some()
    }

    /// Its claim, if it has one.
    pub fn claim(&self) -> Option<&ClaimKey> {
        match self {
            Self::Claim { key, .. } => Some(key),
            Self::Disk(_) => None,
        }
    }

    /// Its claim, if others may share it.
    pub fn named_claim(&self) -> Option<&ClaimKey> {
        match self {
            Self::Claim { key, origin: Origin::Named } => Some(key),
            Self::Claim { origin: Origin::Ephemeral, .. } | Self::Disk(_) => None,
        }
    }
}

impl Disk {
    fn of(volume: &core::Volume) -> Option<Self> {
        if let Some(disk) = &volume.gce_persistent_disk {
            return Some(Self::Gce { name: disk.pd_name.clone(), is_read_only: disk.read_only.unwrap_or(false) });
        }
        if let Some(disk) = &volume.aws_elastic_block_store {
            return Some(Self::Ebs { id: disk.volume_id.clone() });
        }
        if let Some(disk) = &volume.iscsi {
            return Some(Self::Iscsi { iqn: disk.iqn.clone(), is_read_only: disk.read_only.unwrap_or(false) });
        }
        if let Some(disk) = &volume.rbd {
            return Some(Self::Rbd {
                monitors: disk.monitors.clone(),
                pool: disk.pool.clone().unwrap_or_default(),
                image: disk.image.clone(),
                is_read_only: disk.read_only.unwrap_or(false),
            });
        }
        if let Some(disk) = &volume.azure_disk {
            return Some(Self::Azure { uri: disk.disk_uri.clone() });
        }
        if let Some(disk) = &volume.cinder {
            return Some(Self::Cinder { id: disk.volume_id.clone() });
        }
        volume.portworx_volume.as_ref().map(|disk| Self::Portworx { id: disk.volume_id.clone() })
    }

    /// Of a persistent volume.
    pub fn of_persistent(spec: &core::PersistentVolumeSpec) -> Option<Self> {
        if let Some(disk) = &spec.gce_persistent_disk {
            return Some(Self::Gce { name: disk.pd_name.clone(), is_read_only: disk.read_only.unwrap_or(false) });
        }
        if let Some(disk) = &spec.aws_elastic_block_store {
            return Some(Self::Ebs { id: disk.volume_id.clone() });
        }
        if let Some(disk) = &spec.azure_disk {
            return Some(Self::Azure { uri: disk.disk_uri.clone() });
        }
        if let Some(disk) = &spec.cinder {
            return Some(Self::Cinder { id: disk.volume_id.clone() });
        }
        spec.portworx_volume.as_ref().map(|disk| Self::Portworx { id: disk.volume_id.clone() })
    }

    /// Whether pods that have these two cannot be on one node.
    pub fn collides(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Gce { name, is_read_only }, Self::Gce { name: other, is_read_only: both }) => {
                name == other && !(*is_read_only && *both)
            }
            (Self::Ebs { id }, Self::Ebs { id: other }) => id == other,
            (Self::Iscsi { iqn, is_read_only }, Self::Iscsi { iqn: other, is_read_only: both }) => {
                iqn == other && !(*is_read_only && *both)
            }
            (
                Self::Rbd { monitors, pool, image, is_read_only },
                Self::Rbd { monitors: m, pool: p, image: i, is_read_only: both },
            ) => {
                let share = monitors.iter().any(|monitor| m.contains(monitor));
                share && pool == p && image == i && !(*is_read_only && *both)
            }
            _ => false,
        }
    }

    /// Whether it can collide at all.
    pub fn is_exclusive(&self) -> bool {
        matches!(self, Self::Gce { .. } | Self::Ebs { .. } | Self::Iscsi { .. } | Self::Rbd { .. })
    }

    /// The driver that took over from its plugin, and what it calls the disk: unique, and no more
    /// than that, since it is only counted.
    pub fn migrated(&self) -> Option<(Migration, &str)> {
        match self {
            Self::Gce { name, .. } => Some((GCE, name)),
            Self::Ebs { id } => Some((EBS, id)),
            Self::Azure { uri } => Some((AZURE, uri)),
            Self::Cinder { id } => Some((CINDER, id)),
            Self::Portworx { id } => Some((PORTWORX, id)),
            Self::Iscsi { .. } | Self::Rbd { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn disk(volume: Value) -> Disk {
        match PodVolume::of(&serde_json::from_value(volume).unwrap(), "n", "p") {
            Some(PodVolume::Disk(disk)) => disk,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn disks_collide_as_their_kind_says() {
        let gce = |name: &str, ro: bool| json!({"name": "v", "gcePersistentDisk": {"pdName": name, "readOnly": ro}});
        let ebs = |id: &str| json!({"name": "v", "awsElasticBlockStore": {"volumeID": id, "readOnly": true}});
        let iscsi = |iqn: &str, ro: bool| json!({"name": "v", "iscsi": {"targetPortal": "t", "lun": 0, "iqn": iqn, "readOnly": ro}});
        let rbd = |monitor: &str, ro: bool| json!({"name": "v", "rbd": {"monitors": ["m", monitor], "pool": "p", "image": "i", "readOnly": ro}});
        let other = json!({"name": "v", "rbd": {"monitors": ["x"], "pool": "p", "image": "i"}});
        let table = [
            (gce("a", false), gce("a", true), true),
            (gce("a", true), gce("a", true), false),
            (gce("a", false), gce("b", false), false),
            (ebs("a"), ebs("a"), true),
            (ebs("a"), gce("a", false), false),
            (iscsi("a", false), iscsi("a", true), true),
            (iscsi("a", true), iscsi("a", true), false),
            (rbd("1", false), rbd("2", true), true),
            (rbd("1", true), rbd("1", true), false),
            (rbd("1", false), other, false),
        ];
        for (a, b, expected) in table {
            assert_eq!(disk(a.clone()).collides(&disk(b.clone())), expected, "{a} {b}");
        }
    }

    #[test]
    fn an_ephemeral_volume_is_a_claim_named_after_the_pod() {
        let pod = json!({"metadata": {"namespace": "n", "name": "p"}, "spec": {"containers": [], "volumes": [
            {"name": "scratch", "ephemeral": {}}, {"name": "data", "persistentVolumeClaim": {"claimName": "c"}},
            {"name": "token", "emptyDir": {}}]}});
        let volumes = PodVolume::all_of(&serde_json::from_value(pod).unwrap());
        let claims: Vec<_> = volumes.iter().filter_map(PodVolume::claim).map(ToString::to_string).collect();
        assert_eq!(claims, ["n/p-scratch", "n/c"]);
        assert_eq!(volumes.iter().filter_map(PodVolume::named_claim).count(), 1);
    }
}
