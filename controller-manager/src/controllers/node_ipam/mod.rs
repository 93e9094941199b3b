//! Gives each node a pod CIDR of its own.
//!
//! Upstream: `pkg/controller/nodeipam/ipam` (RangeAllocator).

mod plan;
mod reconcile;

use crate::scaffold::{Context, Lane};
use client::informer::Change;
use k8s_openapi::api::core::v1::Node;
use parking_lot::Mutex;
use std::sync::Arc;

/// The controller's name.
pub const NAME: &str = "node-ipam-controller";

/// Starts it, with `--allocate-node-cidrs`.
pub fn start(context: &Context) {
    let ipam = &context.options.ipam;
    if !ipam.allocate {
        return;
    }
    let mask = |net: &ipnet::IpNet| if net.addr().is_ipv6() { ipam.mask_v6 } else { ipam.mask_v4 };
    let pools =
        ipam.cluster_cidrs.iter().filter_map(|net| plan::Pool::new(*net, mask(net), &ipam.service_cidrs)).collect();
    let pools = Arc::new(Mutex::new(plan::Pools::new(pools)));
    let mut lane = Lane::new(context, NAME);
    let freed = Arc::clone(&pools);
    let nodes = lane.watches::<Node>();
    // Taken and freed in the order of events, before any node is worked on.
    nodes.subscribe(move |change: &Change<Node>| match change {
        Change::Added(node) | Change::Updated(_, node) => freed.lock().take(node),
        Change::Deleted(node) => freed.lock().free(node),
    });
    let (recorder, writes) = (context.recorder("cidrAllocator"), lane.writes());
    lane.run(1, reconcile::NodeIpam { client: context.client.clone(), nodes, pools, recorder, writes });
}
