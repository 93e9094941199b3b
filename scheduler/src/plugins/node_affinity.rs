//! `nodeSelector` and node affinity.

use crate::cluster::Cluster;
use crate::framework::{Candidates, Direction, Event, Filter, Rejection, Score, normalize};
use crate::model::{NodeId, Pod};

/// The plugin.
#[derive(Debug)]
pub(super) struct NodeAffinity;

const NAME: &str = "NodeAffinity";
const REASON: &str = "node(s) didn't match Pod's node affinity/selector";

impl Filter for NodeAffinity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concerns(&self, _cluster: &Cluster, pod: &Pod) -> bool {
        !pod.node_selector.is_empty()
    }

    fn filter(&self, cluster: &Cluster, pod: &Pod, candidates: &mut Candidates) {
        let nodes = &cluster.nodes;
        // Pods of a daemon set name their node: then only it needs a look.
        let named = pod.node_selector.node_names();
        let named = named.map(|names| names.iter().filter_map(|name| nodes.number(name)).collect::<Vec<_>>());
        candidates.retain(NAME, |node| {
            let is_possible = named.as_ref().is_none_or(|named| named.contains(&node));
            match is_possible && pod.node_selector.matches(nodes.name(node), &nodes.labels[node as usize]) {
                true => Ok(()),
                false => Err(Rejection::unresolvable(REASON)),
            }
        });
    }

    fn is_woken_by(&self, event: &Event) -> bool {
        matches!(event, Event::NodeAdded | Event::NodeLabels)
    }
}

impl Score for NodeAffinity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concerns(&self, _cluster: &Cluster, pod: &Pod) -> bool {
        !pod.preferred_nodes.is_empty()
    }

    fn score(&self, cluster: &Cluster, pod: &Pod, nodes: &[NodeId], scores: &mut [i64]) {
        for (&node, score) in nodes.iter().zip(&mut *scores) {
            let (name, labels) = (cluster.nodes.name(node), &cluster.nodes.labels[node as usize]);
            let liked = pod.preferred_nodes.iter().filter(|preferred| preferred.term.matches(name, labels));
            *score = liked.map(|preferred| preferred.weight).sum();
        }
        normalize(scores, Direction::HigherIsBetter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::{node, pod};
    use crate::plugins::testing::{cluster, rejections, scores};
    use serde_json::json;

    fn two() -> Cluster {
        cluster(vec![("a", node().label("disk", "ssd").facts()), ("b", node().facts())], vec![])
    }

    #[test]
    fn nodes_that_do_not_match_are_out() {
        let selects = pod("p").spec("nodeSelector", json!({"disk": "ssd"})).build();
        assert_eq!(rejections(&NodeAffinity, &two(), &selects), [format!("b!: {REASON}")]);
        let by_name = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}]}}});
        let named = pod("p").spec("affinity", by_name).build();
        assert_eq!(rejections(&NodeAffinity, &two(), &named), [format!("a!: {REASON}")]);
        assert!(rejections(&NodeAffinity, &two(), &pod("p").build()).is_empty());
    }

    #[test]
    fn preferred_terms_add_up() {
        let term = |weight, key: &str| json!({"weight": weight, "preference": {"matchExpressions": [{"key": key, "operator": "Exists"}]}});
        let likes = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term(30, "disk"), term(10, "gpu")]}});
        let pod = pod("p").spec("affinity", likes).build();
        assert_eq!(scores(&NodeAffinity, &two(), &pod), [100, 0]);
    }
}
