//! Deletes pods that do not tolerate the NoExecute taints of their node, or no longer.
//!
//! Upstream: `pkg/controller/tainteviction`.

mod plan;
mod reconcile;

use crate::objects::pods;
use crate::scaffold::informers::trims::BY_NODE;
use crate::scaffold::{Context, Lane};
use client::informer::Change;
use client::{Informer, ObjectKey};
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;

/// The controller's name.
pub const NAME: &str = "taint-eviction-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let all_nodes = context.informers.of::<Node>();
    let pods = lane.maps(move |change: &Change<Pod>| pod_to_check(change, &all_nodes).into_iter().collect());
    let on_node = pods.clone();
    let nodes = lane.maps(move |change: &Change<Node>| pods_to_check(change, &on_node));
    let recorder = context.recorder("taint-eviction-controller");
    let client = context.client.clone();
    lane.run(8, reconcile::TaintEviction { client, nodes, pods, recorder, waiting: Mutex::default() });
}

/// Only pods on tainted nodes are of interest; only their binding and their tolerations.
fn pod_to_check(change: &Change<Pod>, nodes: &Informer<Node>) -> Option<ObjectKey> {
    let pod = change.object();
    let tolerations = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.tolerations.clone());
    if let Change::Updated(before, after) = change
        && pods::node(before) == pods::node(after)
        && tolerations(before) == tolerations(after)
        && before.metadata.uid == after.metadata.uid
    {
        return None;
    }
    let node = nodes.get("", pods::node(pod))?;
    plan::no_execute(&node).next().map(|_| ObjectKey::of(&**pod))
}

fn pods_to_check(change: &Change<Node>, pods: &Informer<Pod>) -> Vec<ObjectKey> {
    let node = change.object();
    let is_same = match change {
        Change::Added(node) => plan::no_execute(node).next().is_none(),
        Change::Updated(before, after) => plan::no_execute(before).eq(plan::no_execute(after)),
        Change::Deleted(_) => true,
    };
    if is_same {
        return Vec::new();
    }
    let pods = pods.by_index(BY_NODE, node.metadata.name.as_deref().unwrap_or_default());
    pods.iter().map(|pod| ObjectKey::of(&**pod)).collect()
}
