//! Rather nodes whose CPU and memory are used in equal parts.

use crate::cluster::Cluster;
use crate::framework::{MAX_SCORE, Score};
use crate::model::{NodeId, Pod};

/// The plugin, on CPU and memory.
#[derive(Debug)]
pub(super) struct NodeResourcesBalancedAllocation;

impl Score for NodeResourcesBalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn concerns(&self, _cluster: &Cluster, pod: &Pod) -> bool {
        !pod.requests.is_zero()
    }

    fn score(&self, cluster: &Cluster, pod: &Pod, nodes: &[NodeId], scores: &mut [i64]) {
        let columns = &cluster.nodes;
        for (&node, score) in nodes.iter().zip(scores) {
            let at = node as usize;
            let cpu = fraction(columns.cpu_used[at] + pod.requests.cpu, columns.cpu[at]);
            let memory = fraction(columns.memory_used[at] + pod.requests.memory, columns.memory[at]);
            *score = match (cpu, memory) {
                // The standard deviation of two numbers is half their distance.
                (Some(cpu), Some(memory)) => ((1.0 - (cpu - memory).abs() / 2.0) * MAX_SCORE as f64) as i64,
                _ => MAX_SCORE,
            };
        }
    }
}

fn fraction(requested: i64, capacity: i64) -> Option<f64> {
    (capacity > 0).then(|| (requested as f64 / capacity as f64).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::{node, pod};
    use crate::plugins::testing::{cluster, scores};

    #[test]
    fn equal_parts_score_highest() {
        let used = pod("used").requests("3", "1Gi").on("lopsided").build();
        let cluster = cluster(vec![("lopsided", node().facts()), ("even", node().facts())], vec![used]);
        let pod = pod("p").requests("1", "4Gi").build();
        assert_eq!(scores(&NodeResourcesBalancedAllocation, &cluster, &pod), [65, 100]);
    }
}
