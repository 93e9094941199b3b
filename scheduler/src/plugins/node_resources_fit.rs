//! Enough of every resource; and rather nodes of which little is taken.

use crate::cluster::Cluster;
use crate::framework::{Candidates, Event, Filter, MAX_SCORE, Rejection, Remedy, Score};
use crate::model::{NodeId, Pod};
use crate::plugins::dynamic_resources::extended;
use smallvec::SmallVec;
use std::borrow::Cow;

/// The plugin, with the scoring strategy `LeastAllocated` on CPU and memory.
#[derive(Debug)]
pub(super) struct NodeResourcesFit;

const NAME: &str = "NodeResourcesFit";

impl Filter for NodeResourcesFit {
    fn name(&self) -> &'static str {
        NAME
    }

    fn filter(&self, cluster: &Cluster, pod: &Pod, candidates: &mut Candidates) {
        let nodes = &cluster.nodes;
        let asks_rare = pod.requests.ephemeral > 0 || !pod.requests.scalars.is_empty();
        candidates.retain(NAME, |node| {
            let at = node as usize;
            let fits = nodes.pod_slots[at] > 0
                && (pod.requests.cpu == 0 || nodes.cpu_used[at] + pod.requests.cpu <= nodes.cpu[at])
                && (pod.requests.memory == 0 || nodes.memory_used[at] + pod.requests.memory <= nodes.memory[at])
                && !asks_rare;
            if fits { Ok(()) } else { explain(cluster, node, pod) }
        });
    }

    fn is_woken_by(&self, event: &Event) -> bool {
        matches!(event, Event::NodeAdded | Event::NodeAllocatable | Event::PodRemoved | Event::DeviceClass)
    }
}

/// All that is missing; nothing, if only the rare resources needed a look.
fn explain(cluster: &Cluster, node: NodeId, pod: &Pod) -> Result<(), Rejection> {
    let (nodes, at) = (&cluster.nodes, node as usize);
    let mut reasons: SmallVec<[Cow<'static, str>; 1]> = SmallVec::new();
    let mut could_help = true;
    if nodes.pod_slots[at] <= 0 {
        reasons.push("Too many pods".into());
    }
    let rare = &nodes.rare[at];
    let mut check = |asked: i64, used: i64, allocatable: i64, reason: &dyn Fn() -> Cow<'static, str>| {
        if asked > 0 && used + asked > allocatable {
            reasons.push(reason());
            // More than there is at all: driving pods away cannot help.
            could_help &= asked <= allocatable;
        }
    };
    check(pod.requests.cpu, nodes.cpu_used[at], nodes.cpu[at], &|| "Insufficient cpu".into());
    check(pod.requests.memory, nodes.memory_used[at], nodes.memory[at], &|| "Insufficient memory".into());
    check(pod.requests.ephemeral, rare.used.ephemeral, rare.allocatable.ephemeral, &|| {
        "Insufficient ephemeral-storage".into()
    });
    for (name, asked) in &pod.requests.scalars {
        // The claim that it becomes says whether there is enough.
        if extended::is_by_devices(cluster, node, name) {
            continue;
        }
        let reason = || format!("Insufficient {name}").into();
        check(*asked, rare.used.scalar(name), rare.allocatable.scalar(name), &reason);
    }
    if reasons.is_empty() {
        return Ok(());
    }
    Err(Rejection { reasons, remedy: if could_help { Remedy::Preemption } else { Remedy::None } })
}

impl Score for NodeResourcesFit {
    fn name(&self) -> &'static str {
        NAME
    }

    fn score(&self, cluster: &Cluster, pod: &Pod, nodes: &[NodeId], scores: &mut [i64]) {
        let columns = &cluster.nodes;
        for (&node, score) in nodes.iter().zip(scores) {
            let at = node as usize;
            let cpu = unused(columns.cpu[at], columns.cpu_weight[at] + pod.weight_cpu);
            let memory = unused(columns.memory[at], columns.memory_weight[at] + pod.weight_memory);
            *score = match (columns.cpu[at], columns.memory[at]) {
                (0, 0) => 0,
                (0, _) => memory,
                (_, 0) => cpu,
                _ => (cpu + memory) / 2,
            };
        }
    }
}

/// The part of the capacity that is left, of [`MAX_SCORE`].
fn unused(capacity: i64, requested: i64) -> i64 {
    if capacity == 0 || requested > capacity { 0 } else { (capacity - requested) * MAX_SCORE / capacity }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::{node, pod};
    use crate::plugins::testing::{cluster, rejections, scores};

    #[test]
    fn every_missing_resource_is_named() {
        let used = pod("used").requests("3", "1Gi").on("busy").build();
        let busy = node().cpu("4").memory("4Gi").facts();
        let small = node().cpu("1").memory("1Gi").facts();
        let full = node().allocatable("pods", "0").facts();
        let cluster = cluster(vec![("busy", busy), ("small", small), ("full", full)], vec![used]);
        let table = [
            (
                pod("p").requests("2", "2Gi"),
                vec!["busy: Insufficient cpu", "full: Too many pods", "small!: Insufficient cpu, Insufficient memory"],
            ),
            (pod("p").requests("100m", "1Mi"), vec!["full: Too many pods"]),
            (
                pod("p").request("example.com/gpu", "1"),
                vec![
                    "busy!: Insufficient example.com/gpu",
                    "full!: Too many pods, Insufficient example.com/gpu",
                    "small!: Insufficient example.com/gpu",
                ],
            ),
            (pod("p"), vec!["full: Too many pods"]),
        ];
        for (pod, expected) in table {
            assert_eq!(rejections(&NodeResourcesFit, &cluster, &pod.build()), expected);
        }
    }

    #[test]
    fn extended_resources_are_counted() {
        let gpu = node().allocatable("example.com/gpu", "2").facts();
        let used = pod("used").request("example.com/gpu", "1").on("a").build();
        let cluster = cluster(vec![("a", gpu)], vec![used]);
        assert!(rejections(&NodeResourcesFit, &cluster, &pod("p").request("example.com/gpu", "1").build()).is_empty());
        let two = pod("p").request("example.com/gpu", "2").build();
        assert_eq!(rejections(&NodeResourcesFit, &cluster, &two), ["a: Insufficient example.com/gpu"]);
    }

    #[test]
    fn the_emptier_node_scores_higher() {
        let used = pod("used").requests("2", "8Gi").on("half").build();
        let cluster = cluster(vec![("half", node().facts()), ("empty", node().facts())], vec![used]);
        let pod = pod("p").requests("1", "4Gi").build();
        assert_eq!(scores(&NodeResourcesFit, &cluster, &pod), [25, 75]);
    }
}
