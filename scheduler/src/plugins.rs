//! The plugins, one file each: a pass over the columns, and a table of tests.
//!
//! Upstream: `pkg/scheduler/framework/plugins`.

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

use crate::framework::{Filter, Score};

/// All filters, in the order in which upstream's default profile runs them.
pub fn filters() -> Vec<Box<dyn Filter>> {
    vec![
        Box::new(node_unschedulable::NodeUnschedulable),
        Box::new(node_name::NodeName),
        Box::new(taint_toleration::TaintToleration),
        Box::new(node_affinity::NodeAffinity),
        Box::new(node_ports::NodePorts),
        Box::new(node_resources_fit::NodeResourcesFit),
        Box::new(volume_restrictions::VolumeRestrictions),
        Box::new(node_volume_limits::NodeVolumeLimits),
        Box::new(volume_binding::VolumeBinding),
        Box::new(volume_zone::VolumeZone),
        Box::new(pod_topology_spread::PodTopologySpread),
        Box::new(inter_pod_affinity::InterPodAffinity),
        Box::new(dynamic_resources::DynamicResources),
    ]
}

/// All scores with upstream's default weights.
pub fn scores() -> Vec<(Box<dyn Score>, i64)> {
    vec![
        (Box::new(taint_toleration::TaintToleration), 3),
        (Box::new(node_affinity::NodeAffinity), 2),
        (Box::new(node_resources_fit::NodeResourcesFit), 1),
        (Box::new(pod_topology_spread::PodTopologySpread), 2),
        (Box::new(inter_pod_affinity::InterPodAffinity), 2),
        (Box::new(dynamic_resources::DynamicResources), 2),
        (Box::new(balanced_allocation::NodeResourcesBalancedAllocation), 1),
        (Box::new(image_locality::ImageLocality), 1),
    ]
}

/// Plugins of upstream's that are part of the queue, the cache or the binding here, and so cannot
/// be switched off, or that are not built yet; known so that a configuration may name them.
pub const OTHERS: [&str; 5] =
    ["SchedulingGates", "PrioritySort", "DefaultPreemption", "DefaultBinder", "NodeDeclaredFeatures"];
