//! Claims, and the persistent volumes behind them that are paths of the node: `hostPath` and `local`.
//!
//! Upstream: `pkg/kubelet/volumemanager/populator/desired_state_of_world_populator.go`, `pkg/volume/local`.

use super::{VolumeError, fs_group, host_path, mounts, ownership};
use crate::cluster::Cluster;
use crate::pod::PodExt;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Volume};
use std::path::{Path, PathBuf};

/// What a volume claims: the claim's name, and whether it is only read.
pub(super) fn of(pod: &Pod, volume: &Volume) -> Option<(String, bool)> {
    match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(source), _) => Some((source.claim_name.clone(), source.read_only == Some(true))),
        (None, Some(_)) => Some((format!("{}-{}", pod.name(), volume.name), false)),
        (None, None) => None,
    }
}

/// The path of the volume that is bound to a claim. One that is only read is mounted so at `dir`.
pub(super) async fn ensure(
    cluster: &dyn Cluster,
    pod: &Pod,
    volume: &Volume,
    (name, read_only): (String, bool),
    dir: PathBuf,
) -> Result<PathBuf, VolumeError> {
    let claim = cluster.claim(pod.namespace(), &name).await?;
    let bound = check_claim(pod, volume, &name, &claim)?;
    let found = cluster.volume(bound).await?;
    check_volume(bound, &found, &claim)?;
    let (path, owned) = path_of(volume, &found)?;
    let group = fs_group(pod).filter(|_| owned);
    mounts::blocking(move || {
        ownership::apply(&path, group, ownership::Access::ReadWrite)?;
        match read_only {
            true => mounts::bind_read_only(&path, &dir).map(|()| dir),
            false => Ok(path),
        }
    })
    .await
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
    if spec.volume_mode.as_deref() == Some("Block") {
        return Err(unsupported());
    }
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
        assert!(find(json!({"local": {"path": path}, "volumeMode": "Block"})).is_err());
        assert!(find(json!({"nfs": {"path": "/", "server": "s"}})).is_err());
        let owner = |uid: &str| {
            let spec = json!({"claimRef": {"uid": uid}});
            let found: PersistentVolume = serde_json::from_value(json!({"spec": spec})).expect("a volume");
            check_volume("pv", &found, &claim(json!({"metadata": {"name": "c", "uid": "1"}}))).is_ok()
        };
        assert!(owner("1") && !owner("2"));
    }
}
