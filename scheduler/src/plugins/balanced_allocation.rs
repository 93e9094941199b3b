//! Rather nodes whose resources are used in equal parts.
//!
//! Upstream: `plugins/noderesources/balanced_allocation.go`.

use super::allocation::{Missing, Weighed};
use crate::cluster::Cluster;
use crate::config::args::BalancedAllocationArgs;
use crate::framework::{MAX_SCORE, Score};
use crate::model::{NodeId, Pod};
use smallvec::SmallVec;

/// The plugin.
#[derive(Debug)]
pub(super) struct NodeResourcesBalancedAllocation {
    resources: Vec<Weighed>,
}

impl NodeResourcesBalancedAllocation {
    pub(super) fn new(args: &BalancedAllocationArgs) -> Self {
        Self { resources: Weighed::all(&args.resources) }
    }

    fn asked<'a>(&'a self, pod: &'a Pod) -> impl Iterator<Item = i64> + 'a {
        self.resources.iter().map(|resource| resource.asked(pod, Missing::Zero))
    }
}

impl Score for NodeResourcesBalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn concerns(&self, _cluster: &Cluster, pod: &Pod) -> bool {
        self.asked(pod).any(|asked| asked != 0)
    }

    fn score(&self, cluster: &Cluster, pod: &Pod, nodes: &[NodeId], scores: &mut [i64]) {
        let asked: SmallVec<[i64; 4]> = self.asked(pod).collect();
        for (&node, score) in nodes.iter().zip(scores) {
            let (mut before, mut after) = (Parts::new(), Parts::new());
            for (resource, asked) in self.resources.iter().zip(&asked) {
                if let Some(taken) = resource.on(&cluster.nodes, node as usize, *asked, Missing::Zero) {
                    before.push(part(taken.before, taken.allocatable));
                    after.push(part(taken.after, taken.allocatable));
                }
            }
            // What counts is by how much the pod betters the balance.
            let half = MAX_SCORE / 2;
            *score = half + (half + balance(&after) - balance(&before)) / 2;
        }
    }
}

type Parts = SmallVec<[f64; 4]>;

fn part(requested: i64, capacity: i64) -> f64 {
    (requested as f64 / capacity as f64).min(1.0)
}

/// [`MAX_SCORE`] if all parts are equal; less by their standard deviation.
fn balance(parts: &[f64]) -> i64 {
    let deviation = match parts {
        [] | [_] => 0.0,
        [one, other] => ((one - other) / 2.0).abs(),
        all => {
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            (all.iter().map(|part| (part - mean).powi(2)).sum::<f64>() / all.len() as f64).sqrt()
        }
    };
    ((1.0 - deviation) * MAX_SCORE as f64) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::{node, pod};
    use crate::plugins::testing::{cluster, scores};

    #[test]
    fn what_betters_the_balance_scores_highest() {
        let used = pod("used").requests("3", "1Gi").on("lopsided").build();
        let cluster = cluster(vec![("lopsided", node().facts()), ("even", node().facts())], vec![used]);
        let plugin = NodeResourcesBalancedAllocation::new(&BalancedAllocationArgs::default());
        let evenly = pod("p").requests("1", "4Gi").build();
        assert_eq!(scores(&plugin, &cluster, &evenly), [75, 75]);
        let memory = pod("p").request("memory", "4Gi").build();
        assert_eq!(scores(&plugin, &cluster, &memory), [81, 68]);
        assert!(!plugin.concerns(&cluster, &pod("p").request("example.com/gpu", "1").build()));
    }
}
