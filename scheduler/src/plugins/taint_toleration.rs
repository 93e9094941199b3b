//! Taints keep pods away that do not tolerate them; soft ones make a node less liked.

use crate::cluster::Cluster;
use crate::framework::{Candidates, Direction, Event, Filter, Rejection, Score, normalize};
use crate::model::taints::{Taint, Toleration, untolerated};
use crate::model::{NodeId, Pod};

/// The plugin.
#[derive(Debug)]
pub(super) struct TaintToleration;

const NAME: &str = "TaintToleration";

impl Filter for TaintToleration {
    fn name(&self) -> &'static str {
        NAME
    }

    fn filter(&self, cluster: &Cluster, pod: &Pod, candidates: &mut Candidates) {
        candidates.retain(NAME, |node| match untolerated(&cluster.nodes.taints[node as usize], &pod.tolerations) {
            None => Ok(()),
            Some(Taint { key, value, .. }) => {
                Err(Rejection::unresolvable(format!("node(s) had untolerated taint {{{key}: {value}}}")))
            }
        });
    }

    fn is_woken_by(&self, event: &Event) -> bool {
        matches!(event, Event::NodeAdded | Event::NodeTaints)
    }
}

impl Score for TaintToleration {
    fn name(&self) -> &'static str {
        NAME
    }

    fn score(&self, cluster: &Cluster, pod: &Pod, nodes: &[NodeId], scores: &mut [i64]) {
        let tolerations: Vec<&Toleration> = pod.tolerations.iter().filter(|t| t.covers_soft()).collect();
        let disliked = |taint: &&Taint| !taint.effect.is_hard() && !tolerations.iter().any(|t| t.tolerates(taint));
        for (&node, score) in nodes.iter().zip(&mut *scores) {
            let count = cluster.nodes.taints[node as usize].iter().filter(disliked).count();
            *score = i64::try_from(count).unwrap_or(i64::MAX);
        }
        normalize(scores, Direction::LowerIsBetter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::{node, pod};
    use crate::plugins::testing::{cluster, rejections, scores};

    #[test]
    fn hard_taints_reject_and_soft_ones_cost() {
        let hard = node().taint("k", "v", "NoSchedule").facts();
        let soft = node().taint("k", "v", "PreferNoSchedule").facts();
        let cluster = cluster(vec![("hard", hard), ("soft", soft), ("free", node().facts())], vec![]);
        let plain = pod("p").build();
        assert_eq!(rejections(&TaintToleration, &cluster, &plain), ["hard!: node(s) had untolerated taint {k: v}"]);
        assert_eq!(scores(&TaintToleration, &cluster, &plain), [100, 0, 100]);
        let bears = pod("p").spec("tolerations", serde_json::json!([{"key": "k", "operator": "Exists"}])).build();
        assert!(rejections(&TaintToleration, &cluster, &bears).is_empty());
        assert_eq!(scores(&TaintToleration, &cluster, &bears), [100, 100, 100]);
    }
}
