//! Approves the client certificates that kubelets ask for, if they may ask for them.
//!
//! Upstream: `pkg/controller/certificates/approver`.

mod plan;
mod reconcile;

use crate::scaffold::{Context, Lane};

/// The controller's name.
pub const NAME: &str = "certificatesigningrequest-approving-controller";
const WORKERS: usize = 5;

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let requests = lane.watches();
    lane.run(WORKERS, reconcile::Approver { client: context.client.clone(), requests });
}
