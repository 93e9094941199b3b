//! Makes the claims of pods' ephemeral volumes. They go with their pods: the garbage collector's
//! business.
//!
//! Upstream: `pkg/controller/volume/ephemeral`.

mod plan;
mod reconcile;

use crate::scaffold::informers::trims::BY_CLAIM;
use crate::scaffold::{Context, Lane};
use client::ObjectKey;
use client::informer::Change;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

/// The controller's name.
pub const NAME: &str = "ephemeral-volume-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let pods = lane.maps(|change: &Change<Pod>| match change {
        // Volumes of a pod never change.
        Change::Added(pod) if plan::has_ephemeral(pod) => vec![ObjectKey::of(&**pod)],
        _ => Vec::new(),
    });
    let users = pods.clone();
    let claims = lane.maps(move |change: &Change<PersistentVolumeClaim>| match change {
        Change::Deleted(claim) => {
            let users = users.by_index(BY_CLAIM, &ObjectKey::of(&**claim).to_string());
            users.iter().filter(|pod| plan::has_ephemeral(pod)).map(|pod| ObjectKey::of(&**pod)).collect()
        }
        _ => Vec::new(),
    });
    let recorder = context.recorder("ephemeral_volume");
    let workers = context.options.volumes.concurrent_ephemeralvolume_syncs;
    lane.run(workers, reconcile::Volumes { client: context.client.clone(), recorder, pods, claims });
}
