//! Says whose work it is to expand a volume whose claim asks for more: that of the resizer beside
//! its driver.
//!
//! Upstream: `pkg/controller/volume/expand`.

mod plan;
mod reconcile;

use crate::scaffold::{Context, Lane};
use client::ObjectKey;
use client::informer::Change;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

/// The controller's name.
pub const NAME: &str = "persistentvolume-expander-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let claims = lane.maps(|change: &Change<PersistentVolumeClaim>| match change {
        Change::Updated(before, after) if !plan::grew(before, after) => Vec::new(),
        Change::Deleted(_) => Vec::new(),
        _ => vec![ObjectKey::of(&**change.object())],
    });
    let volumes = lane.reads();
    let recorder = context.recorder("volume_expand");
    lane.run(10, reconcile::Volumes { client: context.client.clone(), recorder, claims, volumes });
}
