//! From the apiserver's watches to the cache and the queue.

use crate::model::Pod;
use crate::model::node::NodeFacts;
use crate::scheduler::Scheduler;
use client::informer::{Builder, Change, Informer, Scope};
use component::Supervisor;
use k8s_openapi::api::core::v1 as core;
use std::sync::Arc;

/// The running watches.
#[derive(Debug)]
pub struct Informers {
    nodes: Informer<core::Node>,
    pods: Informer<core::Pod>,
    namespaces: Informer<core::Namespace>,
}

impl Informers {
    /// Starts the watches.
    pub fn start(client: &kube::Client, scheduler: &Arc<Scheduler>, supervisor: &Supervisor) -> Self {
        let to = Arc::clone(scheduler);
        let (nodes, feed) = Builder::new(client.clone(), Scope::default())
            .trim(trim_node)
            .on_change(move |change| on_node(&to, change))
            .build();
        supervisor.spawn_until_stop("node informer", feed);
        let to = Arc::clone(scheduler);
        // A pod that has ended takes no place; leaving the scope looks like a deletion.
        let running = "status.phase!=Succeeded,status.phase!=Failed".to_owned();
        let (pods, feed) = Builder::new(client.clone(), Scope { field_selector: Some(running), ..Scope::default() })
            .trim(trim_pod)
            .on_change(move |change| on_pod(&to, change))
            .build();
        supervisor.spawn_until_stop("pod informer", feed);
        let to = Arc::clone(scheduler);
        let (namespaces, feed) = Builder::new(client.clone(), Scope::default())
            .trim(|namespace: &mut core::Namespace| namespace.metadata.annotations = None)
            .on_change(move |change| on_namespace(&to, change))
            .build();
        supervisor.spawn_until_stop("namespace informer", feed);
        Self { nodes, pods, namespaces }
    }

    /// Waits for the first complete lists.
    pub async fn synced(&self) {
        tokio::join!(self.nodes.synced(), self.pods.synced(), self.namespaces.synced());
    }

    /// Whether the first lists are complete.
    pub fn are_synced(&self) -> bool {
        self.nodes.is_synced() && self.pods.is_synced() && self.namespaces.is_synced()
    }
}

fn on_node(scheduler: &Scheduler, change: &Change<core::Node>) {
    let name = change.object().metadata.name.as_deref().unwrap_or_default();
    match change {
        Change::Added(node) | Change::Updated(_, node) => scheduler.set_node(name, NodeFacts::of(node)),
        Change::Deleted(_) => scheduler.remove_node(name),
    }
}

fn on_pod(scheduler: &Scheduler, change: &Change<core::Pod>) {
    match change {
        Change::Added(pod) => scheduler.set_pod(Arc::new(Pod::of(pod))),
        Change::Updated(old, new) => {
            // Another pod of the same name: the first one's end went unseen.
            if old.metadata.uid != new.metadata.uid {
                scheduler.remove_pod(&Pod::of(old));
            }
            scheduler.set_pod(Arc::new(Pod::of(new)));
        }
        Change::Deleted(pod) => scheduler.remove_pod(&Pod::of(pod)),
    }
}

fn on_namespace(scheduler: &Scheduler, change: &Change<core::Namespace>) {
    let object = change.object();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let labels = match change {
        Change::Added(_) | Change::Updated(..) => Some(object.metadata.labels.clone().unwrap_or_default()),
        Change::Deleted(_) => None,
    };
    scheduler.set_namespace(name, labels);
}

fn trim_node(node: &mut core::Node) {
    node.metadata.annotations = None;
    if let Some(status) = &mut node.status {
        let images = status.images.take();
        let allocatable = status.allocatable.take();
        *status = core::NodeStatus { images, allocatable, ..core::NodeStatus::default() };
    }
}

/// Keeps what [`Pod::of`] reads.
fn trim_pod(pod: &mut core::Pod) {
    pod.metadata.annotations = None;
    pod.metadata.owner_references = None;
    pod.metadata.finalizers = None;
    if let Some(spec) = &mut pod.spec {
        spec.volumes = None;
        spec.dns_config = None;
        spec.host_aliases = None;
        spec.security_context = None;
        spec.ephemeral_containers = None;
        spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()).for_each(trim_container);
    }
    if let Some(status) = &mut pod.status {
        let (start_time, nominated_node_name) = (status.start_time.take(), status.nominated_node_name.take());
        *status = core::PodStatus { start_time, nominated_node_name, ..core::PodStatus::default() };
    }
}

fn trim_container(container: &mut core::Container) {
    *container = core::Container {
        name: std::mem::take(&mut container.name),
        image: container.image.take(),
        ports: container.ports.take(),
        resources: container.resources.take(),
        restart_policy: container.restart_policy.take(),
        ..core::Container::default()
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trimming_takes_nothing_that_is_read() {
        let json = serde_json::json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"a": "b"}, "annotations": {"x": "y"}},
            "spec": {
                "containers": [{"name": "c", "image": "i", "env": [{"name": "E"}], "ports": [{"containerPort": 1, "hostPort": 2}],
                    "resources": {"requests": {"cpu": "1"}}}],
                "volumes": [{"name": "v"}], "tolerations": [{"operator": "Exists"}], "nodeSelector": {"k": "v"},
            },
            "status": {"nominatedNodeName": "n1", "startTime": "2026-01-01T00:00:00Z", "phase": "Pending"},
        });
        let whole: core::Pod = serde_json::from_value(json).unwrap();
        let mut trimmed = whole.clone();
        trim_pod(&mut trimmed);
        assert_eq!(format!("{:?}", Pod::of(&whole)), format!("{:?}", Pod::of(&trimmed)));
        assert!(trimmed.spec.unwrap().containers[0].env.is_none());
    }
}
