//! Keeps the EndpointSlices of Services that have a selector.
//!
//! Upstream: `pkg/controller/endpointslice`, `staging/src/k8s.io/endpointslice`.

mod plan;
mod reconcile;

use crate::objects::serving;
use crate::scaffold::informers::trims::BY_NODE;
use crate::scaffold::{Context, Lane};
use client::informer::Change;
use client::{Informer, ObjectKey};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use parking_lot::Mutex;

/// The controller's name.
pub const NAME: &str = "endpointslice-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let services = lane.watches::<Service>();
    let for_pods = services.clone();
    let pods = lane.maps(move |change: &Change<Pod>| services_of(change, &for_pods));
    let (for_nodes, on_node) = (services.clone(), pods.clone());
    let nodes = lane.maps(move |change: &Change<Node>| services_on(change, &on_node, &for_nodes));
    let slices = lane.maps(|change: &Change<EndpointSlice>| service_of(change.object()).into_iter().collect());
    let writes = lane.writes();
    let controller = reconcile::Slices {
        client: context.client.clone(),
        services,
        pods,
        nodes,
        slices,
        writes,
        triggers: Mutex::default(),
        per_slice: context.options.endpoints_per_slice,
    };
    lane.run(context.options.workers.endpointslice, controller);
}

/// The Services whose selector matches the pod, before or after the change.
pub(super) fn services_of(change: &Change<Pod>, services: &Informer<Service>) -> Vec<ObjectKey> {
    match change {
        Change::Updated(before, after) if !serving::differ(before, after) => Vec::new(),
        Change::Updated(before, after) if before.metadata.labels != after.metadata.labels => {
            let mut keys = selecting(before, services);
            keys.extend(selecting(after, services));
            keys
        }
        _ => selecting(change.object(), services),
    }
}

fn selecting(pod: &Pod, services: &Informer<Service>) -> Vec<ObjectKey> {
    let candidates = services.list_namespace(pod.metadata.namespace.as_deref().unwrap_or_default());
    let labels = pod.metadata.labels.as_ref();
    let selects = |service: &Service| serving::selector(service).is_some_and(|selector| selector.matches(labels));
    candidates.iter().filter(|service| selects(service)).map(|service| ObjectKey::of(&**service)).collect()
}

/// The Services of a node's pods, if the node's zone is new.
fn services_on(change: &Change<Node>, pods: &Informer<Pod>, services: &Informer<Service>) -> Vec<ObjectKey> {
    let zone = |node: &Node| plan::zone(node).map(str::to_owned);
    if matches!(change, Change::Updated(before, after) if zone(before) == zone(after)) {
        return Vec::new();
    }
    let pods = pods.by_index(BY_NODE, change.object().metadata.name.as_deref().unwrap_or_default());
    pods.iter().flat_map(|pod| selecting(pod, services)).collect()
}

fn service_of(slice: &EndpointSlice) -> Option<ObjectKey> {
    let labels = slice.metadata.labels.as_ref()?;
    if labels.get(plan::MANAGED_BY).map(String::as_str) != Some(plan::MANAGER) {
        return None;
    }
    Some(ObjectKey { namespace: slice.metadata.namespace.clone()?, name: labels.get(plan::SERVICE_NAME)?.clone() })
}
