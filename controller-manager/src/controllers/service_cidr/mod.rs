//! Marks service CIDRs as ready, and keeps one that is being deleted until no address needs it.
//!
//! Upstream: `pkg/controller/servicecidrs`.

mod plan;
mod reconcile;

use crate::scaffold::{Context, Lane};
use client::informer::Change;
use client::{Informer, ObjectKey};
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};

/// The controller's name.
pub const NAME: &str = "service-cidr-controller";
const WORKERS: usize = 5;

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let cidrs = lane.watches::<ServiceCIDR>();
    let queue = lane.queue();
    let all = cidrs.clone();
    // Another that comes or goes may free, or hold, those that overlap with it.
    cidrs.subscribe(move |change| {
        if !matches!(change, Change::Updated(..)) {
            let ranges = plan::ranges(change.object());
            concerned(&all, |cidr| plan::overlaps(cidr, &ranges)).into_iter().for_each(|key| queue.add(key));
        }
    });
    let of_addresses = cidrs.clone();
    let addresses = lane.maps(move |change: &Change<IPAddress>| match (change, plan::address(change.object())) {
        (Change::Updated(..), _) | (_, None) => Vec::new(),
        (_, Some(address)) => concerned(&of_addresses, |cidr| plan::contains(cidr, address)),
    });
    let recorder = context.recorder("service-cidr-controller");
    lane.run(WORKERS, reconcile::Cidrs { client: context.client.clone(), recorder, cidrs, addresses });
}

fn concerned(cidrs: &Informer<ServiceCIDR>, which: impl Fn(&ServiceCIDR) -> bool) -> Vec<ObjectKey> {
    cidrs.list().iter().filter(|cidr| which(cidr)).map(|cidr| ObjectKey::of(&**cidr)).collect()
}
