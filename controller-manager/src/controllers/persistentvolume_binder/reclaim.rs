//! What becomes of a volume whose claim is gone.

use super::bind::Binder;
use super::plan::{self, MIGRATED_TO, PROVISIONED_BY};
use crate::objects::claims::annotation;
use crate::objects::pods;
use crate::scaffold::informers::trims::BY_CLAIM;
use crate::scaffold::pod_control::same;
use crate::scaffold::{At, ReconcileError, is_not_found};
use client::{Informer, events};
use k8s_openapi::api::core::v1::{PersistentVolume, Pod};
use kube::Api;
use std::path::{Component, Path};

/// Whether there is nothing left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// Nothing, or it is another's business.
    Yes,
    /// To be tried again.
    NotYet,
}

/// Who deletes a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Deleter {
    /// The provisioner that made it.
    External,
    /// This controller: a directory of this host.
    Directory(String),
    /// Nobody; why.
    None(String),
}

/// Does with a released volume what its policy says.
pub(super) async fn reclaim(
    binder: &Binder,
    pods: &Informer<Pod>,
    volume: &PersistentVolume,
) -> Result<Done, ReconcileError> {
    if annotation(&volume.metadata, MIGRATED_TO).is_some_and(|driver| !driver.is_empty()) {
        return Ok(Done::Yes);
    }
    let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    match policy.unwrap_or("Retain") {
        "Retain" => Ok(Done::Yes),
        "Delete" => delete(binder, pods, volume).await,
        "Recycle" => {
            let message = "No recycler plugin found for the volume!";
            binder.fail(volume, "VolumeFailedRecycle", message).await.map(|()| Done::Yes)
        }
        _ => {
            let message = "Volume has unrecognized PersistentVolumeReclaimPolicy";
            binder.fail(volume, "VolumeUnknownReclaimPolicy", message).await.map(|()| Done::Yes)
        }
    }
}

async fn delete(binder: &Binder, pods: &Informer<Pod>, volume: &PersistentVolume) -> Result<Done, ReconcileError> {
    match deleter(volume) {
        Deleter::External => Ok(Done::Yes),
        Deleter::None(why) => binder.fail(volume, "VolumeFailedDelete", &why).await.map(|()| Done::NotYet),
        Deleter::Directory(_) if is_used(volume, pods) => Ok(Done::NotYet),
        Deleter::Directory(path) => match remove(&path).await {
            Ok(()) => {
                let api = Api::<PersistentVolume>::all(binder.client.clone());
                match api.delete(volume.metadata.name.as_deref().unwrap_or_default(), &same(volume)).await {
                    Err(error) if !is_not_found(&error) => Err(error).at(|| "delete a reclaimed volume".to_owned()),
                    _ => Ok(Done::Yes),
                }
            }
            Err(why) => {
                binder.recorder.warning(&events::reference(volume), "VolumeFailedDelete", why.clone());
                binder.set_phase(volume, "Failed", &why).await.map(|_| Done::NotYet)
            }
        },
    }
}

/// Whether a pod still runs with the volume's claim.
fn is_used(volume: &PersistentVolume, pods: &Informer<Pod>) -> bool {
    let Some(claim) = plan::claimant(volume) else { return false };
    pods.by_index(BY_CLAIM, &claim.to_string()).iter().any(|pod| !pods::is_finished(pod))
}

fn deleter(volume: &PersistentVolume) -> Deleter {
    let name = volume.metadata.name.as_deref().unwrap_or_default();
    match annotation(&volume.metadata, PROVISIONED_BY).filter(|by| !by.is_empty()) {
        Some(by) if !by.starts_with("kubernetes.io/") => return Deleter::External,
        Some(by) if by != "kubernetes.io/host-path" => {
            return Deleter::None(format!("no volume plugin matched name: {by}"));
        }
        _ => {}
    }
    match volume.spec.as_ref().and_then(|spec| spec.host_path.as_ref()) {
        Some(host) => Deleter::Directory(host.path.clone()),
        None => Deleter::None(format!(
            "error getting deleter volume plugin for volume {name:?}: no deletable volume plugin matched"
        )),
    }
}

/// Removes a directory; only one that is meant to be temporary.
async fn remove(path: &str) -> Result<(), String> {
    if !is_temporary(Path::new(path)) {
        return Err(format!("host_path deleter only supports /tmp/.+ but received provided {path}"));
    }
    let found = tokio::fs::symlink_metadata(path).await;
    let removed = match found {
        Ok(found) if found.is_dir() => tokio::fs::remove_dir_all(path).await,
        Ok(_) => tokio::fs::remove_file(path).await,
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.to_string()),
        _ => Ok(()),
    }
}

fn is_temporary(path: &Path) -> bool {
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    plain && path.starts_with("/tmp") && path != Path::new("/tmp")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_made_a_volume_deletes_it() {
        let volume = |by: Option<&str>, spec: serde_json::Value| -> PersistentVolume {
            let annotations = by.map(|by| json!({PROVISIONED_BY: by}));
            serde_json::from_value(json!({"metadata": {"name": "v", "annotations": annotations}, "spec": spec}))
                .unwrap()
        };
        let nfs = json!({"nfs": {"server": "s", "path": "/"}});
        let host = json!({"hostPath": {"path": "/tmp/a"}});
        let nobody = "error getting deleter volume plugin for volume \"v\": no deletable volume plugin matched";
        for (volume, expected) in [
            (volume(Some("example.com/p"), nfs.clone()), Deleter::External),
            (
                volume(Some("kubernetes.io/x"), nfs.clone()),
                Deleter::None("no volume plugin matched name: kubernetes.io/x".into()),
            ),
            (volume(None, nfs), Deleter::None(nobody.into())),
            (volume(None, host), Deleter::Directory("/tmp/a".into())),
        ] {
            assert_eq!(deleter(&volume), expected);
        }
    }

    #[test]
    fn only_what_is_temporary_is_removed() {
        for (path, expected) in [
            ("/tmp/a", true),
            ("/tmp/a/b", true),
            ("/tmp", false),
            ("/tmp/", false),
            ("/tmp/../etc", false),
            ("/var/tmp/a", false),
            ("tmp/a", false),
        ] {
            assert_eq!(is_temporary(Path::new(path)), expected, "{path}");
        }
    }
}
