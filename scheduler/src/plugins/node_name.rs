//! A pod that names its node goes nowhere else.

use crate::cluster::Cluster;
use crate::framework::{Candidates, Event, Filter, Rejection};
use crate::model::Pod;

/// The plugin.
#[derive(Debug)]
pub(super) struct NodeName;

impl Filter for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn concerns(&self, _cluster: &Cluster, pod: &Pod) -> bool {
        pod.node.is_some()
    }

    fn filter(&self, cluster: &Cluster, pod: &Pod, candidates: &mut Candidates) {
        let wanted = pod.node.as_deref().and_then(|name| cluster.nodes.number(name));
        candidates.retain(self.name(), |node| match wanted == Some(node) {
            true => Ok(()),
            false => Err(Rejection::unresolvable("node(s) didn't match the requested node name")),
        });
    }

    fn is_woken_by(&self, event: &Event) -> bool {
        *event == Event::NodeAdded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::{node, pod};
    use crate::plugins::testing::{cluster, rejections};

    #[test]
    fn only_the_named_node_remains() {
        let cluster = cluster(vec![("a", node().facts()), ("b", node().facts())], vec![]);
        assert!(rejections(&NodeName, &cluster, &pod("p").build()).is_empty());
        let named = pod("p").on("b").build();
        assert_eq!(rejections(&NodeName, &cluster, &named), ["a!: node(s) didn't match the requested node name"]);
    }
}
