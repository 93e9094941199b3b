//! Keeps a claim that is being deleted until no pod uses it.
//!
//! Upstream: `pkg/controller/volume/pvcprotection`.

mod plan;
mod reconcile;

use crate::objects::claims;
use crate::scaffold::{Context, Lane};
use client::ObjectKey;
use client::informer::Change;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

/// The controller's name.
pub const NAME: &str = "persistentvolumeclaim-protection-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let claims = lane.maps(|change: &Change<PersistentVolumeClaim>| match change {
        Change::Deleted(_) => Vec::new(),
        change => vec![ObjectKey::of(&**change.object())],
    });
    let pods = lane.maps(freed);
    lane.run(1, reconcile::Claims { client: context.client.clone(), claims, pods });
}

/// The claims that a change of a pod may have freed.
fn freed(change: &Change<Pod>) -> Vec<ObjectKey> {
    let keys = |pod: &Pod| claims::of_pod(pod).into_iter().map(|claim| claim.key).collect();
    match change {
        Change::Deleted(pod) => keys(pod),
        Change::Updated(before, after) if before.metadata.uid != after.metadata.uid => {
            let mut freed: Vec<_> = keys(before);
            freed.extend(keys(after));
            freed
        }
        change if plan::may_free(change.object()) => keys(change.object()),
        _ => Vec::new(),
    }
}
