//! One decision: where a pod goes, or why nowhere. Pure but for the draw between equals.
//!
//! Upstream: `pkg/scheduler/schedule_one.go`.

use crate::cluster::Cluster;
use crate::diagnosis::Diagnosis;
use crate::framework::Candidates;
use crate::model::{NodeId, Pod};
use crate::profile::Profile;

/// Where a pod goes.
#[derive(Debug)]
pub enum Decision {
    /// To this node.
    Place {
        /// The node.
        node: NodeId,
    },
    /// Nowhere, for these reasons.
    Reject(Diagnosis),
    /// Something is wrong with the pod or what it needs.
    Fail {
        /// What.
        why: String,
    },
}

/// Below this many feasible nodes all are compared.
const COMPARED_AT_LEAST: usize = 100;

/// Decides.
pub fn decide(profile: &Profile, percentage: i32, cluster: &Cluster, pod: &Pod) -> Decision {
    let live = cluster.nodes.live();
    for filter in profile.filters.iter().filter(|filter| filter.concerns(cluster, pod)) {
        if let Err(reason) = filter.admit(cluster, pod) {
            return Decision::Reject(Diagnosis::refused(live.len(), filter.name(), reason));
        }
    }
    let mut candidates = Candidates::new(live);
    for filter in &profile.filters {
        if candidates.nodes.is_empty() {
            break;
        }
        if filter.concerns(cluster, pod) {
            filter.filter(cluster, pod, &mut candidates);
        }
    }
    let Candidates { mut nodes, rejected, failure } = candidates;
    if let Some(why) = failure {
        return Decision::Fail { why };
    }
    match nodes.as_slice() {
        [] => return Decision::Reject(Diagnosis::new(live.len(), rejected)),
        [only] => return Decision::Place { node: *only },
        _ => {}
    }
    sample(&mut nodes, compared(live.len(), percentage));
    Decision::Place { node: best(profile, cluster, pod, &nodes) }
}

/// Of how many feasible nodes the scores are compared, as upstream computes it.
fn compared(nodes: usize, percentage: i32) -> usize {
    let percentage = match usize::try_from(percentage) {
        Ok(given) if given > 0 => given,
        _ => 50usize.saturating_sub(nodes / 125).max(5),
    };
    (nodes * percentage / 100).max(COMPARED_AT_LEAST)
}

/// Keeps `count` nodes from a random place on, so that all get their turn.
fn sample(nodes: &mut Vec<NodeId>, count: usize) {
    if nodes.len() > count {
        let start = rand::random_range(0..nodes.len());
        nodes.rotate_left(start);
        nodes.truncate(count);
    }
}

fn best(profile: &Profile, cluster: &Cluster, pod: &Pod, nodes: &[NodeId]) -> NodeId {
    let mut totals = vec![0i64; nodes.len()];
    let mut scores = vec![0i64; nodes.len()];
    for weighted in profile.scores.iter().filter(|weighted| weighted.score.concerns(cluster, pod)) {
        scores.fill(0);
        weighted.score.score(cluster, pod, nodes, &mut scores);
        for (total, score) in totals.iter_mut().zip(&scores) {
            *total += score * weighted.weight;
        }
    }
    let highest = totals.iter().copied().max().unwrap_or(0);
    let equals = totals.iter().filter(|total| **total == highest).count();
    let chosen = rand::random_range(0..equals.max(1));
    let mut best = nodes.iter().zip(&totals).filter(|(_, total)| **total == highest).map(|(node, _)| *node);
    best.nth(chosen).unwrap_or(nodes[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ProfileConfig;
    use crate::model::builders::{node, pod};
    use crate::plugins::testing::cluster;

    fn place(cluster: &Cluster, pod: &Pod) -> String {
        let profile = Profile::new(&ProfileConfig::default()).unwrap();
        match decide(&profile, 0, cluster, pod) {
            Decision::Place { node } => cluster.nodes.name(node).to_string(),
            Decision::Reject(diagnosis) => diagnosis.message(),
            Decision::Fail { why } => why,
        }
    }

    #[test]
    fn the_best_feasible_node_is_taken() {
        let used = pod("used").requests("3", "12Gi").on("busy").build();
        let tainted = node().taint("k", "", "NoSchedule").facts();
        let nodes = vec![("busy", node().facts()), ("empty", node().facts()), ("tainted", tainted)];
        let cluster = cluster(nodes, vec![used]);
        assert_eq!(place(&cluster, &pod("p").requests("1", "1Gi").build()), "empty");
    }

    #[test]
    fn every_reason_is_in_the_message() {
        let tainted = node().taint("k", "v", "NoSchedule").facts();
        let small = node().cpu("1").facts();
        let nodes = vec![("a", tainted.clone()), ("b", tainted), ("c", small)];
        let message = place(&cluster(nodes, vec![]), &pod("p").requests("2", "1Gi").build());
        assert_eq!(message, "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {k: v}.");
        assert_eq!(place(&cluster(vec![], vec![]), &pod("p").build()), "no nodes available to schedule pods");
    }

    #[test]
    fn large_clusters_compare_a_part() {
        for (nodes, percentage, expected) in
            [(50, 0, 100), (1000, 0, 420), (5000, 0, 500), (6250, 0, 312), (1000, 70, 700)]
        {
            assert_eq!(compared(nodes, percentage), expected, "{nodes} nodes, {percentage} %");
        }
        let mut nodes: Vec<_> = (0..10).collect();
        sample(&mut nodes, 3);
        assert_eq!(nodes.len(), 3);
    }
}
