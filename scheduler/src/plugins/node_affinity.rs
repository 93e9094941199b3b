//! `nodeSelector` and node affinity.

use crate::cluster::Cluster;
use crate::config::args::NodeAffinityArgs;
use crate::framework::{Candidates, Direction, Event, Filter, Rejection, Score, normalize};
use crate::model::pod::PreferredNode;
use crate::model::selector::NodeSelector;
use crate::model::{NodeId, Pod};

/// The plugin.
#[derive(Debug, Default)]
pub(super) struct NodeAffinity {
    /// Where pods must go besides.
    required: Option<NodeSelector>,
    /// Where they like to go besides.
    preferred: Vec<PreferredNode>,
}

const NAME: &str = "NodeAffinity";
const REASON: &str = "node(s) didn't match Pod's node affinity/selector";
const ENFORCED: &str = "node(s) didn't match scheduler-enforced node affinity";

impl NodeAffinity {
    pub(super) fn new(args: &NodeAffinityArgs) -> Self {
        let Some(added) = &args.added_affinity else { return Self::default() };
        let required = added.required_during_scheduling_ignored_during_execution.as_ref();
        Self { required: required.map(NodeSelector::of_terms), preferred: PreferredNode::all_of(Some(added)) }
    }
}

impl Filter for NodeAffinity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concerns(&self, _cluster: &Cluster, pod: &Pod) -> bool {
        !pod.node_selector.is_empty() || self.required.is_some()
    }

    fn filter(&self, cluster: &Cluster, pod: &Pod, candidates: &mut Candidates) {
        let nodes = &cluster.nodes;
        // Pods of a daemon set name their node: then only it needs a look.
        let named = pod.node_selector.node_names();
        let named = named.map(|names| names.iter().filter_map(|name| nodes.number(name)).collect::<Vec<_>>());
        candidates.retain(NAME, |node| {
            let (name, labels) = (nodes.name(node), &nodes.labels[node as usize]);
            if self.required.as_ref().is_some_and(|required| !required.matches(name, labels)) {
                return Err(Rejection::unresolvable(ENFORCED));
            }
            let is_possible = named.as_ref().is_none_or(|named| named.contains(&node));
            match is_possible && pod.node_selector.matches(name, labels) {
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
        !pod.preferred_nodes.is_empty() || !self.preferred.is_empty()
    }

    fn score(&self, cluster: &Cluster, pod: &Pod, nodes: &[NodeId], scores: &mut [i64]) {
        for (&node, score) in nodes.iter().zip(&mut *scores) {
            let (name, labels) = (cluster.nodes.name(node), &cluster.nodes.labels[node as usize]);
            let preferred = self.preferred.iter().chain(&pod.preferred_nodes);
            let liked = preferred.filter(|preferred| preferred.term.matches(name, labels));
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
        assert_eq!(rejections(&NodeAffinity::default(), &two(), &selects), [format!("b!: {REASON}")]);
        let by_name = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}]}}});
        let named = pod("p").spec("affinity", by_name).build();
        assert_eq!(rejections(&NodeAffinity::default(), &two(), &named), [format!("a!: {REASON}")]);
        assert!(rejections(&NodeAffinity::default(), &two(), &pod("p").build()).is_empty());
    }

    #[test]
    fn preferred_terms_add_up() {
        let term = |weight, key: &str| json!({"weight": weight, "preference": {"matchExpressions": [{"key": key, "operator": "Exists"}]}});
        let likes = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term(30, "disk"), term(10, "gpu")]}});
        let pod = pod("p").spec("affinity", likes).build();
        assert_eq!(scores(&NodeAffinity::default(), &two(), &pod), [100, 0]);
    }

    #[test]
    fn added_affinity_counts_besides_the_pods_own() {
        let term = |key: &str| json!({"matchExpressions": [{"key": key, "operator": "Exists"}]});
        let added = json!({"addedAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term("disk")]},
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 5, "preference": term("disk")}],
        }});
        let plugin = NodeAffinity::new(&serde_json::from_value(added).unwrap());
        assert_eq!(rejections(&plugin, &two(), &pod("p").build()), [format!("b!: {ENFORCED}")]);
        assert_eq!(scores(&plugin, &two(), &pod("p").build()), [100, 0]);
    }
}
