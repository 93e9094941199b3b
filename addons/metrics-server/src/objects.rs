//! The nodes and pods there are, with as little of each as is needed.

use crate::Options;
use client::informer::{Builder, Informer, Scope};
use component::Supervisor;
use k8s_openapi::api::core::v1::{Node, NodeSpec, Pod, PodSpec};

/// Nodes and pods. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Known {
    /// With addresses and ports.
    pub nodes: Informer<Node>,
    /// With their labels.
    pub pods: Informer<Pod>,
}

impl Known {
    /// Watches them.
    pub fn watch(client: &kube::Client, options: &Options, supervisor: &Supervisor) -> Self {
        let selector = Some(options.node_selector.clone()).filter(|selector| !selector.is_empty());
        let scope = Scope { label_selector: selector, ..Scope::default() };
        let (nodes, keep_nodes) = Builder::new(client.clone(), scope).trim(trim_node).build();
        // What has ended uses nothing.
        let scope = Scope {
            field_selector: Some("status.phase!=Succeeded,status.phase!=Failed".to_owned()),
            ..Scope::default()
        };
        let (pods, keep_pods) = Builder::new(client.clone(), scope).trim(trim_pod).build();
        supervisor.spawn_until_stop("nodes", keep_nodes);
        supervisor.spawn_until_stop("pods", keep_pods);
        Self { nodes, pods }
    }

    /// Whether the first lists are complete.
    pub fn is_synced(&self) -> bool {
        self.nodes.is_synced() && self.pods.is_synced()
    }
}

fn trim_node(node: &mut Node) {
    node.metadata.annotations = None;
    node.spec = Some(NodeSpec::default());
    if let Some(status) = &mut node.status {
        let (addresses, endpoints) = (status.addresses.take(), status.daemon_endpoints.take());
        *status =
            k8s_openapi::api::core::v1::NodeStatus { addresses, daemon_endpoints: endpoints, ..Default::default() };
    }
}

fn trim_pod(pod: &mut Pod) {
    pod.metadata.annotations = None;
    pod.spec = Some(PodSpec::default());
    pod.status = None;
}
