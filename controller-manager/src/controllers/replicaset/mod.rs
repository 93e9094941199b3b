//! Keeps as many pods of a template as a replica set, or a replication controller, asks for.
//!
//! Upstream: `pkg/controller/replicaset`.

mod kind;
mod plan;
mod reconcile;

use crate::objects::owner;
use crate::scaffold::pod_control::PodControl;
use crate::scaffold::{Context, Lane};
use client::informer::Change;
use client::{Informer, ObjectKey};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kind::Replicating;

/// The controller's name.
pub const NAME: &str = "replicaset-controller";

/// Starts it.
pub fn start(context: &Context) {
    start_for::<ReplicaSet>(context, NAME, "replicaset-controller", context.options.workers.replicaset);
}

/// Starts the controller of one of the kinds that keep a number of pods.
pub(super) fn start_for<K: Replicating>(
    context: &Context,
    name: &'static str,
    component: &'static str,
    workers: usize,
) {
    let mut lane = Lane::new(context, name);
    let sets = lane.watches::<K>();
    let for_orphans = sets.clone();
    let pods = lane.maps(move |change: &Change<Pod>| owners(change, &for_orphans));
    let control = PodControl {
        client: context.client.clone(),
        recorder: context.recorder(component),
        pods,
        writes: lane.writes(),
    };
    lane.run(workers, reconcile::Replicas { sets, control });
}

/// The sets that a change of a pod concerns: its owner before and after; for an orphan all that
/// could adopt it.
fn owners<K: Replicating>(change: &Change<Pod>, sets: &Informer<K>) -> Vec<ObjectKey> {
    let owner = |pod: &Pod| {
        let name = owner::controller_name::<K>(&pod.metadata)?.to_owned();
        Some(ObjectKey { namespace: pod.metadata.namespace.clone().unwrap_or_default(), name })
    };
    let mut keys: Vec<_> = owner(change.object()).into_iter().collect();
    if let Change::Updated(before, _) = change {
        keys.extend(owner(before).filter(|before| !keys.contains(before)));
    }
    if !matches!(change, Change::Deleted(_)) && owner::controller_of(&change.object().metadata).is_none() {
        keys.extend(adopters(change.object(), sets));
    }
    keys
}

fn adopters<K: Replicating>(orphan: &Pod, sets: &Informer<K>) -> Vec<ObjectKey> {
    let labels = orphan.metadata.labels.as_ref();
    let sets = sets.list_namespace(orphan.metadata.namespace.as_deref().unwrap_or_default());
    let selects = |set: &K| {
        let selector = set.selector().ok();
        selector.is_some_and(|selector| !selector.is_empty() && selector.matches(labels))
    };
    sets.iter().filter(|set| selects(set)).map(|set| ObjectKey::of(&**set)).collect()
}
