//! Notices nodes that fall silent, taints nodes by their conditions, and limits how fast nodes of
//! a zone are given up.
//!
//! Upstream: `pkg/controller/nodelifecycle`.

mod plan;
mod reconcile;

use crate::scaffold::{Context, Lane};
use client::ObjectKey;
use client::informer::Change;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;

/// The controller's name.
pub const NAME: &str = "node-lifecycle-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let nodes = lane.maps(|change: &Change<Node>| match change {
        Change::Updated(before, after) if !plan::taints::concern(before, after) => Vec::new(),
        Change::Deleted(_) => Vec::new(),
        _ => vec![ObjectKey::of(&**change.object())],
    });
    let leases = lane.reads::<Lease>();
    let pods = lane.reads::<Pod>();
    lane.queue().add(all_nodes());
    let controller = reconcile::NodeLifecycle {
        client: context.client.clone(),
        recorder: context.recorder("node-controller"),
        nodes,
        leases,
        pods,
        writes: lane.writes(),
        options: context.options.nodes.clone(),
        watch: Mutex::default(),
    };
    lane.run(8, controller);
}

/// The key of the periodic look at the health of all nodes. No node has a namespace.
fn all_nodes() -> ObjectKey {
    ObjectKey { namespace: "all".to_owned(), name: "nodes".to_owned() }
}
