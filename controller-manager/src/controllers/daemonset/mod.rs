//! Keeps one pod of a daemon set's template on each node that fits.
//!
//! Upstream: `pkg/controller/daemon`.

mod history;
mod plan;
mod reconcile;

use crate::objects::owner;
use crate::scaffold::informers::trims::BY_NODE;
use crate::scaffold::owning::{self, owners};
use crate::scaffold::pod_control::PodControl;
use crate::scaffold::{Context, Lane};
use client::informer::Change;
use client::{Informer, ObjectKey};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;
use plan::{Fit, Placement};

/// The controller's name.
pub const NAME: &str = "daemonset-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let sets = lane.watches::<DaemonSet>();
    let known = sets.clone();
    let pods = lane.maps(move |change: &Change<Pod>| owners(change, &known));
    let known = sets.clone();
    let revisions = lane.maps(move |change: &Change<ControllerRevision>| owner_of_revision(change, &known));
    let (known, there) = (sets.clone(), pods.clone());
    let nodes = lane.maps(move |change: &Change<Node>| concerned(change, &known, &there));
    let control = PodControl {
        client: context.client.clone(),
        recorder: context.recorder("daemonset-controller"),
        pods,
        writes: lane.writes(),
    };
    let controller = reconcile::DaemonSets { sets, nodes, revisions, control, backoffs: Mutex::default() };
    lane.run(context.options.workers.daemon_set, controller);
}

/// Only what others do to revisions is news: its own the controller knows.
fn owner_of_revision(change: &Change<ControllerRevision>, sets: &Informer<DaemonSet>) -> Vec<ObjectKey> {
    let meta = &change.object().metadata;
    match change {
        Change::Deleted(_) => owning::owner::<DaemonSet>(meta).into_iter().collect(),
        _ if owner::controller_of(meta).is_none() => owning::adopters(meta, sets),
        _ => Vec::new(),
    }
}

/// The sets that a node gets or loses a pod of, or that may count it as misplaced no longer.
fn concerned(change: &Change<Node>, sets: &Informer<DaemonSet>, pods: &Informer<Pod>) -> Vec<ObjectKey> {
    let node = change.object();
    let taints = |node: &Node| node.spec.as_ref().and_then(|spec| spec.taints.clone());
    if let Change::Updated(before, after) = change
        && before.metadata.labels == after.metadata.labels
        && taints(before) == taints(after)
    {
        return Vec::new();
    }
    let there = pods.by_index(BY_NODE, node.metadata.name.as_deref().unwrap_or_default());
    let there: Vec<_> = there.iter().filter_map(|pod| owning::owner::<DaemonSet>(&pod.metadata)).collect();
    let is_gone = matches!(change, Change::Deleted(_));
    let is_news = |set: &DaemonSet, has_pod: bool| {
        let misplaced = set.status.as_ref().is_some_and(|status| status.number_misscheduled > 0);
        match if is_gone { Fit::No } else { Placement::of(set).fit(node) } {
            Fit::Runs => !has_pod || misplaced,
            Fit::Stays => has_pod && misplaced,
            // The status counts the node, if it counted before.
            Fit::No => true,
        }
    };
    let sets = sets.list();
    let keyed = sets.iter().map(|set| (set, ObjectKey::of(&**set)));
    keyed.filter(|(set, key)| is_news(set, there.contains(key))).map(|(_, key)| key).collect()
}
