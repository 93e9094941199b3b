//! Cordoned nodes take only pods that tolerate the taint which stands for it.

use crate::cluster::Cluster;
use crate::framework::{Candidates, Event, Filter, Rejection};
use crate::model::Pod;
use crate::model::taints::{Effect, Taint};

/// The plugin.
#[derive(Debug)]
pub(super) struct NodeUnschedulable;

impl Filter for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn filter(&self, cluster: &Cluster, pod: &Pod, candidates: &mut Candidates) {
        let cordon = Taint {
            key: "node.kubernetes.io/unschedulable".to_owned(),
            value: String::new(),
            effect: Effect::NoSchedule,
        };
        if pod.tolerations.iter().any(|toleration| toleration.tolerates(&cordon)) {
            return;
        }
        let cordoned = &cluster.nodes.unschedulable;
        candidates.retain(self.name(), |node| match cordoned[node as usize] {
            true => Err(Rejection::unresolvable("node(s) were unschedulable")),
            false => Ok(()),
        });
    }

    fn is_woken_by(&self, event: &Event) -> bool {
        matches!(event, Event::NodeAdded | Event::NodeUnschedulable | Event::NodeTaints)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::{node, pod};
    use crate::plugins::testing::{cluster, rejections};

    #[test]
    fn cordoned_nodes_take_only_who_tolerates_it() {
        let cluster = cluster(vec![("a", node().unschedulable().facts()), ("b", node().facts())], vec![]);
        let plain = pod("p").build();
        assert_eq!(rejections(&NodeUnschedulable, &cluster, &plain), ["a!: node(s) were unschedulable"]);
        let all = pod("p").spec("tolerations", serde_json::json!([{"operator": "Exists"}])).build();
        assert!(rejections(&NodeUnschedulable, &cluster, &all).is_empty());
    }
}
