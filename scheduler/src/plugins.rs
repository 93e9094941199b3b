//! The plugins, one file each: a pass over the columns, and a table of tests.
//!
//! Upstream: `pkg/scheduler/framework/plugins`.

mod allocation;
mod balanced_allocation;
pub(crate) mod dynamic_resources;
mod image_locality;
mod inter_pod_affinity;
mod node_affinity;
mod node_name;
mod node_ports;
mod node_resources_fit;
mod node_unschedulable;
mod node_volume_limits;
mod pod_topology_spread;
mod taint_toleration;
pub(crate) mod volume_binding;
mod volume_restrictions;
mod volume_zone;

#[cfg(test)]
pub(crate) mod testing;

use crate::config::Args;
use crate::framework::{Filter, Score};

/// All filters, in the order in which upstream's default profile runs them.
pub fn filters(args: &Args) -> Vec<Box<dyn Filter>> {
    vec![
        Box::new(node_unschedulable::NodeUnschedulable),
        Box::new(node_name::NodeName),
        Box::new(taint_toleration::TaintToleration),
        Box::new(node_affinity::NodeAffinity::new(&args.node_affinity)),
        Box::new(node_ports::NodePorts),
        Box::new(node_resources_fit::NodeResourcesFit::new(&args.resources_fit)),
        Box::new(volume_restrictions::VolumeRestrictions),
        Box::new(node_volume_limits::NodeVolumeLimits),
        Box::new(volume_binding::VolumeBinding),
        Box::new(volume_zone::VolumeZone),
        Box::new(pod_topology_spread::PodTopologySpread::new(&args.topology_spread)),
        Box::new(inter_pod_affinity::InterPodAffinity::new(&args.inter_pod_affinity)),
        Box::new(dynamic_resources::DynamicResources::new(&args.dynamic_resources)),
    ]
}

/// All scores.
pub fn scores(args: &Args) -> Vec<Box<dyn Score>> {
    vec![
        Box::new(taint_toleration::TaintToleration),
        Box::new(node_affinity::NodeAffinity::new(&args.node_affinity)),
        Box::new(node_resources_fit::NodeResourcesFit::new(&args.resources_fit)),
        Box::new(pod_topology_spread::PodTopologySpread::new(&args.topology_spread)),
        Box::new(inter_pod_affinity::InterPodAffinity::new(&args.inter_pod_affinity)),
        Box::new(dynamic_resources::DynamicResources::new(&args.dynamic_resources)),
        Box::new(balanced_allocation::NodeResourcesBalancedAllocation::new(&args.balanced_allocation)),
        Box::new(image_locality::ImageLocality),
    ]
}
