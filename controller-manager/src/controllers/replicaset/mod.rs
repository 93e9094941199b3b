//! Keeps as many pods of a template as a replica set, or a replication controller, asks for.
//!
//! Upstream: `pkg/controller/replicaset`.

mod kind;
mod plan;
mod reconcile;

use crate::scaffold::owning::owners;
use crate::scaffold::pod_control::PodControl;
use crate::scaffold::{Context, Lane};
use client::informer::Change;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kind::Replicating;

/// The controller's name.
pub const NAME: &str = "replicaset-controller";

/// Starts it.
pub fn start(context: &Context) {
    start_for::<ReplicaSet>(context, NAME, "replicaset-controller", context.options.workers.replicaset);
}

/// Starts the controller of one of the kinds that keep a number of pods.
pub(super) fn start_for<K: Replicating>(
    context: &Context,
    name: &'static str,
    component: &'static str,
    workers: usize,
) {
    let mut lane = Lane::new(context, name);
    let sets = lane.watches::<K>();
    let for_orphans = sets.clone();
    let pods = lane.maps(move |change: &Change<Pod>| owners(change, &for_orphans));
    let control = PodControl {
        client: context.client.clone(),
        recorder: context.recorder(component),
        pods,
        writes: lane.writes(),
    };
    lane.run(workers, reconcile::Replicas { sets, control });
}
