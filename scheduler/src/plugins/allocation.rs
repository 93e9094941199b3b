//! How much of a node's resources is taken, with a pod and without it; what scores by resources
//! have in common.
//!
//! Upstream: `plugins/noderesources/resource_allocation.go`.

use crate::config::args::ResourceSpec;
use crate::model::{Nodes, Pod};
use std::sync::Arc;

/// A resource that scores look at, and how much it counts.
#[derive(Clone, Debug)]
pub(super) struct Weighed {
    resource: Resource,
    /// 1 to 100.
    pub weight: i64,
}

#[derive(Clone, Debug)]
enum Resource {
    Cpu,
    Memory,
    Ephemeral,
    Scalar(Arc<str>),
}

/// What containers count as that ask for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// As a little.
    Assumed,
    /// As nothing.
    Zero,
}

/// How much a node has, and how much of it is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allocation {
    pub allocatable: i64,
    /// By the pods that are there.
    pub before: i64,
    /// By them and the pod.
    pub after: i64,
}

impl Weighed {
    pub(super) fn all(specs: &[ResourceSpec]) -> Vec<Self> {
        let weighed = |spec: &ResourceSpec| Self { resource: Resource::of(&spec.name), weight: spec.weight };
        specs.iter().map(weighed).collect()
    }

    /// What the pod asks for.
    pub(super) fn asked(&self, pod: &Pod, missing: Missing) -> i64 {
        match (&self.resource, missing) {
            (Resource::Cpu, Missing::Assumed) => pod.weight_cpu,
            (Resource::Cpu, Missing::Zero) => pod.requests.cpu,
            (Resource::Memory, Missing::Assumed) => pod.weight_memory,
            (Resource::Memory, Missing::Zero) => pod.requests.memory,
            (Resource::Ephemeral, _) => pod.requests.ephemeral,
            (Resource::Scalar(name), _) => pod.requests.scalar(name),
        }
    }

    /// `None` if the resource does not count: the node has none, or the pod wants none of a scalar one.
    pub(super) fn on(&self, nodes: &Nodes, at: usize, asked: i64, missing: Missing) -> Option<Allocation> {
        let rare = &nodes.rare[at];
        let (allocatable, before) = match (&self.resource, missing) {
            (Resource::Cpu, Missing::Assumed) => (nodes.cpu[at], nodes.cpu_weight[at]),
            (Resource::Cpu, Missing::Zero) => (nodes.cpu[at], nodes.cpu_used[at]),
            (Resource::Memory, Missing::Assumed) => (nodes.memory[at], nodes.memory_weight[at]),
            (Resource::Memory, Missing::Zero) => (nodes.memory[at], nodes.memory_used[at]),
            (Resource::Ephemeral, _) => (rare.allocatable.ephemeral, rare.used.ephemeral),
            (Resource::Scalar(_), _) if asked == 0 => return None,
            (Resource::Scalar(name), _) => (rare.allocatable.scalar(name), rare.used.scalar(name)),
        };
        (allocatable != 0).then_some(Allocation { allocatable, before, after: before.saturating_add(asked) })
    }
}

impl Resource {
    fn of(name: &str) -> Self {
        match name {
            "cpu" => Self::Cpu,
            "memory" => Self::Memory,
            "ephemeral-storage" => Self::Ephemeral,
            _ => Self::Scalar(Arc::from(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::{node, pod};
    use crate::plugins::testing::cluster;

    #[test]
    fn amounts_are_of_the_node_and_with_the_pod() {
        let facts = node().cpu("4").allocatable("example.com/gpu", "8").facts();
        let used = pod("used").requests("1", "1Gi").request("example.com/gpu", "2").on("n").build();
        let cluster = cluster(vec![("n", facts)], vec![used]);
        let asking = pod("p").requests("500m", "1Gi").request("example.com/gpu", "1").build();
        let table =
            [("cpu", Some((4000, 1000, 1500))), ("example.com/gpu", Some((8, 2, 3))), ("ephemeral-storage", None)];
        for (name, expected) in table {
            let weighed = &Weighed::all(&[ResourceSpec { name: name.into(), weight: 1 }])[0];
            let asked = weighed.asked(&asking, Missing::Zero);
            let allocation = weighed.on(&cluster.nodes, 0, asked, Missing::Zero);
            assert_eq!(allocation.map(|a| (a.allocatable, a.before, a.after)), expected, "{name}");
        }
        let gpu = &Weighed::all(&[ResourceSpec { name: "example.com/gpu".into(), weight: 1 }])[0];
        assert_eq!(gpu.on(&cluster.nodes, 0, 0, Missing::Zero), None);
    }
}
