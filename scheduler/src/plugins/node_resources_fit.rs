//! Enough of every resource; and rather nodes of which little is taken.

use super::allocation::{Allocation, Missing, Weighed};
use crate::cluster::Cluster;
use crate::config::args::{ResourcesFitArgs, ScoringStrategy};
use crate::framework::{Candidates, Event, Filter, MAX_SCORE, Rejection, Remedy, Score};
use crate::model::{NodeId, Nodes, Pod};
use crate::plugins::dynamic_resources::extended;
use smallvec::SmallVec;
use std::borrow::Cow;

/// The plugin.
#[derive(Debug)]
pub(super) struct NodeResourcesFit {
    ignored: Vec<String>,
    /// What is before the slash.
    ignored_groups: Vec<String>,
    resources: Vec<Weighed>,
    strategy: Strategy,
}

/// Which nodes are liked.
#[derive(Debug)]
enum Strategy {
    /// Those of which little is taken, counting CPU and memory only, in equal parts.
    UsualLeast,
    /// Those of which little is taken.
    Least,
    /// Those of which much is taken.
    Most,
    /// By a function of the taken part in percent: its points, with scores up to [`MAX_SCORE`].
    Ratio(Vec<(i64, i64)>),
}

const NAME: &str = "NodeResourcesFit";
/// The scores of a function's points are configured as 0 to 10.
const CONFIGURED_SCORE: i64 = 10;

impl NodeResourcesFit {
    pub(super) fn new(args: &ResourcesFitArgs) -> Self {
        let strategy = &args.scoring_strategy;
        Self {
            ignored: args.ignored_resources.clone(),
            ignored_groups: args.ignored_resource_groups.clone(),
            resources: Weighed::all(&strategy.resources),
            strategy: Strategy::of(strategy),
        }
    }

    fn ignores(&self, resource: &str) -> bool {
        let group = resource.split_once('/').map(|(group, _)| group);
        group.is_some_and(|group| self.ignored_groups.iter().any(|ignored| ignored == group))
            || self.ignored.iter().any(|ignored| ignored == resource)
    }

    /// All that is missing; nothing, if only the rare resources needed a look.
    fn explain(&self, cluster: &Cluster, node: NodeId, pod: &Pod) -> Result<(), Rejection> {
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
        // Of what devices stand for the claim that it becomes says whether there is enough.
        let counts = |name: &str| !self.ignores(name) && !extended::is_by_devices(cluster, node, name);
        for (name, asked) in pod.requests.scalars.iter().filter(|(name, _)| counts(name)) {
            let reason = || format!("Insufficient {name}").into();
            check(*asked, rare.used.scalar(name), rare.allocatable.scalar(name), &reason);
        }
        if reasons.is_empty() {
            return Ok(());
        }
        Err(Rejection { reasons, remedy: if could_help { Remedy::Preemption } else { Remedy::None } })
    }
}

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
            if fits { Ok(()) } else { self.explain(cluster, node, pod) }
        });
    }

    fn is_woken_by(&self, event: &Event) -> bool {
        matches!(
            event,
            Event::NodeAdded | Event::NodeAllocatable | Event::PodRemoved | Event::PodScaledDown | Event::DeviceClass
        )
    }
}

impl Score for NodeResourcesFit {
    fn name(&self) -> &'static str {
        NAME
    }

    fn score(&self, cluster: &Cluster, pod: &Pod, nodes: &[NodeId], scores: &mut [i64]) {
        match &self.strategy {
            Strategy::UsualLeast => usual(&cluster.nodes, pod, nodes, scores),
            Strategy::Least => self.weigh(&cluster.nodes, pod, nodes, scores, least),
            Strategy::Most => self.weigh(&cluster.nodes, pod, nodes, scores, most),
            Strategy::Ratio(points) => self.shape(&cluster.nodes, pod, nodes, scores, points),
        }
    }
}

impl Strategy {
    fn of(strategy: &ScoringStrategy) -> Self {
        match strategy.kind.as_str() {
            "MostAllocated" => Self::Most,
            "RequestedToCapacityRatio" => {
                let shape = strategy.requested_to_capacity_ratio.iter().flat_map(|ratio| &ratio.shape);
                let scale = MAX_SCORE / CONFIGURED_SCORE;
                Self::Ratio(shape.map(|point| (point.utilization.into(), i64::from(point.score) * scale)).collect())
            }
            _ if *strategy == ScoringStrategy::default() => Self::UsualLeast,
            _ => Self::Least,
        }
    }
}

impl NodeResourcesFit {
    /// The mean of each resource's score, by their weights.
    fn weigh(&self, columns: &Nodes, pod: &Pod, nodes: &[NodeId], scores: &mut [i64], one: fn(Allocation) -> i64) {
        let asked = self.asked(pod);
        for (&node, score) in nodes.iter().zip(scores) {
            let (mut sum, mut weights) = (0, 0);
            for (resource, asked) in self.resources.iter().zip(&asked) {
                let Some(allocation) = resource.on(columns, node as usize, *asked, Missing::Assumed) else { continue };
                sum += one(allocation) * resource.weight;
                weights += resource.weight;
            }
            *score = if weights == 0 { 0 } else { sum / weights };
        }
    }

    /// The mean of what the function says of each resource, where it says anything.
    fn shape(&self, columns: &Nodes, pod: &Pod, nodes: &[NodeId], scores: &mut [i64], points: &[(i64, i64)]) {
        let asked = self.asked(pod);
        for (&node, score) in nodes.iter().zip(scores) {
            let (mut sum, mut weights) = (0, 0);
            for (resource, asked) in self.resources.iter().zip(&asked) {
                let Some(allocation) = resource.on(columns, node as usize, *asked, Missing::Assumed) else { continue };
                let part = match allocation.after > allocation.allocatable {
                    true => 100,
                    false => allocation.after * 100 / allocation.allocatable,
                };
                let one = interpolate(points, part);
                if one > 0 {
                    sum += one * resource.weight;
                    weights += resource.weight;
                }
            }
            *score = if weights == 0 { 0 } else { (sum as f64 / weights as f64).round() as i64 };
        }
    }

    fn asked(&self, pod: &Pod) -> Vec<i64> {
        self.resources.iter().map(|resource| resource.asked(pod, Missing::Assumed)).collect()
    }
}

/// [`Strategy::UsualLeast`].
fn usual(columns: &Nodes, pod: &Pod, nodes: &[NodeId], scores: &mut [i64]) {
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

fn least(allocation: Allocation) -> i64 {
    unused(allocation.allocatable, allocation.after)
}

fn most(allocation: Allocation) -> i64 {
    allocation.after.min(allocation.allocatable) * MAX_SCORE / allocation.allocatable
}

/// The part of the capacity that is left, of [`MAX_SCORE`].
fn unused(capacity: i64, requested: i64) -> i64 {
    if capacity == 0 || requested > capacity { 0 } else { (capacity - requested) * MAX_SCORE / capacity }
}

/// A function that is linear between its points, and level before the first and after the last.
fn interpolate(points: &[(i64, i64)], at: i64) -> i64 {
    match points.iter().position(|(x, _)| at <= *x) {
        None => points.last().map_or(0, |(_, y)| *y),
        Some(0) => points[0].1,
        Some(next) => {
            let ((x0, y0), (x1, y1)) = (points[next - 1], points[next]);
            y0 + (y1 - y0) * (at - x0) / (x1 - x0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::{node, pod};
    use crate::plugins::testing::{cluster, rejections, scores};
    use serde_json::{Value, json};

    fn fit(args: Value) -> NodeResourcesFit {
        NodeResourcesFit::new(&serde_json::from_value(args).unwrap())
    }

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
            assert_eq!(rejections(&fit(json!({})), &cluster, &pod.build()), expected);
        }
    }

    #[test]
    fn extended_resources_are_counted() {
        let gpu = node().allocatable("example.com/gpu", "2").facts();
        let used = pod("used").request("example.com/gpu", "1").on("a").build();
        let cluster = cluster(vec![("a", gpu)], vec![used]);
        assert!(rejections(&fit(json!({})), &cluster, &pod("p").request("example.com/gpu", "1").build()).is_empty());
        let two = pod("p").request("example.com/gpu", "2").build();
        assert_eq!(rejections(&fit(json!({})), &cluster, &two), ["a: Insufficient example.com/gpu"]);
    }

    #[test]
    fn the_emptier_node_scores_higher() {
        let used = pod("used").requests("2", "8Gi").on("half").build();
        let cluster = cluster(vec![("half", node().facts()), ("empty", node().facts())], vec![used]);
        let pod = pod("p").requests("1", "4Gi").build();
        assert_eq!(scores(&fit(json!({})), &cluster, &pod), [25, 75]);
    }

    #[test]
    fn ignored_resources_do_not_matter() {
        let cluster = cluster(vec![("a", node().facts())], vec![]);
        let asks = pod("p").request("example.com/gpu", "1").request("other.com/x", "1").build();
        let table = [
            (json!({}), vec!["a!: Insufficient example.com/gpu, Insufficient other.com/x"]),
            (json!({"ignoredResources": ["example.com/gpu"]}), vec!["a!: Insufficient other.com/x"]),
            (json!({"ignoredResources": ["other.com/x"], "ignoredResourceGroups": ["example.com"]}), vec![]),
        ];
        for (args, expected) in table {
            assert_eq!(rejections(&fit(args), &cluster, &asks), expected);
        }
    }

    #[test]
    fn strategies_like_what_they_say() {
        let used = pod("used").requests("2", "8Gi").request("example.com/gpu", "1").on("half").build();
        let facts = || node().allocatable("example.com/gpu", "4").facts();
        let cluster = cluster(vec![("half", facts()), ("empty", facts())], vec![used]);
        let pod = pod("p").requests("1", "4Gi").request("example.com/gpu", "1").build();
        let resources = json!([{"name": "cpu", "weight": 1}, {"name": "example.com/gpu", "weight": 3}]);
        let ratio = json!({"shape": [{"utilization": 0, "score": 0}, {"utilization": 100, "score": 10}]});
        let table = [
            (json!({"type": "LeastAllocated", "resources": resources}), [43, 75]),
            (json!({"type": "MostAllocated", "resources": resources}), [56, 25]),
            (json!({"type": "MostAllocated"}), [75, 25]),
            (json!({"type": "RequestedToCapacityRatio", "requestedToCapacityRatio": ratio}), [75, 25]),
        ];
        for (strategy, expected) in table {
            let plugin = fit(json!({"scoringStrategy": strategy}));
            assert_eq!(scores(&plugin, &cluster, &pod), expected, "{strategy}");
        }
    }

    #[test]
    fn a_function_is_linear_between_its_points() {
        let points = [(10, 100), (50, 0), (90, 40)];
        for (at, expected) in [(0, 100), (10, 100), (30, 50), (50, 0), (70, 20), (90, 40), (100, 40)] {
            assert_eq!(interpolate(&points, at), expected, "{at}");
        }
    }
}
