//! Before a pod with volumes can be bound: its plan is written to volumes and claims, and others
//! (the volume controller, provisioners) have to finish what that starts.
//!
//! Upstream: `BindPodVolumes` in `pkg/scheduler/framework/plugins/volumebinding/binder.go`.

use crate::cluster::Cluster;
use crate::model::selector::Labels;
use crate::model::storage::{BOUND_BY_CONTROLLER, Claim, SELECTED_NODE, Volume};
use crate::model::volumes::ClaimKey;
use crate::scheduler::{Placement, Scheduler};
use k8s_openapi::api::core::v1 as core;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// Why a pod's volumes are not bound.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VolumeError {
    /// The plan could not be written.
    #[error(transparent)]
    Api(#[from] kube::Error),
    /// It was written, and came to nothing.
    #[error("binding volumes: {0}")]
    Undone(#[from] Undone),
}

/// What came in between.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Undone {
    /// Others took too long.
    #[error("context deadline exceeded")]
    Timeout,
    /// The scheduler stops.
    #[error("context canceled")]
    Stopped,
    /// The pod is gone.
    #[error("pod does not exist any more")]
    PodGone,
    /// The node is gone.
    #[error("failed to get node {0:?}")]
    NodeGone(String),
    /// A volume is gone.
    #[error("failed to check binding: persistentvolume {0:?} not found")]
    VolumeGone(String),
    /// A claim is gone.
    #[error("failed to check binding: persistentvolumeclaim {0:?} not found")]
    ClaimGone(String),
    /// A volume turned out to be somewhere else.
    #[error("pv {volume:?} node affinity doesn't match node {node:?}")]
    Elsewhere {
        /// The volume.
        volume: String,
        /// The node.
        node: String,
    },
    /// The volume was taken from the claim.
    #[error("ClaimRef got reset for pv {0:?}")]
    Reset(String),
    /// The provisioner gave the claim back.
    #[error("provisioning failed for PVC {0:?}")]
    NotProvisioned(String),
}

/// How far others are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Something is missing still.
    Waiting,
    /// Every claim is bound.
    Done,
}

/// What was written, with the versions that it got.
#[derive(Debug, Default)]
pub(crate) struct Written {
    bindings: Vec<(String, String, ClaimKey)>,
    provisions: Vec<(ClaimKey, String)>,
}

/// Writes the plan and waits until every claim is bound.
pub(crate) async fn bind(
    client: &kube::Client,
    places: &Semaphore,
    scheduler: &Scheduler,
    placement: &Placement,
) -> Result<(), VolumeError> {
    let written = {
        // A place is for requests; waiting takes none.
        let Ok(_place) = places.acquire().await else { return Err(Undone::Stopped.into()) };
        write(client, placement).await?
    };
    match tokio::time::timeout(placement.timeouts.volumes, wait(scheduler, placement, &written)).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(Undone::Timeout.into()),
    }
}

async fn wait(scheduler: &Scheduler, placement: &Placement, written: &Written) -> Result<(), Undone> {
    loop {
        let progress = scheduler.progress();
        match scheduler.look(placement, written)? {
            Progress::Done => return Ok(()),
            Progress::Waiting => progress.await,
        }
    }
}

async fn write(client: &kube::Client, placement: &Placement) -> Result<Written, kube::Error> {
    let mut written = Written::default();
    for (volume, claim) in &placement.plan.bindings {
        let volumes: Api<core::PersistentVolume> = Api::all(client.clone());
        let patch = Patch::Merge(binding(volume, claim));
        let new = volumes.patch(&volume.name, &PatchParams::default(), &patch).await?;
        written.bindings.push((volume.name.clone(), new.resource_version().unwrap_or_default(), claim.key.clone()));
    }
    for claim in &placement.plan.provisions {
        let claims: Api<core::PersistentVolumeClaim> = Api::namespaced(client.clone(), &claim.key.namespace);
        let patch = Patch::Merge(selection(claim, &placement.node));
        let new = claims.patch(&claim.key.name, &PatchParams::default(), &patch).await?;
        written.provisions.push((claim.key.clone(), new.resource_version().unwrap_or_default()));
    }
    Ok(written)
}

/// Makes the volume the claim's, if nobody changed it meanwhile.
fn binding(volume: &Volume, claim: &Claim) -> Value {
    let mut metadata = json!({"uid": volume.uid, "resourceVersion": volume.resource_version});
    if !volume.is_for(claim) {
        // Tells the volume controller that it may undo this; what users bind it leaves alone.
        metadata["annotations"] = json!({BOUND_BY_CONTROLLER: "yes"});
    }
    let reference = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": &*claim.key.namespace,
        "name": &*claim.key.name, "uid": claim.uid, "resourceVersion": claim.resource_version,
    });
    json!({"metadata": metadata, "spec": {"claimRef": reference}})
}

/// Has a volume made for the node, if nobody changed the claim meanwhile.
fn selection(claim: &Claim, node: &str) -> Value {
    let annotations = json!({SELECTED_NODE: node});
    json!({"metadata": {"uid": claim.uid, "resourceVersion": claim.resource_version, "annotations": annotations}})
}

impl Written {
    /// How far others are with it, by what the apiserver shows.
    pub(crate) fn progress(&self, cluster: &Cluster, node: &str) -> Result<Progress, Undone> {
        let number = cluster.nodes.number(node).ok_or_else(|| Undone::NodeGone(node.to_owned()))?;
        let labels = &cluster.nodes.labels[number as usize];
        for (volume, version, claim) in &self.bindings {
            if look_at_binding(cluster, volume, version, claim, node, labels)? == Progress::Waiting {
                return Ok(Progress::Waiting);
            }
        }
        for (claim, version) in &self.provisions {
            if look_at_provision(cluster, claim, version, node, labels)? == Progress::Waiting {
                return Ok(Progress::Waiting);
            }
        }
        Ok(Progress::Done)
    }
}

fn look_at_binding(
    cluster: &Cluster,
    name: &str,
    version: &str,
    claim: &ClaimKey,
    node: &str,
    labels: &Labels,
) -> Result<Progress, Undone> {
    let volume = cluster.storage.shown_volume(name).ok_or_else(|| Undone::VolumeGone(name.to_owned()))?;
    let claim = cluster.storage.shown_claim(claim).ok_or_else(|| Undone::ClaimGone(claim.to_string()))?;
    if is_older(&volume.resource_version, version) {
        return Ok(Progress::Waiting);
    }
    check_place(volume, node, labels)?;
    if volume.claim.as_ref().is_none_or(|claim| claim.uid.is_empty()) {
        return Err(Undone::Reset(name.to_owned()));
    }
    Ok(of_claim(claim))
}

fn look_at_provision(
    cluster: &Cluster,
    key: &ClaimKey,
    version: &str,
    node: &str,
    labels: &Labels,
) -> Result<Progress, Undone> {
    let claim = cluster.storage.shown_claim(key).ok_or_else(|| Undone::ClaimGone(key.to_string()))?;
    if is_older(&claim.resource_version, version) {
        return Ok(Progress::Waiting);
    }
    if claim.selected_node.as_deref() != Some(node) {
        return Err(Undone::NotProvisioned(key.name.to_string()));
    }
    if claim.volume.is_empty() {
        return Ok(Progress::Waiting);
    }
    // The claim may be shown before its volume is.
    let Some(volume) = cluster.storage.shown_volume(&claim.volume) else { return Ok(Progress::Waiting) };
    check_place(volume, node, labels)?;
    Ok(of_claim(claim))
}

fn check_place(volume: &Volume, node: &str, labels: &Labels) -> Result<(), Undone> {
    match volume.is_reached_from(labels) {
        true => Ok(()),
        false => Err(Undone::Elsewhere { volume: volume.name.clone(), node: node.to_owned() }),
    }
}

fn of_claim(claim: &Claim) -> Progress {
    if claim.is_bound { Progress::Done } else { Progress::Waiting }
}

/// Whether the version shown is from before the one written.
fn is_older(shown: &str, written: &str) -> bool {
    match (shown.parse::<u64>(), written.parse::<u64>()) {
        (Ok(shown), Ok(written)) => shown < written,
        _ => false,
    }
}

#[cfg(test)]
#[path = "volumes_tests.rs"]
mod tests;
