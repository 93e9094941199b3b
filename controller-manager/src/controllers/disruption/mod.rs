//! Says of each disruption budget how many of its pods may be evicted now, and takes back the
//! announcement of a disruption that did not come.
//!
//! Upstream: `pkg/controller/disruption`.

mod plan;
mod reconcile;
mod scale;
mod stale;

use crate::scaffold::{Context, Lane};
use client::informer::Change;
use client::{Informer, ObjectKey};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

/// The controller's name.
pub const NAME: &str = "disruption-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let budgets = lane.watches::<PodDisruptionBudget>();
    let of_pods = budgets.clone();
    let pods = lane.maps(move |change: &Change<Pod>| budgets_of(change, &of_pods));
    let scales = scale::Scales {
        client: context.client.clone(),
        controllers: lane.reads(),
        sets: lane.reads(),
        deployments: lane.reads(),
    };
    let recorder = context.recorder("controllermanager");
    lane.run(1, reconcile::Budgets { client: context.client.clone(), budgets, pods, scales, recorder });

    let mut lane = Lane::new(context, "disruption-stale-pods");
    let pods = lane.maps(|change: &Change<Pod>| match change {
        Change::Deleted(_) => Vec::new(),
        change if plan::announced(change.object()).is_none() => Vec::new(),
        change => vec![ObjectKey::of(&**change.object())],
    });
    lane.run(1, stale::Pods { client: context.client.clone(), pods });
}

/// The budgets that select the pod, before or after the change.
fn budgets_of(change: &Change<Pod>, budgets: &Informer<PodDisruptionBudget>) -> Vec<ObjectKey> {
    match change {
        Change::Updated(before, after) if !plan::differ(before, after) => Vec::new(),
        Change::Updated(before, after) if before.metadata.labels != after.metadata.labels => {
            let mut keys = selecting(before, budgets);
            keys.extend(selecting(after, budgets));
            keys
        }
        change => selecting(change.object(), budgets),
    }
}

fn selecting(pod: &Pod, budgets: &Informer<PodDisruptionBudget>) -> Vec<ObjectKey> {
    let candidates = budgets.list_namespace(pod.metadata.namespace.as_deref().unwrap_or_default());
    let selects = |budget: &PodDisruptionBudget| {
        plan::selector(budget).is_ok_and(|selector| selector.is_some_and(|s| s.matches(pod.metadata.labels.as_ref())))
    };
    candidates.iter().filter(|budget| selects(budget)).map(|budget| ObjectKey::of(&**budget)).collect()
}
