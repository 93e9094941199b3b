//! Rolls a deployment's template out through replica sets.
//!
//! Upstream: `pkg/controller/deployment`.

mod plan;
mod reconcile;

use crate::objects::owner;
use crate::scaffold::owning::{self, owners};
use crate::scaffold::{Context, Lane};
use client::informer::Change;
use client::{Informer, ObjectKey};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;

/// The controller's name.
pub const NAME: &str = "deployment-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let deployments = lane.watches::<Deployment>();
    let for_orphans = deployments.clone();
    let sets = lane.maps(move |change: &Change<ReplicaSet>| owners(change, &for_orphans));
    let through = sets.clone();
    let pods = lane.maps(move |change: &Change<Pod>| match change {
        Change::Deleted(pod) => deployment_of(pod, &through).into_iter().collect(),
        _ => Vec::new(),
    });
    let recorder = context.recorder("deployment-controller");
    let writes = lane.writes();
    let controller =
        reconcile::Deployments { client: context.client.clone(), recorder, deployments, sets, pods, writes };
    lane.run(context.options.workers.deployment, controller);
}

/// A deleted pod can let a Recreate deployment go on.
fn deployment_of(pod: &Pod, sets: &Informer<ReplicaSet>) -> Option<ObjectKey> {
    let set = owner::controller_name::<ReplicaSet>(&pod.metadata)?;
    owning::owner::<Deployment>(&sets.get(pod.metadata.namespace.as_deref()?, set)?.metadata)
}
