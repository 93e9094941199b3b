//! Attaches volumes of CSI drivers to the nodes whose pods need them, and detaches them when no pod
//! does, by objects of the kind VolumeAttachment that the driver's external attacher works on.
//!
//! Nothing is remembered that a restart would lose: what is attached stands in the attachments and
//! in the status of the node, what should be in the pods. Only how long a detach has been waiting
//! begins anew. Volumes of kinds built into old kubelets are not attached.
//!
//! Upstream: `pkg/controller/volume/attachdetach`, `pkg/volume/csi/csi_attacher.go`.

mod keys;
mod ledger;
pub(crate) mod metrics;
mod plan;
mod reconcile;

use crate::scaffold::{Context, Lane};
use client::informer::Change;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::{CSIDriver, VolumeAttachment};

/// The controller's name.
pub const NAME: &str = "persistentvolume-attach-detach-controller";

/// Nodes that are worked on at the same time.
const WORKERS: usize = 10;

/// Starts it. Keys are names of nodes.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let pods = lane.maps(|change: &Change<Pod>| keys::of_pod(change.object()).into_iter().collect());
    let users = pods.clone();
    let claims = lane.maps(move |change: &Change<PersistentVolumeClaim>| keys::of_claim(&users, change.object()));
    let users = pods.clone();
    let volumes = lane.maps(move |change: &Change<PersistentVolume>| keys::of_volume(&users, change.object()));
    let (users, known) = (pods.clone(), volumes.clone());
    let attachments =
        lane.maps(move |change: &Change<VolumeAttachment>| keys::of_attachment(&users, &known, change.object()));
    let nodes = lane.maps(keys::of_node);
    let all = nodes.clone();
    let drivers = lane.maps(move |change: &Change<CSIDriver>| keys::of_driver(&all, change));
    let controller = reconcile::AttachDetach {
        client: context.client.clone(),
        recorder: context.recorder("attachdetach-controller"),
        pods,
        claims,
        volumes,
        attachments,
        nodes,
        drivers,
        writes: lane.writes(),
        ledger: ledger::Ledger::default(),
        options: context.options.attaching,
    };
    lane.run(WORKERS, controller);
}
