//! Claims, and the persistent volumes behind them: paths of the node (`hostPath` and `local`), and those of drivers.
//!
//! Upstream: `pkg/kubelet/volumemanager/populator/desired_state_of_world_populator.go`, `pkg/volume/local`.

use super::{VolumeError, Volumes, fs_group, host_path, mounts, ownership};
use crate::cluster::Cluster;
use crate::csi::{Wish, source::Source};
use crate::pod::PodExt;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Volume};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The plug-in of paths of the node, as a folder of a pod.
const LOCAL: &str = "kubernetes.io~local-volume";

/// What a volume claims: the claim's name, and whether it is only read.
pub(super) fn of(pod: &Pod, volume: &Volume) -> Option<(String, bool)> {
    match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(source), _) => Some((source.claim_name.clone(), source.read_only == Some(true))),
        (None, Some(_)) => Some((format!("{}-{}", pod.name(), volume.name), false)),
        (None, None) => None,
    }
}

/// Brings the volume that is bound to a claim to the pod; where it is.
pub(super) async fn ensure(
    volumes: &Volumes,
    pod: &Pod,
    volume: &Volume,
    (name, read_only): (String, bool),
) -> Result<PathBuf, VolumeError> {
    let (found, claim) = find(volumes.cluster.as_ref(), pod, volume, &name).await?;
    check_mode(pod, volume, &found)?;
    if let Some(source) = Source::persistent(&found, read_only) {
        let claim = Some((&found, &claim));
        return volumes.csi.ensure(&Wish { pod, volume: &volume.name, source, group: fs_group(pod), claim }).await;
    }
    let named = |e: VolumeError| e.of_step("MountVolume.SetUp", found.metadata.name.as_deref().unwrap_or_default());
    if is_block(&found) {
        let name = found.metadata.name.clone().unwrap_or_default();
        let link = volumes.pod_dir(pod.uid()).join("volumeDevices").join(LOCAL).join(&name);
        let device = device_of(volume, &found)?;
        return mounts::blocking(move || crate::csi::link(&device, &link).map(|()| link))
            .await
            .map_err(|e| e.of_step("MapVolume.MapPodDevice", &name));
    }
    let dir = volumes.pod_dir(pod.uid()).join("volumes").join(LOCAL).join(&volume.name);
    let (path, owned) = path_of(volume, &found).map_err(named)?;
    let group = fs_group(pod).filter(|_| owned);
    let done = mounts::blocking(move || {
        ownership::apply(&path, group, ownership::Access::ReadWrite)?;
        match read_only {
            true => mounts::bind_read_only(&path, &dir).map(|()| dir),
            false => Ok(path),
        }
    });
    done.await.map_err(named)
}

/// The volume that is bound to a claim, and the claim.
async fn find(
    cluster: &dyn Cluster,
    pod: &Pod,
    volume: &Volume,
    name: &str,
) -> Result<(PersistentVolume, PersistentVolumeClaim), VolumeError> {
    let claim = cluster.claim(pod.namespace(), name).await?;
    let bound = check_claim(pod, volume, name, &claim)?;
    let found = cluster.volume(bound).await?;
    check_volume(bound, &found, &claim)?;
    Ok((found, claim))
}

fn is_block(volume: &PersistentVolume) -> bool {
    volume.spec.as_ref().is_some_and(|spec| spec.volume_mode.as_deref() == Some("Block"))
}

/// Devices are not mounted, and files are no devices.
fn check_mode(pod: &Pod, volume: &Volume, found: &PersistentVolume) -> Result<(), VolumeError> {
    let (mounts, devices) = uses(pod);
    let name = volume.name.as_str();
    match is_block(found) {
        true if mounts.contains(name) => {
            Err(VolumeError::Mode(format!("volume {name} has volumeMode Block, but is specified in volumeMounts")))
        }
        false if devices.contains(name) => Err(VolumeError::Mode(format!(
            "volume {name} has volumeMode Filesystem, but is specified in volumeDevices"
        ))),
        _ => Ok(()),
    }
}

/// Names of the volumes that containers mount, and of those that they have as devices.
pub(super) fn uses(pod: &Pod) -> (BTreeSet<String>, BTreeSet<String>) {
    let spec = PodExt::spec(pod);
    let own = spec.containers.iter().chain(pod.init_containers()).cloned();
    let all: Vec<_> = own.chain(pod.ephemeral_containers()).collect();
    let mounts = all.iter().flat_map(|c| c.volume_mounts.iter().flatten()).map(|m| m.name.clone()).collect();
    let devices = all.iter().flat_map(|c| c.volume_devices.iter().flatten()).map(|d| d.name.clone()).collect();
    (mounts, devices)
}

/// The device of a local volume.
fn device_of(volume: &Volume, found: &PersistentVolume) -> Result<PathBuf, VolumeError> {
    use std::os::unix::fs::FileTypeExt as _;
    let unsupported = || VolumeError::Unsupported(volume.name.clone());
    let source = found.spec.as_ref().and_then(|spec| spec.local.as_ref()).ok_or_else(unsupported)?;
    let path = Path::new(&source.path);
    if path.components().any(|c| c == std::path::Component::ParentDir) {
        return Err(VolumeError::BadPath(source.path.clone()));
    }
    match std::fs::metadata(path) {
        Ok(about) if about.file_type().is_block_device() => Ok(path.to_owned()),
        Ok(_) => Err(VolumeError::NoDevice(source.path.clone())),
        Err(_) => Err(VolumeError::NoPath(source.path.clone())),
    }
}

/// The volume that the claim is bound to.
fn check_claim<'a>(
    pod: &Pod,
    volume: &Volume,
    name: &str,
    claim: &'a PersistentVolumeClaim,
) -> Result<&'a str, VolumeError> {
    let refused = |why: String| Err(VolumeError::Claim { claim: format!("{}/{name}", pod.namespace()), why });
    let owners = claim.metadata.owner_references.iter().flatten();
    if volume.ephemeral.is_some() && !owners.clone().any(|owner| owner.uid == pod.uid()) {
        return refused("PVC was not created for the pod".to_owned());
    }
    if claim.metadata.deletion_timestamp.is_some() {
        return refused("PVC is being deleted".to_owned());
    }
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    let bound = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or_default();
    if phase != "Bound" || bound.is_empty() {
        return refused(format!("PVC has non-bound phase ({phase:?}) or empty pvc.Spec.VolumeName ({bound:?})"));
    }
    Ok(bound)
}

/// A volume of this name may belong to somebody else by now.
fn check_volume(name: &str, volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Result<(), VolumeError> {
    let holder = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    match holder.is_some_and(|holder| holder.uid == claim.metadata.uid) {
        true => Ok(()),
        false => Err(VolumeError::Claim {
            claim: claim.metadata.name.clone().unwrap_or_default(),
            why: format!("PV {name:?} is bound to another claim"),
        }),
    }
}

/// Where the volume lies on this node, and whether its files are the pod's group's.
fn path_of(volume: &Volume, found: &PersistentVolume) -> Result<(PathBuf, bool), VolumeError> {
    let unsupported = || VolumeError::Unsupported(volume.name.clone());
    let spec = found.spec.as_ref().ok_or_else(unsupported)?;
    match (&spec.host_path, &spec.local) {
        (Some(source), _) => Ok((host_path::ensure(source)?, false)),
        (None, Some(source)) => match Path::new(&source.path) {
            path if path.components().any(|c| c == std::path::Component::ParentDir) => {
                Err(VolumeError::BadPath(source.path.clone()))
            }
            path if path.is_dir() => Ok((path.to_owned(), true)),
            path if path.exists() => Err(unsupported()),
            _ => Err(VolumeError::NoPath(source.path.clone())),
        },
        (None, None) => Err(unsupported()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn claim(fields: Value) -> PersistentVolumeClaim {
        serde_json::from_value(fields).expect("a claim")
    }

    #[test]
    fn only_a_bound_claim_of_the_pod_leads_to_a_volume() {
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}})).expect("a pod");
        let plain = Volume { name: "v".into(), ..Volume::default() };
        let ephemeral: Volume = serde_json::from_value(json!({"name": "v", "ephemeral": {}})).expect("a volume");
        let bound =
            json!({"metadata": {"name": "c", "uid": "1"}, "spec": {"volumeName": "pv"}, "status": {"phase": "Bound"}});
        let check = |volume: &Volume, fields: &Value| {
            check_claim(&pod, volume, "c", &claim(fields.clone())).map(str::to_owned).map_err(|e| e.to_string())
        };
        assert_eq!(check(&plain, &bound), Ok("pv".to_owned()));
        let mut other = bound.clone();
        other["status"]["phase"] = "Pending".into();
        let want =
            "error processing PVC n/c: PVC has non-bound phase (\"Pending\") or empty pvc.Spec.VolumeName (\"pv\")";
        assert_eq!(check(&plain, &other), Err(want.to_owned()));
        let mut going = bound.clone();
        going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(check(&plain, &going), Err("error processing PVC n/c: PVC is being deleted".to_owned()));
        assert!(check(&ephemeral, &bound).is_err());
        let mut own = bound;
        own["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}]);
        assert_eq!(check(&ephemeral, &own), Ok("pv".to_owned()));
        assert_eq!(of(&pod, &ephemeral), Some(("p-v".to_owned(), false)));
    }

    #[test]
    fn volumes_are_paths_of_the_node() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().to_str().expect("a path");
        let plain = Volume { name: "v".into(), ..Volume::default() };
        let find = |spec: Value| {
            let found: PersistentVolume = serde_json::from_value(json!({"spec": spec})).expect("a volume");
            path_of(&plain, &found).map_err(|e| e.to_string())
        };
        assert_eq!(find(json!({"local": {"path": path}})), Ok((folder.path().to_owned(), true)));
        assert_eq!(find(json!({"hostPath": {"path": path}})), Ok((folder.path().to_owned(), false)));
        assert_eq!(find(json!({"local": {"path": "/nowhere"}})), Err("path \"/nowhere\" does not exist".to_owned()));
        assert!(find(json!({"local": {"path": format!("{path}/../x")}})).is_err());
        assert!(find(json!({"nfs": {"path": "/", "server": "s"}})).is_err());
        let owner = |uid: &str| {
            let spec = json!({"claimRef": {"uid": uid}});
            let found: PersistentVolume = serde_json::from_value(json!({"spec": spec})).expect("a volume");
            check_volume("pv", &found, &claim(json!({"metadata": {"name": "c", "uid": "1"}}))).is_ok()
        };
        assert!(owner("1") && !owner("2"));
    }

    #[test]
    fn devices_are_no_folders() {
        let pod = |uses: Value| -> Pod {
            let mut container = uses;
            container["name"] = "c".into();
            serde_json::from_value(json!({"spec": {"containers": [container]}})).expect("a pod")
        };
        let plain = Volume { name: "v".into(), ..Volume::default() };
        let volume = |spec: Value| serde_json::from_value::<PersistentVolume>(json!({"spec": spec})).expect("a volume");
        let (mounts, devices) = (
            pod(json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]})),
            pod(json!({"volumeDevices": [{"name": "v", "devicePath": "/dev/v"}]})),
        );
        let (block, files) = (volume(json!({"volumeMode": "Block"})), volume(json!({})));
        assert!(check_mode(&devices, &plain, &block).is_ok() && check_mode(&mounts, &plain, &files).is_ok());
        let error = check_mode(&mounts, &plain, &block).expect_err("a device");
        assert_eq!(error.to_string(), "volume v has volumeMode Block, but is specified in volumeMounts");
        assert!(check_mode(&devices, &plain, &files).is_err());
        let at = |path: &str| device_of(&plain, &volume(json!({"local": {"path": path}}))).map_err(|e| e.to_string());
        assert_eq!(at("/proc"), Err("path \"/proc\" is no block device".to_owned()));
        assert!(at("/nowhere").is_err() && at("/dev/../dev/null").is_err());
    }
}
