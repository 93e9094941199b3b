//! Mirrors Endpoints that somebody wrote by hand, for a Service without selector, to EndpointSlices.
//!
//! Upstream: `pkg/controller/endpointslicemirroring`.

mod plan;
mod reconcile;

use crate::scaffold::{Context, Lane};
use client::ObjectKey;
use client::informer::Change;
use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

/// The controller's name.
pub const NAME: &str = "endpointslice-mirroring-controller";

/// Starts it.
pub fn start(context: &Context) {
    let flags = context.options.mirroring;
    let mut lane = Lane::new(context, NAME);
    // Endpoints and Service have the same name.
    let services = lane.watches::<Service>();
    let slices = lane.maps(|change: &Change<EndpointSlice>| plan::mirrored_from(change.object()).into_iter().collect());
    let batch = flags.mirroring_endpointslice_updates_batch_period.0;
    let queue = lane.queue();
    let endpoints = lane.reads::<Endpoints>();
    endpoints.subscribe(move |change| queue.add_after(ObjectKey::of(&**change.object()), batch));
    let controller = reconcile::Mirrors {
        client: context.client.clone(),
        recorder: context.recorder("endpoint-slice-mirroring-controller"),
        services,
        endpoints,
        slices,
        writes: lane.writes(),
        most: flags.mirroring_max_endpoints_per_subset.clamp(1, 1000),
    };
    lane.run(flags.mirroring_concurrent_service_endpoint_syncs, controller);
}
