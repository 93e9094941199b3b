//! Keeps the Endpoints of Services that have a selector.
//!
//! Upstream: `pkg/controller/endpoint`.

mod plan;
mod reconcile;

use super::endpointslice::services_of;
use crate::scaffold::{Context, Lane};
use client::informer::Change;
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use parking_lot::Mutex;

/// The controller's name.
pub const NAME: &str = "endpoints-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let services = lane.watches::<Service>();
    let for_pods = services.clone();
    let pods = lane.maps(move |change: &Change<Pod>| services_of(change, &for_pods));
    let endpoints = lane.watches::<Endpoints>();
    let writes = lane.writes();
    let client = context.client.clone();
    let controller = reconcile::EndpointsOf { client, services, pods, endpoints, writes, triggers: Mutex::default() };
    lane.run(context.options.workers.endpoints, controller);
}
