//! Rolls a deployment's template out through replica sets.
//!
//! Upstream: `pkg/controller/deployment`.

mod plan;
mod reconcile;

use crate::objects::owner;
use crate::objects::selector::Selector;
use crate::scaffold::{Context, Lane};
use client::informer::Change;
use client::{Informer, ObjectKey};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The controller's name.
pub const NAME: &str = "deployment-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let deployments = lane.watches::<Deployment>();
    let for_orphans = deployments.clone();
    let sets = lane.maps(move |change: &Change<ReplicaSet>| owners(change, &for_orphans));
    let through = sets.clone();
    let pods = lane.maps(move |change: &Change<Pod>| match change {
        Change::Deleted(pod) => deployment_of(pod, &through).into_iter().collect(),
        _ => Vec::new(),
    });
    let recorder = context.recorder("deployment-controller");
    let writes = lane.writes();
    let controller =
        reconcile::Deployments { client: context.client.clone(), recorder, deployments, sets, pods, writes };
    lane.run(context.options.workers.deployment, controller);
}

fn owner(meta: &ObjectMeta) -> Option<ObjectKey> {
    let name = owner::controller_name::<Deployment>(meta)?.to_owned();
    Some(ObjectKey { namespace: meta.namespace.clone().unwrap_or_default(), name })
}

/// The deployments that a change of a replica set concerns.
fn owners(change: &Change<ReplicaSet>, deployments: &Informer<Deployment>) -> Vec<ObjectKey> {
    let set = change.object();
    let mut keys: Vec<_> = owner(&set.metadata).into_iter().collect();
    if let Change::Updated(before, _) = change {
        keys.extend(owner(&before.metadata).filter(|before| !keys.contains(before)));
    }
    if !matches!(change, Change::Deleted(_)) && owner::controller_of(&set.metadata).is_none() {
        keys.extend(adopters(set, deployments));
    }
    keys
}

fn adopters(orphan: &ReplicaSet, deployments: &Informer<Deployment>) -> Vec<ObjectKey> {
    let labels = orphan.metadata.labels.as_ref();
    let candidates = deployments.list_namespace(orphan.metadata.namespace.as_deref().unwrap_or_default());
    let selects = |deployment: &Deployment| {
        let selector = deployment.spec.as_ref().and_then(|spec| Selector::new(&spec.selector).ok());
        selector.is_some_and(|selector| !selector.is_empty() && selector.matches(labels))
    };
    candidates.iter().filter(|deployment| selects(deployment)).map(|deployment| ObjectKey::of(&**deployment)).collect()
}

/// A deleted pod can let a Recreate deployment go on.
fn deployment_of(pod: &Pod, sets: &Informer<ReplicaSet>) -> Option<ObjectKey> {
    let set = owner::controller_name::<ReplicaSet>(&pod.metadata)?;
    owner(&sets.get(pod.metadata.namespace.as_deref()?, set)?.metadata)
}
