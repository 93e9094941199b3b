//! The cluster as the scheduler believes it to be: what the apiserver has shown, and the pods it
//! has placed itself but not seen placed yet.
//!
//! A pod's life here: assumed (placed by us, binding under way) → bound (the apiserver shows it)
//! → gone; or assumed → forgotten (binding failed).
//!
//! Upstream: `pkg/scheduler/backend/cache`.

use crate::cluster::Cluster;
use crate::framework::Event;
use crate::model::node::NodeFacts;
use crate::model::pod::PodKey;
use crate::model::selector::Labels;
use crate::model::{NodeId, Nodes, Pod};
use crate::plugins::dynamic_resources;
use crate::plugins::volume_binding::Plan;
use std::collections::HashMap;
use std::sync::Arc;

/// Whether the apiserver has shown the pod where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Placed by us; becomes bound when the apiserver shows it, or is forgotten.
    Assumed,
    /// Shown by the apiserver.
    Bound,
}

#[derive(Debug)]
struct Placed {
    pod: Arc<Pod>,
    node: Arc<str>,
    standing: Standing,
}

/// The cluster, and who is where.
#[derive(Debug, Default)]
pub struct Cache {
    /// What decisions are made on.
    pub cluster: Cluster,
    pods: HashMap<PodKey, Placed>,
    /// Pods of nodes that are not known (yet, or any more).
    strays: HashMap<Arc<str>, Vec<Arc<Pod>>>,
    /// Pods for which room is being made, by node.
    nominated: HashMap<Arc<str>, Vec<Arc<Pod>>>,
}

impl Cache {
    /// Takes a node in; what about it changed.
    pub fn set_node(&mut self, name: &str, facts: NodeFacts) -> Vec<Event> {
        let nodes = &mut self.cluster.nodes;
        let before = nodes.number(name).map(|node| (node, Difference::of(nodes, node, &facts)));
        let node = nodes.set(name, facts);
        if let Some((_, difference)) = before {
            return difference.events();
        }
        for pod in self.strays.remove(name).unwrap_or_default() {
            self.cluster.nodes.put_pod(node, pod);
        }
        vec![Event::NodeAdded]
    }

    /// Takes a node out; its pods stay known until they are gone themselves.
    pub fn remove_node(&mut self, name: &str) {
        let pods = self.cluster.nodes.remove(name);
        if !pods.is_empty() {
            self.strays.insert(Arc::from(name), pods);
        }
    }

    /// Takes a namespace's labels in; `None` if it is gone.
    pub fn set_namespace(&mut self, name: &str, labels: Option<Labels>) {
        match labels {
            Some(labels) => drop(self.cluster.namespaces.insert(name.to_owned(), labels)),
            None => drop(self.cluster.namespaces.remove(name)),
        }
    }

    /// A pod that the apiserver shows on a node.
    pub fn set_pod(&mut self, pod: Arc<Pod>) -> Vec<Event> {
        let Some(node) = pod.node.clone() else { return Vec::new() };
        let key = pod.key();
        self.drop_nomination(&key);
        let mut events = Vec::new();
        match self.pods.get(&key) {
            None => events.push(Event::PodAssigned),
            Some(known) => {
                if known.pod.labels != pod.labels {
                    events.push(Event::PodLabels);
                } else if known.standing == Standing::Assumed {
                    events.push(Event::PodAssigned);
                }
                if !known.pod.requests.fits_in(&pod.requests) {
                    events.push(Event::PodScaledDown);
                }
            }
        }
        self.take_out(&key);
        self.put_in(key, pod, node, Standing::Bound);
        events
    }

    /// A pod that is gone from its node.
    pub fn remove_pod(&mut self, key: &PodKey) -> Option<Event> {
        self.drop_nomination(key);
        self.take_out(key).map(|_| Event::PodRemoved)
    }

    /// Counts a pod as placed before the apiserver shows it.
    pub fn assume(&mut self, pod: &Arc<Pod>, node: NodeId) {
        let name = Arc::clone(self.cluster.nodes.name(node));
        let key = pod.key();
        self.drop_nomination(&key);
        self.take_out(&key);
        self.put_in(key, Arc::clone(pod), name, Standing::Assumed);
    }

    /// Counts the plan's volumes as the pod's, before the apiserver shows them so.
    pub fn reserve(&mut self, plan: &Plan, node: &str) {
        let storage = &mut self.cluster.storage;
        plan.bindings.iter().for_each(|(volume, claim)| storage.assume_bound(&volume.name, claim));
        plan.provisions.iter().for_each(|claim| storage.assume_selected(&claim.key, node));
    }

    /// Takes back what the plan reserved, where the apiserver shows nothing newer.
    pub fn unreserve(&mut self, plan: &Plan) {
        let storage = &mut self.cluster.storage;
        plan.bindings.iter().for_each(|(volume, _)| storage.restore_volume(&volume.name));
        plan.provisions.iter().for_each(|claim| storage.restore_claim(&claim.key));
    }

    /// Counts the plan's devices as taken, before the apiserver shows them so.
    pub fn reserve_devices(&mut self, plan: &dynamic_resources::Plan) {
        let claims = &mut self.cluster.devices.claims;
        plan.taken().for_each(|(key, allocation)| claims.reserve(key, Arc::clone(allocation)));
    }

    /// Takes back what the plan reserved and was not written.
    pub fn unreserve_devices(&mut self, plan: &dynamic_resources::Plan) {
        let claims = &mut self.cluster.devices.claims;
        plan.taken().for_each(|(key, _)| claims.unreserve(key));
    }

    /// Takes an assumed pod back; does nothing if the apiserver has shown it meanwhile.
    pub fn forget(&mut self, key: &PodKey) -> Option<Event> {
        let is_assumed = self.pods.get(key).is_some_and(|placed| placed.standing == Standing::Assumed);
        if is_assumed { self.take_out(key).map(|_| Event::PodRemoved) } else { None }
    }

    /// Whether the pod is on a node, or assumed to be.
    pub fn is_placed(&self, key: &PodKey) -> bool {
        self.pods.contains_key(key)
    }

    /// Notes that room is being made for a pod on a node.
    pub fn nominate(&mut self, pod: &Arc<Pod>, node: Arc<str>) {
        self.drop_nomination(&pod.key());
        self.nominated.entry(node).or_default().push(Arc::clone(pod));
    }

    /// Forgets that room was being made for a pod.
    pub fn drop_nomination(&mut self, key: &PodKey) {
        if self.nominated.is_empty() {
            return;
        }
        self.nominated.retain(|_, pods| {
            pods.retain(|pod| pod.key() != *key);
            !pods.is_empty()
        });
    }

    /// Runs `decide` with the nominated pods of at least `pod`'s priority counted as placed: room
    /// that was made for them is theirs.
    pub fn with_nominated<T>(&mut self, pod: &Pod, decide: impl FnOnce(&Cluster) -> T) -> T {
        if self.nominated.is_empty() {
            return decide(&self.cluster);
        }
        let nodes = &mut self.cluster.nodes;
        let mut guests = Vec::new();
        for (node, waiting) in &self.nominated {
            let Some(node) = nodes.number(node) else { continue };
            let others = waiting.iter().filter(|other| other.uid != pod.uid && other.priority >= pod.priority);
            guests.extend(others.map(|other| (node, Arc::clone(other))));
        }
        for (node, guest) in &guests {
            nodes.put_pod(*node, Arc::clone(guest));
        }
        let decision = decide(&self.cluster);
        for (node, guest) in &guests {
            self.cluster.nodes.take_pod(*node, guest);
        }
        decision
    }

    /// How many of the pods that are placed the apiserver has not shown yet.
    pub fn assumed(&self) -> usize {
        self.pods.values().filter(|placed| placed.standing == Standing::Assumed).count()
    }

    /// How many pods are placed.
    pub fn pods(&self) -> usize {
        self.pods.len()
    }

    fn put_in(&mut self, key: PodKey, pod: Arc<Pod>, node: Arc<str>, standing: Standing) {
        match self.cluster.nodes.number(&node) {
            Some(number) => self.cluster.nodes.put_pod(number, Arc::clone(&pod)),
            None => self.strays.entry(Arc::clone(&node)).or_default().push(Arc::clone(&pod)),
        }
        self.pods.insert(key, Placed { pod, node, standing });
    }

    fn take_out(&mut self, key: &PodKey) -> Option<Placed> {
        let placed = self.pods.remove(key)?;
        match self.cluster.nodes.number(&placed.node) {
            Some(number) => drop(self.cluster.nodes.take_pod(number, &placed.pod)),
            None => {
                if let Some(strays) = self.strays.get_mut(&placed.node) {
                    strays.retain(|stray| stray.key() != *key);
                    if strays.is_empty() {
                        self.strays.remove(&placed.node);
                    }
                }
            }
        }
        Some(placed)
    }
}

/// What about a node is different.
struct Difference {
    allocatable: bool,
    labels: bool,
    taints: bool,
    cordon: bool,
}

impl Difference {
    fn of(nodes: &Nodes, node: NodeId, facts: &NodeFacts) -> Self {
        let at = node as usize;
        let pods = i64::try_from(nodes.pods[at].len()).unwrap_or(i64::MAX);
        Self {
            allocatable: nodes.rare[at].allocatable != facts.allocatable
                || nodes.pod_slots[at] + pods != facts.pod_limit,
            labels: nodes.labels[at] != facts.labels,
            taints: nodes.taints[at] != facts.taints,
            cordon: nodes.unschedulable[at] != facts.is_unschedulable,
        }
    }

    fn events(&self) -> Vec<Event> {
        let all = [
            (self.allocatable, Event::NodeAllocatable),
            (self.labels, Event::NodeLabels),
            (self.taints, Event::NodeTaints),
            (self.cordon, Event::NodeUnschedulable),
        ];
        all.into_iter().filter(|(is_different, _)| *is_different).map(|(_, event)| event).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::{node, pod};

    fn used(cache: &Cache, node: &str) -> i64 {
        cache.cluster.nodes.cpu_used[cache.cluster.nodes.number(node).unwrap() as usize]
    }

    fn assumed() -> (Cache, Arc<Pod>) {
        let mut cache = Cache::default();
        cache.set_node("n1", node().facts());
        let pod = Arc::new(pod("p").requests("1", "1Gi").build());
        cache.assume(&pod, 0);
        (cache, pod)
    }

    #[test]
    fn an_assumed_pod_counts_until_it_is_forgotten() {
        let (mut cache, pod) = assumed();
        assert_eq!(used(&cache, "n1"), 1000);
        assert_eq!(cache.forget(&pod.key()), Some(Event::PodRemoved));
        assert_eq!((used(&cache, "n1"), cache.pods()), (0, 0));
    }

    #[test]
    fn a_bound_pod_is_counted_once_and_cannot_be_forgotten() {
        let (mut cache, waiting) = assumed();
        let bound = Arc::new(pod("p").requests("1", "1Gi").on("n1").build());
        assert_eq!(cache.set_pod(Arc::clone(&bound)), [Event::PodAssigned]);
        assert_eq!(cache.set_pod(bound), []);
        assert_eq!(cache.forget(&waiting.key()), None);
        assert_eq!(used(&cache, "n1"), 1000);
        assert_eq!(cache.remove_pod(&waiting.key()), Some(Event::PodRemoved));
        assert_eq!(cache.remove_pod(&waiting.key()), None);
        assert_eq!(used(&cache, "n1"), 0);
    }

    #[test]
    fn a_pod_that_asks_for_less_makes_room() {
        let mut cache = Cache::default();
        cache.set_node("n1", node().facts());
        let resized = |cpu: &str, memory: &str| Arc::new(pod("p").requests(cpu, memory).on("n1").build());
        cache.set_pod(resized("2", "1Gi"));
        assert_eq!(cache.set_pod(resized("1", "1Gi")), [Event::PodScaledDown]);
        assert_eq!(cache.set_pod(resized("1", "2Gi")), []);
        assert_eq!(cache.set_pod(resized("2", "1Gi")), [Event::PodScaledDown]);
        assert_eq!(used(&cache, "n1"), 2000);
    }

    #[test]
    fn pods_may_be_known_before_their_node_and_after_it() {
        let mut cache = Cache::default();
        let bound = Arc::new(pod("p").requests("1", "1Gi").on("n1").build());
        cache.set_pod(Arc::clone(&bound));
        assert_eq!(cache.set_node("n1", node().facts()), [Event::NodeAdded]);
        assert_eq!(used(&cache, "n1"), 1000);
        cache.remove_node("n1");
        cache.set_node("n1", node().facts());
        assert_eq!(used(&cache, "n1"), 1000);
        cache.remove_node("n1");
        cache.remove_pod(&bound.key());
        cache.set_node("n1", node().facts());
        assert_eq!(used(&cache, "n1"), 0);
    }

    #[test]
    fn what_changed_of_a_node_is_told() {
        let mut cache = Cache::default();
        cache.set_node("n1", node().facts());
        assert_eq!(cache.set_node("n1", node().facts()), []);
        assert_eq!(cache.set_node("n1", node().cpu("8").facts()), [Event::NodeAllocatable]);
        let changed = node().cpu("8").label("a", "b").taint("k", "", "NoSchedule").unschedulable().facts();
        assert_eq!(cache.set_node("n1", changed), [Event::NodeLabels, Event::NodeTaints, Event::NodeUnschedulable]);
    }

    #[test]
    fn room_made_for_a_pod_is_kept_from_lesser_ones_only() {
        let (mut cache, _) = assumed();
        let waiting = Arc::new(pod("waiting").requests("2", "1Gi").priority(10).build());
        cache.nominate(&waiting, Arc::from("n1"));
        let seen = |cluster: &Cluster| cluster.nodes.cpu_used[0];
        assert_eq!(cache.with_nominated(&pod("low").build(), seen), 3000);
        assert_eq!(cache.with_nominated(&pod("high").priority(11).build(), seen), 1000);
        assert_eq!(cache.with_nominated(&waiting, seen), 1000);
        assert_eq!(used(&cache, "n1"), 1000);
    }
}
