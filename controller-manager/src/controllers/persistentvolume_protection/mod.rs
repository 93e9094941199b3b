//! Keeps a volume that is being deleted until it is not bound any more.
//!
//! Upstream: `pkg/controller/volume/pvprotection`.

mod plan;
mod reconcile;

use crate::scaffold::{Context, Lane};

/// The controller's name.
pub const NAME: &str = "persistentvolume-protection-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let volumes = lane.watches();
    lane.run(1, reconcile::Volumes { client: context.client.clone(), volumes });
}
