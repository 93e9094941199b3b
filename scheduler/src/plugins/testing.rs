//! Runs one plugin on a small cluster.

use crate::cluster::Cluster;
use crate::framework::{Candidates, Filter, Remedy, Score};
use crate::model::node::NodeFacts;
use crate::model::storage::Class;
use crate::model::{Nodes, Pod};
use std::sync::Arc;

/// A cluster of these nodes and of pods that say where they are.
pub(crate) fn cluster(nodes: Vec<(&str, NodeFacts)>, pods: Vec<Pod>) -> Cluster {
    let mut cluster = Cluster { nodes: Nodes::default(), ..Cluster::default() };
    for (name, facts) in nodes {
        cluster.nodes.set(name, facts);
    }
    for pod in pods {
        let node = cluster.nodes.number(pod.node.as_deref().expect("a node")).expect("a known node");
        cluster.nodes.put_pod(node, Arc::new(pod));
    }
    cluster
}

/// A storage class whose volumes `provisioner` makes.
pub(crate) fn class(mode: &str) -> Class {
    let class = serde_json::json!({"metadata": {"name": "c"}, "provisioner": "provisioner", "volumeBindingMode": mode});
    Class::of(&serde_json::from_value(class).expect("a class"))
}

/// `node: reason` of each rejected node, sorted; `!` marks those that preemption cannot help.
pub(crate) fn rejections(filter: &dyn Filter, cluster: &Cluster, pod: &Pod) -> Vec<String> {
    let mut candidates = Candidates::new(cluster.nodes.live());
    if filter.concerns(cluster, pod) {
        filter.filter(cluster, pod, &mut candidates);
    }
    let mark = |remedy| if remedy == Remedy::None { "!" } else { "" };
    let rejected = candidates.rejected.iter();
    let mut lines: Vec<_> = rejected
        .map(|r| {
            format!("{}{}: {}", cluster.nodes.name(r.node), mark(r.rejection.remedy), r.rejection.reasons.join(", "))
        })
        .collect();
    lines.sort();
    lines
}

/// The nodes' scores in order of arrival.
pub(crate) fn scores(score: &dyn Score, cluster: &Cluster, pod: &Pod) -> Vec<i64> {
    let nodes = cluster.nodes.live();
    let mut scores = vec![0; nodes.len()];
    if score.concerns(cluster, pod) {
        score.score(cluster, pod, nodes, &mut scores);
    }
    scores
}
