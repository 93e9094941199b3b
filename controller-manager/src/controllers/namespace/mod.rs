//! Empties a namespace that is being deleted, pods first, then lets it go.
//!
//! Upstream: `pkg/controller/namespace`.

mod plan;
mod reconcile;

use crate::scaffold::{Context, Lane};
use client::ObjectKey;
use client::informer::Change;
use k8s_openapi::api::core::v1::{Namespace, Pod};

/// The controller's name.
pub const NAME: &str = "namespace-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let namespaces = lane.maps(|change: &Change<Namespace>| match change {
        Change::Added(namespace) | Change::Updated(_, namespace) if namespace.metadata.deletion_timestamp.is_some() => {
            vec![ObjectKey::of(&**namespace)]
        }
        _ => Vec::new(),
    });
    let pods = context.informers.of::<Pod>();
    let (emptied, dying) = (pods.clone(), namespaces.clone());
    lane.maps(move |change: &Change<Pod>| match change {
        Change::Deleted(pod) => {
            let name = pod.metadata.namespace.clone().unwrap_or_default();
            let is_dying =
                dying.get("", &name).is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_some());
            // The last pod is gone: no need to wait for the estimate.
            let is_last = is_dying && emptied.list_namespace(&name).is_empty();
            is_last.then_some(ObjectKey { namespace: String::new(), name }).into_iter().collect()
        }
        _ => Vec::new(),
    });
    lane.run(context.options.workers.namespace, reconcile::Namespaces { client: context.client.clone(), namespaces });
}
