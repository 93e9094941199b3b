//! Tells kubelets how long they may keep secrets and config maps: the longer, the more nodes ask.
//!
//! Upstream: `pkg/controller/ttl`.

mod plan;
mod reconcile;

use crate::scaffold::{Context, Lane};
use client::ObjectKey;
use client::informer::Change;
use k8s_openapi::api::core::v1::Node;
use parking_lot::Mutex;
use std::sync::Arc;

/// The controller's name.
pub const NAME: &str = "ttl-controller";
const WORKERS: usize = 5;

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let size = Arc::new(Mutex::new(plan::Size::default()));
    let counted = Arc::clone(&size);
    let nodes = lane.maps(move |change: &Change<Node>| match change {
        Change::Deleted(_) => {
            counted.lock().shrink();
            Vec::new()
        }
        Change::Added(node) => {
            counted.lock().grow();
            vec![ObjectKey::of(&**node)]
        }
        Change::Updated(_, node) => vec![ObjectKey::of(&**node)],
    });
    lane.run(WORKERS, reconcile::Ttl { client: context.client.clone(), nodes, size });
}
