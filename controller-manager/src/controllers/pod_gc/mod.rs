//! Deletes pods that nobody else will: too many finished ones, those of nodes that are gone, those
//! that were deleted before they got a node.
//!
//! Upstream: `pkg/controller/podgc`.

mod plan;
mod reconcile;

use crate::scaffold::{Context, Lane};
use client::ObjectKey;
use client::informer::Change;
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;

/// The controller's name.
pub const NAME: &str = "pod-garbage-collector-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let pods = lane.reads::<Pod>();
    let nodes = lane.maps(|change: &Change<Node>| match change {
        Change::Deleted(_) => vec![whole()],
        _ => Vec::new(),
    });
    lane.queue().add(whole());
    let controller = reconcile::PodGc {
        client: context.client.clone(),
        pods,
        nodes,
        keep_finished: context.options.terminated_pods,
        missing: Mutex::default(),
    };
    lane.run(1, controller);
}

/// The one key: all pods are looked at together.
fn whole() -> ObjectKey {
    ObjectKey { namespace: String::new(), name: "all".to_owned() }
}
