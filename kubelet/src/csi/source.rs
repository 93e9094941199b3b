//! What a CSI volume is, as values: from a persistent volume or from the pod itself.
//!
//! Upstream: `pkg/volume/csi/csi_util.go`, `csi_client.go`.

use super::names;
use crate::pod::PodExt;
use k8s_openapi::api::core::v1::{CSIVolumeSource, PersistentVolume, Pod, Volume};
use k8s_openapi::api::storage::v1::CSIDriver;
use proto::csi::volume_capability::access_mode::Mode;
use proto::csi::volume_capability::{AccessMode, AccessType, BlockVolume, MountVolume};
use proto::csi::{VolumeCapability, node_service_capability::rpc::Type as Capability};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Whether the volume outlives the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// It belongs to a claim.
    Persistent,
    /// It comes and goes with the pod.
    Ephemeral,
}

impl Lifecycle {
    /// The API's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Persistent => "Persistent",
            Self::Ephemeral => "Ephemeral",
        }
    }
}

/// A secret by namespace and name.
pub type SecretName = (String, String);

/// A volume of a driver.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The persistent volume's name, or that of the pod's volume.
    pub spec: String,
    pub driver: String,
    pub handle: String,
    pub lifecycle: Lifecycle,
    pub fs_type: String,
    /// A device, not files.
    pub block: bool,
    pub read_only: bool,
    pub access_modes: Vec<String>,
    pub attributes: BTreeMap<String, String>,
    pub mount_options: Vec<String>,
    pub stage_secret: Option<SecretName>,
    pub publish_secret: Option<SecretName>,
    pub expand_secret: Option<SecretName>,
}

impl Source {
    /// What it is to bring it to a pod, as metrics call it.
    pub fn operation(&self) -> &'static str {
        if self.block { "map_volume" } else { "volume_mount" }
    }

    /// Of a persistent volume; `None` if it is no CSI volume.
    pub fn persistent(volume: &PersistentVolume, read_only: bool) -> Option<Self> {
        let spec = volume.spec.as_ref()?;
        let csi = spec.csi.as_ref()?;
        let secret = |reference: &Option<k8s_openapi::api::core::v1::SecretReference>| {
            let reference = reference.as_ref()?;
            Some((reference.namespace.clone().unwrap_or_default(), reference.name.clone().unwrap_or_default()))
        };
        Some(Self {
            spec: volume.metadata.name.clone().unwrap_or_default(),
            driver: csi.driver.clone(),
            handle: csi.volume_handle.clone(),
            lifecycle: Lifecycle::Persistent,
            fs_type: csi.fs_type.clone().unwrap_or_default(),
            block: spec.volume_mode.as_deref() == Some("Block"),
            read_only,
            access_modes: spec.access_modes.clone().unwrap_or_default(),
            attributes: csi.volume_attributes.clone().unwrap_or_default(),
            mount_options: spec.mount_options.clone().unwrap_or_default(),
            stage_secret: secret(&csi.node_stage_secret_ref),
            publish_secret: secret(&csi.node_publish_secret_ref),
            expand_secret: secret(&csi.node_expand_secret_ref),
        })
    }

    /// Of a volume that the pod brings with it.
    pub fn inline(pod: &Pod, volume: &Volume, csi: &CSIVolumeSource) -> Self {
        let secret = csi.node_publish_secret_ref.as_ref();
        Self {
            spec: volume.name.clone(),
            driver: csi.driver.clone(),
            handle: names::inline_handle(pod.uid(), &volume.name),
            lifecycle: Lifecycle::Ephemeral,
            fs_type: csi.fs_type.clone().unwrap_or_default(),
            block: false,
            read_only: csi.read_only == Some(true),
            access_modes: Vec::new(),
            attributes: csi.volume_attributes.clone().unwrap_or_default(),
            mount_options: Vec::new(),
            stage_secret: None,
            publish_secret: secret.map(|reference| (pod.namespace().to_owned(), reference.name.clone())),
            expand_secret: None,
        }
    }

    /// The volume in the node's status.
    pub fn unique(&self) -> String {
        names::unique(&self.driver, &self.handle)
    }

    /// How the volume is to be used; `group` where the driver sets the files' group.
    pub fn capability(&self, able: &BTreeSet<Capability>, group: Option<u32>) -> VolumeCapability {
        let mode = self.access_modes.first().map_or("ReadWriteOnce", String::as_str);
        let access_type = if self.block {
            AccessType::Block(BlockVolume {})
        } else {
            AccessType::Mount(MountVolume {
                fs_type: self.fs_type.clone(),
                mount_flags: self.mount_options.clone(),
                volume_mount_group: group
                    .filter(|_| able.contains(&Capability::VolumeMountGroup))
                    .map(|group| group.to_string())
                    .unwrap_or_default(),
            })
        };
        let mode = access_mode(mode, able.contains(&Capability::SingleNodeMultiWriter));
        VolumeCapability { access_type: Some(access_type), access_mode: Some(AccessMode { mode: mode.into() }) }
    }
}

/// The driver's word for an access mode.
fn access_mode(mode: &str, single_node_multi_writer: bool) -> Mode {
    match (mode, single_node_multi_writer) {
        ("ReadWriteOnce", false) => Mode::SingleNodeWriter,
        ("ReadWriteOnce", true) => Mode::SingleNodeMultiWriter,
        ("ReadWriteOncePod", true) => Mode::SingleNodeSingleWriter,
        ("ReadOnlyMany", _) => Mode::MultiNodeReaderOnly,
        ("ReadWriteMany", _) => Mode::MultiNodeMultiWriter,
        _ => Mode::Unknown,
    }
}

/// What the driver says of itself in its `CSIDriver`. It need not have one.
#[derive(Clone, Debug, PartialEq)]
pub struct Traits {
    pub attach: bool,
    pub pod_info: bool,
    pub republish: bool,
    pub fs_group: GroupPolicy,
    /// Audiences and seconds of the tokens that it wants.
    pub tokens: Vec<(String, Option<i64>)>,
    /// They are secrets, not attributes.
    pub tokens_in_secrets: bool,
    /// `None` without a `CSIDriver`.
    pub modes: Option<Vec<String>>,
}

/// Whether the kubelet gives files to the pod's group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupPolicy {
    ReadWriteOnceWithFsType,
    File,
    None,
}

impl Traits {
    /// As its object says.
    pub fn of(driver: Option<&CSIDriver>) -> Self {
        let spec = driver.map(|driver| driver.spec.clone()).unwrap_or_default();
        Self {
            attach: spec.attach_required != Some(false),
            pod_info: spec.pod_info_on_mount == Some(true),
            republish: spec.requires_republish == Some(true),
            fs_group: match spec.fs_group_policy.as_deref() {
                Some("File") => GroupPolicy::File,
                Some("None") => GroupPolicy::None,
                _ => GroupPolicy::ReadWriteOnceWithFsType,
            },
            tokens: spec.token_requests.iter().flatten().map(|t| (t.audience.clone(), t.expiration_seconds)).collect(),
            tokens_in_secrets: spec.service_account_token_in_secrets == Some(true),
            modes: driver.map(|_| spec.volume_lifecycle_modes.unwrap_or_default()),
        }
    }

    /// Whether the driver has such volumes; if not, why.
    pub fn supports(&self, source: &Source) -> Result<(), String> {
        let (mode, driver) = (source.lifecycle.name(), &source.driver);
        match &self.modes {
            None if source.lifecycle == Lifecycle::Persistent => Ok(()),
            None => Err(format!("volume mode \"{mode}\" not supported by driver {driver} (no CSIDriver object)")),
            Some(modes) if modes.iter().any(|m| m == mode) => Ok(()),
            Some(modes) => {
                let all: Vec<String> = modes.iter().map(|m| format!("\"{m}\"")).collect();
                let all = all.join(" ");
                Err(format!("volume mode \"{mode}\" not supported by driver {driver} (only supports [{all}])"))
            }
        }
    }

    /// Whether the kubelet is to give the files to the pod's group.
    pub fn gives_group(&self, source: &Source) -> bool {
        if source.read_only || source.block {
            return false;
        }
        match self.fs_group {
            GroupPolicy::None => false,
            GroupPolicy::File => true,
            GroupPolicy::ReadWriteOnceWithFsType => {
                let once = source.access_modes.iter().any(|m| m == "ReadWriteOnce" || m == "ReadWriteOncePod");
                !source.fs_type.is_empty() && (once || source.lifecycle == Lifecycle::Ephemeral)
            }
        }
    }
}

/// What a driver is told of the pod (`podInfoOnMount`).
pub fn pod_info(pod: &Pod, lifecycle: Lifecycle) -> HashMap<String, String> {
    let account = PodExt::spec(pod).service_account_name.clone().unwrap_or_default();
    [
        ("pod.name", pod.name().to_owned()),
        ("pod.namespace", pod.namespace().to_owned()),
        ("pod.uid", pod.uid().to_owned()),
        ("serviceAccount.name", account),
        ("ephemeral", (lifecycle == Lifecycle::Ephemeral).to_string()),
    ]
    .map(|(key, value)| (format!("csi.storage.k8s.io/{key}"), value))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn source(spec: Value) -> Source {
        let mut spec = spec;
        spec["csi"]["driver"] = "d".into();
        spec["csi"]["volumeHandle"] = "h".into();
        let volume = serde_json::from_value(json!({"metadata": {"name": "pv"}, "spec": spec})).expect("a volume");
        Source::persistent(&volume, false).expect("a CSI volume")
    }

    fn traits(spec: Value) -> Traits {
        Traits::of(Some(&serde_json::from_value(json!({"spec": spec})).expect("a driver")))
    }

    #[test]
    fn access_modes_depend_on_what_the_driver_tells_apart() {
        for (mode, plain, able) in [
            ("ReadWriteOnce", Mode::SingleNodeWriter, Mode::SingleNodeMultiWriter),
            ("ReadWriteOncePod", Mode::Unknown, Mode::SingleNodeSingleWriter),
            ("ReadOnlyMany", Mode::MultiNodeReaderOnly, Mode::MultiNodeReaderOnly),
            ("ReadWriteMany", Mode::MultiNodeMultiWriter, Mode::MultiNodeMultiWriter),
        ] {
            assert_eq!((access_mode(mode, false), access_mode(mode, true)), (plain, able), "{mode}");
        }
    }

    #[test]
    fn the_group_goes_to_the_driver_that_sets_it() {
        let volume =
            source(json!({"accessModes": ["ReadWriteOnce"], "mountOptions": ["noatime"], "csi": {"fsType": "ext4"}}));
        let able = BTreeSet::from([Capability::VolumeMountGroup]);
        let flags = |able: &BTreeSet<Capability>| match volume.capability(able, Some(7)).access_type {
            Some(AccessType::Mount(mount)) => (mount.fs_type, mount.mount_flags, mount.volume_mount_group),
            _ => panic!("not a mount"),
        };
        assert_eq!(flags(&able), ("ext4".into(), vec!["noatime".into()], "7".into()));
        assert_eq!(flags(&BTreeSet::new()).2, "");
        let block = source(json!({"volumeMode": "Block"}));
        assert!(matches!(block.capability(&able, Some(7)).access_type, Some(AccessType::Block(_))));
    }

    #[test]
    fn who_gives_files_to_the_group() {
        let once = source(json!({"accessModes": ["ReadWriteOnce"], "csi": {"fsType": "ext4"}}));
        let many = source(json!({"accessModes": ["ReadWriteMany"], "csi": {"fsType": "ext4"}}));
        let plain = source(json!({"accessModes": ["ReadWriteOnce"]}));
        let read = Source { read_only: true, ..once.clone() };
        for (policy, want) in [
            (json!("ReadWriteOnceWithFSType"), [true, false, false, false]),
            (json!("File"), [true, true, true, false]),
            (json!("None"), [false; 4]),
        ] {
            let traits = traits(json!({"fsGroupPolicy": policy}));
            assert_eq!([&once, &many, &plain, &read].map(|s| traits.gives_group(s)), want, "{policy}");
        }
    }

    #[test]
    fn inline_volumes_need_a_driver_that_says_so() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"uid": "u"}})).expect("a pod");
        let volume = Volume { name: "v".into(), ..Volume::default() };
        let inline =
            Source::inline(&pod, &volume, &CSIVolumeSource { driver: "d".into(), ..CSIVolumeSource::default() });
        let want = "volume mode \"Ephemeral\" not supported by driver d (no CSIDriver object)";
        assert_eq!(Traits::of(None).supports(&inline), Err(want.into()));
        let want = "volume mode \"Ephemeral\" not supported by driver d (only supports [\"Persistent\"])";
        assert_eq!(traits(json!({"volumeLifecycleModes": ["Persistent"]})).supports(&inline), Err(want.into()));
        assert_eq!(traits(json!({"volumeLifecycleModes": ["Ephemeral"]})).supports(&inline), Ok(()));
        assert_eq!(Traits::of(None).supports(&source(json!({}))), Ok(()));
        assert!(Traits::of(None).attach && !traits(json!({"attachRequired": false})).attach);
    }
}
