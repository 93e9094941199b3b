//! Deletes pods whose claims do not tolerate the NoExecute taints of the devices they were given.
//! Taints come with the devices' slices; rules that taint devices are behind a gate that is off.
//!
//! Upstream: `pkg/controller/devicetainteviction`.

mod plan;
mod reconcile;

use crate::objects::resources;
use crate::scaffold::informers::trims::BY_RESOURCE_CLAIM;
use crate::scaffold::{Context, Lane};
use client::informer::Change;
use client::{Informer, ObjectKey};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceSlice};
use parking_lot::Mutex;

/// The controller's name.
pub const NAME: &str = "device-taint-eviction-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let pods = lane.maps(|change: &Change<Pod>| match resources::has_claims(change.object()) {
        true => vec![ObjectKey::of(&**change.object())],
        false => Vec::new(),
    });
    let users = pods.clone();
    let claims = lane.maps(move |change: &Change<ResourceClaim>| users_of(&users, change.object()));
    let (users, known) = (pods.clone(), claims.clone());
    let slices = lane.maps(move |change: &Change<ResourceSlice>| tainted(&users, &known, change));
    let controller = reconcile::DeviceTaintEviction {
        client: context.client.clone(),
        recorder: context.recorder(NAME),
        pods,
        claims,
        slices,
        waiting: Mutex::default(),
    };
    lane.run(context.options.workers.device_taint_eviction, controller);
}

fn users_of(pods: &Informer<Pod>, claim: &ResourceClaim) -> Vec<ObjectKey> {
    let users = pods.by_index(BY_RESOURCE_CLAIM, &ObjectKey::of(claim).to_string());
    users.iter().map(|pod| ObjectKey::of(&**pod)).collect()
}

/// The pods with devices of the slice's pool, if its taints are not what they were.
fn tainted(pods: &Informer<Pod>, claims: &Informer<ResourceClaim>, change: &Change<ResourceSlice>) -> Vec<ObjectKey> {
    if let Change::Updated(before, after) = change
        && plan::same_taints(before, after)
    {
        return Vec::new();
    }
    let slice = change.object();
    let affected = claims.list().into_iter().filter(|claim| plan::has_device_of(claim, slice));
    affected.flat_map(|claim| users_of(pods, &claim)).collect()
}
