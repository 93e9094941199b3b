//! Keeps the pods of a stateful set, each with a name and claims of its own.
//!
//! Upstream: `pkg/controller/statefulset`.

mod history;
mod plan;
mod reconcile;
mod storage;

use crate::objects::owner;
use crate::objects::selector::Selector;
use crate::scaffold::pod_control::PodControl;
use crate::scaffold::{Context, Lane};
use client::informer::Change;
use client::{Informer, ObjectKey};
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The controller's name.
pub const NAME: &str = "statefulset-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let sets = lane.watches::<StatefulSet>();
    let known = sets.clone();
    let pods = lane.maps(move |change: &Change<Pod>| owners(change, &known));
    let revisions = lane.reads::<ControllerRevision>();
    let claims = lane.reads::<PersistentVolumeClaim>();
    let control = PodControl {
        client: context.client.clone(),
        recorder: context.recorder("statefulset-controller"),
        pods,
        writes: lane.writes(),
    };
    let controller = reconcile::StatefulSets { sets, revisions, claims, control };
    lane.run(context.options.workers.stateful_set, controller);
}

/// The sets that a change of a pod concerns.
fn owners(change: &Change<Pod>, sets: &Informer<StatefulSet>) -> Vec<ObjectKey> {
    let owner = |meta: &ObjectMeta| {
        let name = owner::controller_name::<StatefulSet>(meta)?.to_owned();
        Some(ObjectKey { namespace: meta.namespace.clone().unwrap_or_default(), name })
    };
    let meta = &change.object().metadata;
    let mut keys: Vec<_> = owner(meta).into_iter().collect();
    if let Change::Updated(before, _) = change {
        keys.extend(owner(&before.metadata).filter(|before| !keys.contains(before)));
    }
    if !matches!(change, Change::Deleted(_)) && owner::controller_of(meta).is_none() {
        keys.extend(adopters(meta, sets));
    }
    keys
}

fn adopters(orphan: &ObjectMeta, sets: &Informer<StatefulSet>) -> Vec<ObjectKey> {
    let candidates = sets.list_namespace(orphan.namespace.as_deref().unwrap_or_default());
    let selects = |set: &StatefulSet| {
        let selector = set.spec.as_ref().and_then(|spec| Selector::new(&spec.selector).ok());
        selector.is_some_and(|selector| !selector.is_empty() && selector.matches(orphan.labels.as_ref()))
    };
    candidates.iter().filter(|set| selects(set)).map(|set| ObjectKey::of(&**set)).collect()
}
