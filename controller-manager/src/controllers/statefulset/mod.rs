//! Keeps the pods of a stateful set, each with a name and claims of its own.
//!
//! Upstream: `pkg/controller/statefulset`.

mod history;
mod plan;
mod reconcile;
mod storage;

use crate::scaffold::owning::owners;
use crate::scaffold::pod_control::PodControl;
use crate::scaffold::{Context, Lane};
use client::informer::Change;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

/// The controller's name.
pub const NAME: &str = "statefulset-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let sets = lane.watches::<StatefulSet>();
    let known = sets.clone();
    let pods = lane.maps(move |change: &Change<Pod>| owners(change, &known));
    let revisions = lane.reads::<ControllerRevision>();
    let claims = lane.reads::<PersistentVolumeClaim>();
    let control = PodControl {
        client: context.client.clone(),
        recorder: context.recorder("statefulset-controller"),
        pods,
        writes: lane.writes(),
    };
    let controller = reconcile::StatefulSets { sets, revisions, claims, control };
    lane.run(context.options.workers.stateful_set, controller);
}
