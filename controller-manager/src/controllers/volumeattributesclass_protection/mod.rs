//! Keeps a volume attributes class that is being deleted until no claim and no volume has it.
//!
//! Upstream: `pkg/controller/volume/vacprotection`.

mod plan;
mod reconcile;

use crate::scaffold::{Context, Lane};
use client::ObjectKey;
use client::informer::Change;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

/// The controller's name.
pub const NAME: &str = "volumeattributesclass-protection-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let classes = lane.watches();
    let claims = lane.maps(|change: &Change<PersistentVolumeClaim>| released(change, plan::of_claim));
    let volumes = lane.maps(|change: &Change<PersistentVolume>| released(change, plan::of_volume));
    lane.run(1, reconcile::Classes { client: context.client.clone(), classes, claims, volumes });
}

/// The classes that an object had and has no more.
fn released<K>(change: &Change<K>, classes: fn(&K) -> Vec<String>) -> Vec<ObjectKey> {
    let names = match change {
        Change::Added(_) => Vec::new(),
        Change::Updated(before, after) => {
            let now = classes(after);
            classes(before).into_iter().filter(|name| !now.contains(name)).collect()
        }
        Change::Deleted(object) => classes(object),
    };
    names.into_iter().map(|name| ObjectKey { namespace: String::new(), name }).collect()
}
