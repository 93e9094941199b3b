//! Deletes certificate signing requests that have served, or that nobody cares for.
//!
//! Upstream: `pkg/controller/certificates/cleaner`.

mod plan;
mod reconcile;

use crate::scaffold::{Context, Lane};
use client::ObjectKey;

/// The controller's name.
pub const NAME: &str = "certificatesigningrequest-cleaner-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let requests = lane.reads();
    // The one key: all requests are looked at together.
    lane.queue().add(ObjectKey { namespace: String::new(), name: "all".to_owned() });
    lane.run(1, reconcile::Cleaner { client: context.client.clone(), requests });
}
