//! All nodes as columns: each property is an array indexed by the node's number, so that a filter
//! is a pass over an array.
//!
//! Invariant: what the columns say of requests, ports and pods is the sum over `pods`.

use super::pod::{HostPort, Pod};
use super::resources::Resources;
use super::selector::Labels;
use super::taints::Taint;
use super::tallies::{Domains, Held, Question, Tallies};
use super::volumes::{ClaimKey, PodVolume};
use k8s_openapi::api::core::v1 as core;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// A node's number, for as long as it exists; numbers are used again.
pub type NodeId = u32;

/// What a node says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its labels.
    pub labels: Labels,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// Whether it is cordoned.
    pub is_unschedulable: bool,
    /// What pods may have of it.
    pub allocatable: Resources,
    /// How many pods it takes.
    pub pod_limit: i64,
    /// Its images and their sizes.
    pub images: HashMap<String, i64>,
}

impl NodeFacts {
    /// From the API's form.
    pub fn of(node: &core::Node) -> Self {
        let spec = node.spec.as_ref();
        let list = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
        let pods = list.and_then(|list| list.get("pods")).and_then(|q| q.0.parse().ok());
        let images = node.status.iter().flat_map(|status| status.images.iter().flatten());
        let images = images.flat_map(|image| {
            let size = image.size_bytes.unwrap_or(0);
            image.names.iter().flatten().map(move |name| (name.clone(), size))
        });
        Self {
            labels: node.metadata.labels.clone().unwrap_or_default(),
            taints: spec.and_then(|spec| spec.taints.as_ref()).into_iter().flatten().filter_map(Taint::of).collect(),
            is_unschedulable: spec.and_then(|spec| spec.unschedulable).unwrap_or(false),
            allocatable: Resources::of(list),
            pod_limit: pods.map_or(0, |pods: apimachinery::quantity::Quantity| pods.value()),
            images: images.collect(),
        }
    }
}

/// The columns.
#[derive(Debug, Default)]
pub struct Nodes {
    numbers: HashMap<Arc<str>, NodeId>,
    free: Vec<NodeId>,
    /// Numbers of the nodes that exist, in order of arrival.
    live: Vec<NodeId>,
    /// Names.
    pub names: Vec<Arc<str>>,
    /// Allocatable CPU.
    pub cpu: Vec<i64>,
    /// Allocatable memory.
    pub memory: Vec<i64>,
    /// CPU requested by the pods.
    pub cpu_used: Vec<i64>,
    /// Memory requested by the pods.
    pub memory_used: Vec<i64>,
    /// CPU requested, with defaults for those who ask for none.
    pub cpu_weight: Vec<i64>,
    /// Memory requested, with defaults.
    pub memory_weight: Vec<i64>,
    /// How many more pods fit by number.
    pub pod_slots: Vec<i64>,
    /// Allocatable less requested, of the rarer resources: ephemeral storage and scalars.
    pub rare: Vec<Rare>,
    /// Whether cordoned.
    pub unschedulable: Vec<bool>,
    /// Taints.
    pub taints: Vec<Vec<Taint>>,
    /// Labels.
    pub labels: Vec<Labels>,
    /// Host ports taken, by pod.
    pub ports: Vec<Vec<HostPort>>,
    /// Volumes in use, by pod.
    pub volumes: Vec<Vec<PodVolume>>,
    /// By how many pods on nodes each claim is used; ephemeral ones are not counted.
    pub claims: HashMap<ClaimKey, u32>,
    /// Images and their sizes.
    pub images: Vec<HashMap<String, i64>>,
    /// The pods.
    pub pods: Vec<Vec<Arc<Pod>>>,
    /// Counts for affinity and spread. Filters ask with the nodes borrowed, hence the lock; nobody
    /// else ever holds it.
    tallies: Mutex<Tallies>,
}

/// The resources that few pods ask for.
#[derive(Clone, Debug, Default)]
pub struct Rare {
    /// Allocatable.
    pub allocatable: Resources,
    /// Requested.
    pub used: Resources,
}

impl Nodes {
    /// Numbers of the nodes that exist.
    pub fn live(&self) -> &[NodeId] {
        &self.live
    }

    /// A node's number.
    pub fn number(&self, name: &str) -> Option<NodeId> {
        self.numbers.get(name).copied()
    }

    /// A node's name.
    pub fn name(&self, node: NodeId) -> &Arc<str> {
        &self.names[node as usize]
    }

    /// Takes a node in, or its new state.
    pub fn set(&mut self, name: &str, facts: NodeFacts) -> NodeId {
        let node = self.number(name).unwrap_or_else(|| self.insert(name));
        let at = node as usize;
        let pods = i64::try_from(self.pods[at].len()).unwrap_or(i64::MAX);
        self.cpu[at] = facts.allocatable.cpu;
        self.memory[at] = facts.allocatable.memory;
        self.rare[at].allocatable = facts.allocatable;
        self.pod_slots[at] = facts.pod_limit - pods;
        self.unschedulable[at] = facts.is_unschedulable;
        self.taints[at] = facts.taints;
        if self.labels[at] != facts.labels {
            self.labels[at] = facts.labels;
            self.tallies.get_mut().forget_domains();
        }
        self.images[at] = facts.images;
        node
    }

    fn insert(&mut self, name: &str) -> NodeId {
        self.tallies.get_mut().forget_domains();
        let name: Arc<str> = Arc::from(name);
        let node = self.free.pop().unwrap_or_else(|| self.grow());
        self.names[node as usize] = Arc::clone(&name);
        self.numbers.insert(name, node);
        self.live.push(node);
        node
    }

    fn grow(&mut self) -> NodeId {
        let node = NodeId::try_from(self.names.len()).unwrap_or(NodeId::MAX);
        self.names.push(Arc::from(""));
        for column in [
            &mut self.cpu,
            &mut self.memory,
            &mut self.cpu_used,
            &mut self.memory_used,
            &mut self.cpu_weight,
            &mut self.memory_weight,
            &mut self.pod_slots,
        ] {
            column.push(0);
        }
        self.rare.push(Rare::default());
        self.unschedulable.push(false);
        self.taints.push(Vec::new());
        self.labels.push(Labels::new());
        self.ports.push(Vec::new());
        self.volumes.push(Vec::new());
        self.images.push(HashMap::new());
        self.pods.push(Vec::new());
        node
    }

    /// Takes a node out; gives the pods that were on it.
    pub fn remove(&mut self, name: &str) -> Vec<Arc<Pod>> {
        let Some(node) = self.numbers.remove(name) else { return Vec::new() };
        self.live.retain(|live| *live != node);
        let pods = self.pods[node as usize].clone();
        for pod in &pods {
            self.take_pod(node, pod);
        }
        self.labels[node as usize] = Labels::new();
        self.tallies.get_mut().forget_domains();
        self.free.push(node);
        pods
    }

    /// Puts a pod on a node.
    pub fn put_pod(&mut self, node: NodeId, pod: Arc<Pod>) {
        self.count(node, &pod, 1);
        self.ports[node as usize].extend(pod.host_ports.iter().cloned());
        self.volumes[node as usize].extend(pod.volumes.iter().cloned());
        for claim in pod.volumes.iter().filter_map(PodVolume::named_claim) {
            *self.claims.entry(claim.clone()).or_default() += 1;
        }
        self.pods[node as usize].push(pod);
    }

    /// Takes a pod from a node; gives it back if it was there.
    pub fn take_pod(&mut self, node: NodeId, pod: &Pod) -> Option<Arc<Pod>> {
        let at = node as usize;
        let place = self.pods[at].iter().position(|p| p.name == pod.name && p.namespace == pod.namespace)?;
        let pod = self.pods[at].swap_remove(place);
        self.count(node, &pod, -1);
        for port in &pod.host_ports {
            if let Some(place) = self.ports[at].iter().position(|taken| taken == port) {
                self.ports[at].swap_remove(place);
            }
        }
        for volume in &pod.volumes {
            if let Some(place) = self.volumes[at].iter().position(|used| used == volume) {
                self.volumes[at].swap_remove(place);
            }
        }
        pod.volumes.iter().filter_map(PodVolume::named_claim).for_each(|claim| self.release(claim));
        Some(pod)
    }

    fn release(&mut self, claim: &ClaimKey) {
        if let Some(users) = self.claims.get_mut(claim) {
            *users -= 1;
            if *users == 0 {
                self.claims.remove(claim);
            }
        }
    }

    /// How many pods of each node answer the question.
    pub fn answer(&self, question: &Question) -> Arc<Vec<i64>> {
        self.tallies.lock().answer(question, &self.pods)
    }

    /// Which domain of a topology each node is in.
    pub fn domains(&self, key: &str) -> Arc<Domains> {
        self.tallies.lock().domains(key, &self.labels)
    }

    /// Calls `take` with each term that pods have and that `is_meant`, and the nodes with such
    /// pods and their number.
    pub fn held(&self, is_meant: impl Fn(&Held) -> bool, mut take: impl FnMut(&Held, &HashMap<NodeId, i64>)) {
        for (held, nodes) in self.tallies.lock().held() {
            if is_meant(held) {
                take(held, nodes);
            }
        }
    }

    fn count(&mut self, node: NodeId, pod: &Pod, sign: i64) {
        let at = node as usize;
        self.tallies.get_mut().count(node, pod, sign);
        self.cpu_used[at] += sign * pod.requests.cpu;
        self.memory_used[at] += sign * pod.requests.memory;
        self.cpu_weight[at] += sign * pod.weight_cpu;
        self.memory_weight[at] += sign * pod.weight_memory;
        self.pod_slots[at] -= sign;
        if pod.requests.ephemeral != 0 || !pod.requests.scalars.is_empty() {
            let used = &mut self.rare[at].used;
            if sign > 0 { used.add(&pod.requests) } else { used.subtract(&pod.requests) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::builders::{node, pod};
    use super::*;

    #[test]
    fn the_columns_are_the_sum_over_the_pods() {
        let mut nodes = Nodes::default();
        let n = nodes.set("n1", node().cpu("4").memory("8Gi").facts());
        let p = Arc::new(pod("p").requests("1", "1Gi").host_port(80).build());
        nodes.put_pod(n, Arc::clone(&p));
        let at = n as usize;
        assert_eq!((nodes.cpu_used[at], nodes.memory_used[at], nodes.pod_slots[at]), (1000, 1 << 30, 109));
        assert_eq!(nodes.ports[at].len(), 1);
        assert!(nodes.take_pod(n, &p).is_some() && nodes.take_pod(n, &p).is_none());
        assert_eq!((nodes.cpu_used[at], nodes.pod_slots[at], nodes.ports[at].len()), (0, 110, 0));
    }

    #[test]
    fn a_removed_nodes_number_is_used_again_without_its_past() {
        let mut nodes = Nodes::default();
        let first = nodes.set("n1", node().label("a", "b").facts());
        nodes.put_pod(first, Arc::new(pod("p").requests("1", "1Gi").build()));
        assert_eq!(nodes.remove("n1").len(), 1);
        assert!(nodes.live().is_empty() && nodes.number("n1").is_none());
        let second = nodes.set("n2", node().facts());
        assert_eq!((first, nodes.cpu_used[second as usize]), (second, 0));
        assert!(nodes.labels[second as usize].is_empty() && nodes.pods[second as usize].is_empty());
    }

    #[test]
    fn an_update_keeps_the_pods() {
        let mut nodes = Nodes::default();
        let n = nodes.set("n1", node().cpu("1").facts());
        nodes.put_pod(n, Arc::new(pod("p").requests("1", "1Gi").build()));
        nodes.set("n1", node().cpu("2").unschedulable().facts());
        let at = n as usize;
        assert_eq!((nodes.cpu[at], nodes.cpu_used[at], nodes.pod_slots[at]), (2000, 1000, 109));
        assert!(nodes.unschedulable[at]);
    }
}
