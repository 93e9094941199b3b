//! Tries one pod after the other: queue → decision → assume → bind, or why not.

pub mod extended;

use crate::bind::{Binder, Unplaced};
use crate::cache::Cache;
use crate::config::Configuration;
use crate::config::plugins::Point;
use crate::decide::{Decision, decide};
use crate::devices::{Claims, Devices};
use crate::diagnosis::Diagnosis;
use crate::extender::Extender;
use crate::framework::Event;
use crate::metrics::{Metrics, Outcome};
use crate::model::budgets::Budget;
use crate::model::node::NodeFacts;
use crate::model::pod::{Owner, PodKey};
use crate::model::selector::{Labels, PodSelector};
use crate::model::storage::Storage;
use crate::model::volumes::ClaimKey;
use crate::model::{NodeId, Pod};
use crate::plugins::dynamic_resources::{self, Relief};
use crate::plugins::volume_binding::{self, Plan};
use crate::preempt::{self, Preemption};
use crate::profile::{Profile, ProfileError, Timeouts};
use crate::queue::{Attempt, Queue};
use crate::trace::{Status, Trace};
use crate::volumes;
use extended::Extenders;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// The scheduler's state; the informers write to it, [`Scheduler::run`] decides on it.
#[derive(Debug)]
pub struct Scheduler {
    profiles: Arc<HashMap<String, Profile>>,
    percentage: i32,
    cache: Mutex<Cache>,
    queue: Queue,
    /// Pods that wait for claims of devices to be there.
    held: Mutex<HashMap<PodKey, Arc<Pod>>>,
    metrics: Metrics,
    /// Set once, if there are any.
    extenders: OnceLock<Extenders>,
    /// Told when something changed that pods may be waiting for before they can be bound.
    progress: Notify,
}

impl Scheduler {
    /// Without nodes and pods.
    pub fn new(config: &Configuration) -> Result<Self, ProfileError> {
        let mut profiles = HashMap::new();
        for profile in &config.profiles {
            let profile = Profile::new(profile, &config.extenders)?;
            if profiles.contains_key(&profile.name) {
                return Err(ProfileError::Duplicate(profile.name));
            }
            profiles.insert(profile.name.clone(), profile);
        }
        let profiles = Arc::new(profiles);
        let (first, last) = config.backoff();
        let queue = Queue::new(first.0, last.0, Arc::clone(&profiles));
        let metrics = Metrics::new(queue.clone());
        Ok(Self {
            profiles,
            percentage: config.percentage_of_nodes_to_score,
            cache: Mutex::default(),
            queue,
            held: Mutex::default(),
            metrics,
            extenders: OnceLock::new(),
            progress: Notify::new(),
        })
    }

    /// Its metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Has extenders take part from now on; only the first call counts.
    pub fn extend(&self, extenders: Extenders) {
        let _first = self.extenders.set(extenders);
    }

    /// The extender that binds the pod, of those that are asked in turn.
    pub(crate) fn binders(&self, pod: &Pod) -> Vec<Extender> {
        self.extenders_of(pod).into_iter().filter(Extender::binds).collect()
    }

    /// A node's new state.
    pub fn set_node(&self, name: &str, facts: NodeFacts) {
        let events = self.cache.lock().set_node(name, facts);
        events.into_iter().for_each(|event| self.queue.wake(event));
    }

    /// A node that is gone.
    pub fn remove_node(&self, name: &str) {
        self.cache.lock().remove_node(name);
    }

    /// A namespace's labels; `None` if it is gone.
    pub fn set_namespace(&self, name: &str, labels: Option<Labels>) {
        self.cache.lock().set_namespace(name, labels);
        self.queue.wake(Event::NamespaceLabels);
    }

    /// A Service's selector; `None` if the Service is gone or selects nothing.
    pub fn set_service(&self, namespace: &str, name: &str, selector: Option<Labels>) {
        self.cache.lock().cluster.groups.set_service(namespace, name, selector);
    }

    /// A controller's selector; `None` if the controller is gone.
    pub fn set_owner(&self, namespace: &str, owner: Owner, selector: Option<PodSelector>) {
        self.cache.lock().cluster.groups.set_owner(namespace, owner, selector);
    }

    /// A disruption budget; `None` if it is gone or selects nobody.
    pub fn set_budget(&self, namespace: &str, name: &str, budget: Option<Budget>) {
        self.cache.lock().cluster.budgets.set(namespace, name, budget);
    }

    /// Takes in what is new about storage, and tries the pods again that it may help.
    pub fn change_storage(&self, change: impl FnOnce(&mut Storage) -> Vec<Event>) {
        let events = change(&mut self.cache.lock().cluster.storage);
        events.into_iter().for_each(|event| self.queue.wake(event));
        self.progress.notify_waiters();
    }

    /// Takes in what is new about devices.
    pub fn change_devices<T>(&self, change: impl FnOnce(&mut Devices) -> T) -> T {
        let outcome = change(&mut self.cache.lock().cluster.devices);
        self.progress.notify_waiters();
        outcome
    }

    /// Takes in what is new about a claim of devices, and tries the pods again that it may help.
    pub fn change_claims(&self, key: &ClaimKey, change: impl FnOnce(&mut Claims) -> Option<Event>) {
        let event = self.change_devices(|devices| change(&mut devices.claims));
        event.into_iter().for_each(|event| self.wake(event));
        let names = |pod: &Pod| pod.device_claims.iter().any(|made| made.key() == Some(key));
        let waiting: Vec<_> = self.held.lock().values().filter(|pod| names(pod)).cloned().collect();
        waiting.into_iter().for_each(|pod| self.enqueue(pod));
    }

    /// A claim of devices, as it is after all that is known.
    pub(crate) fn device_claim(&self, key: &ClaimKey) -> Option<dynamic_resources::Claim> {
        self.cache.lock().cluster.devices.claims.get(key).cloned()
    }

    /// Tries the pods again that the event may help.
    pub(crate) fn wake(&self, event: Event) {
        self.queue.wake(event);
    }

    /// Lets the pod wait for its turn, or for the claims that it names.
    fn enqueue(&self, pod: Arc<Pod>) {
        let checks = self.profiles.get(&pod.scheduler_name).is_some_and(|p| p.devices.is_some());
        if !checks || dynamic_resources::are_there(&self.cache.lock().cluster, &pod).is_ok() {
            self.held.lock().remove(&pod.key());
            return self.queue.set(pod);
        }
        self.held.lock().insert(pod.key(), Arc::clone(&pod));
        self.queue.hold(pod);
    }

    /// A pod's new state.
    pub fn set_pod(&self, pod: Arc<Pod>) {
        if pod.node.is_some() {
            self.drop_waiting(&pod.key());
            let events = self.cache.lock().set_pod(pod);
            events.into_iter().for_each(|event| self.queue.wake(event));
        } else if self.profiles.contains_key(&pod.scheduler_name) {
            let mut cache = self.cache.lock();
            if let Some(node) = &pod.nominated {
                cache.nominate(&pod, Arc::clone(node));
            }
            let is_placed = cache.is_placed(&pod.key());
            drop(cache);
            let pod = self.ungated(pod);
            // An assumed pod changes only by being bound or by failing to be.
            if !is_placed && !pod.is_terminating {
                self.enqueue(pod);
            }
        }
    }

    /// Without its gates, if its profile minds none.
    fn ungated(&self, mut pod: Arc<Pod>) -> Arc<Pod> {
        let minds = self.profiles.get(&pod.scheduler_name).is_none_or(|profile| profile.is_gated);
        if !minds && !pod.gates.is_empty() {
            Arc::make_mut(&mut pod).gates.clear();
        }
        pod
    }

    fn drop_waiting(&self, key: &PodKey) {
        self.queue.remove(key);
        self.held.lock().remove(key);
    }

    /// A pod that is gone, or has ended.
    pub fn remove_pod(&self, pod: &Pod) {
        self.drop_waiting(&pod.key());
        let event = self.cache.lock().remove_pod(&pod.key());
        self.progress.notify_waiters();
        event.into_iter().for_each(|event| self.queue.wake(event));
    }

    /// Tries pods until dropped.
    pub async fn run(self: Arc<Self>, binder: Binder) {
        loop {
            let attempt = self.queue.pop().await;
            self.attempt(attempt, &binder).await;
            // A long queue must not keep the watches from being read.
            tokio::task::yield_now().await;
        }
    }

    async fn attempt(self: &Arc<Self>, attempt: Attempt, binder: &Binder) {
        let started = Instant::now();
        let Some(profile) = self.profiles.get(&attempt.pod.scheduler_name) else { return };
        let mut trace = Trace::of_attempt(self.metrics.next_attempt());
        let extenders = self.extenders_of(&attempt.pod);
        let choice = match extenders.is_empty() {
            true => self.choose(profile, &attempt.pod, &mut trace),
            false => self.choose_with(&extenders, profile, &attempt.pod, &mut trace).await,
        };
        self.metrics.traced(&profile.name, &trace);
        match choice {
            Choice::Node { node, plan, devices } => {
                self.metrics.decided(started);
                let placement = Placement { attempt, node, plan, devices, timeouts: profile.timeouts(), started };
                binder.bind(Arc::clone(self), placement).await;
            }
            Choice::Failed { why } => {
                self.metrics.attempted(&profile.name, Outcome::Error, started);
                self.queue.failed(&attempt);
                binder.report(&attempt.pod, why);
            }
            Choice::Nowhere { diagnosis, relief, preemption } => {
                self.metrics.attempted(&profile.name, Outcome::Unschedulable, started);
                match &preemption {
                    Preemption::Found { victims, .. } => self.metrics.preempted(victims.len()),
                    Preemption::NotFound { .. } | Preemption::NotTried { .. } => self.metrics.preempted(0),
                    Preemption::SwitchedOff => {}
                }
                self.queue.unschedulable(&attempt, diagnosis.plugins());
                binder.explain(&self.metrics, &attempt.pod, &diagnosis, Unplaced { relief, preemption });
            }
        }
    }

    /// Decides on the cache, and assumes the decision.
    fn choose(&self, profile: &Profile, pod: &Arc<Pod>, trace: &mut Trace) -> Choice {
        let mut cache = self.cache.lock();
        let decision = cache.with_nominated(pod, |cluster| decide(profile, self.percentage, cluster, pod, trace));
        match decision {
            Decision::Place { node } => assume(profile, &mut cache, pod, node),
            Decision::Fail { why } => Choice::Failed { why },
            Decision::Reject(diagnosis) => {
                let begun = trace.begin();
                let relief = relief(profile, &cache, pod, &diagnosis);
                let preemption = preempt::find(profile, &mut cache.cluster, pod, &diagnosis);
                let found = preemption.node().is_some();
                trace.end(Point::PostFilter, if found { Status::Success } else { Status::Unschedulable }, begun);
                if let Preemption::Found { node, .. } = &preemption {
                    cache.nominate(pod, Arc::clone(node));
                }
                Choice::Nowhere { diagnosis, relief, preemption }
            }
        }
    }

    /// The pod is bound; the informer will show it.
    pub(crate) fn bound(&self, attempt: &Attempt, started: Instant) {
        self.queue.remove(&attempt.pod.key());
        self.metrics.attempted(&attempt.pod.scheduler_name, Outcome::Scheduled, started);
        self.metrics.scheduled(attempt);
    }

    /// The pod could not be bound: its place is free again, and it is tried again.
    pub(crate) fn unbound(&self, placement: &Placement) {
        let Placement { attempt, plan, devices, started, .. } = placement;
        let event = {
            let mut cache = self.cache.lock();
            cache.unreserve(plan);
            cache.unreserve_devices(devices);
            cache.forget(&attempt.pod.key())
        };
        self.queue.failed(attempt);
        event.into_iter().for_each(|event| self.queue.wake(event));
        self.metrics.attempted(&attempt.pod.scheduler_name, Outcome::Error, *started);
    }

    /// Resolves at the next change that a pod may be waiting for. Nothing is missed between looking
    /// and waiting: a change counts from when this was called.
    pub(crate) fn progress(&self) -> Notified<'_> {
        self.progress.notified()
    }

    /// How far the written plan is.
    pub(crate) fn look(
        &self,
        placement: &Placement,
        written: &volumes::Written,
    ) -> Result<volumes::Progress, volumes::Undone> {
        let cache = self.cache.lock();
        if !cache.is_placed(&placement.attempt.pod.key()) {
            return Err(volumes::Undone::PodGone);
        }
        written.progress(&cache.cluster, &placement.node)
    }

    /// How large the cache is.
    pub fn sizes(&self) -> Sizes {
        let cache = self.cache.lock();
        Sizes { nodes: cache.cluster.nodes.live().len(), pods: cache.pods(), assumed: cache.assumed() }
    }

    /// How many pods are placed; for tests and tools.
    pub fn placed(&self) -> usize {
        self.cache.lock().pods()
    }

    /// Tries the next pod and assumes it bound; for measuring decisions without an apiserver.
    pub async fn try_next(&self) -> Option<Arc<str>> {
        let attempt = self.queue.pop().await;
        let profile = self.profiles.get(&attempt.pod.scheduler_name)?;
        match self.choose(profile, &attempt.pod, &mut Trace::default()) {
            Choice::Node { node, .. } => {
                self.bound(&attempt, Instant::now());
                Some(node)
            }
            Choice::Failed { .. } => {
                self.queue.failed(&attempt);
                None
            }
            Choice::Nowhere { diagnosis, .. } => {
                self.queue.unschedulable(&attempt, diagnosis.plugins());
                None
            }
        }
    }
}

/// Counts the pod as placed, with what that means for its volumes.
fn assume(profile: &Profile, cache: &mut Cache, pod: &Arc<Pod>, node: NodeId) -> Choice {
    let name = Arc::clone(cache.cluster.nodes.name(node));
    let plan = match profile.bind_volumes {
        Some(_) => volume_binding::plan(&cache.cluster, pod, node),
        None => Plan::default(),
    };
    let devices = profile.devices.map(|devices| devices.plan(&cache.cluster, pod, node)).transpose();
    let devices = match devices {
        Ok(devices) => Box::new(devices.unwrap_or_default()),
        Err(why) => return Choice::Failed { why },
    };
    cache.assume(pod, node);
    cache.reserve(&plan, &name);
    cache.reserve_devices(&devices);
    Choice::Node { node: name, plan, devices }
}

/// What could be given back of devices, if that is switched on.
fn relief(profile: &Profile, cache: &Cache, pod: &Pod, diagnosis: &Diagnosis) -> Option<Relief> {
    profile.devices.map(|devices| devices.relief(&cache.cluster, pod, diagnosis))
}

/// How large the cache is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Nodes.
    pub nodes: usize,
    /// Pods that are placed.
    pub pods: usize,
    /// Those of them that the apiserver has not shown yet.
    pub assumed: usize,
}

/// A pod that has a place.
#[derive(Debug)]
pub(crate) struct Placement {
    /// The pod.
    pub attempt: Attempt,
    /// Its node.
    pub node: Arc<str>,
    /// What has to be done about its volumes first.
    pub plan: Plan,
    /// What has to be done about its claims of devices first.
    pub devices: Box<dynamic_resources::Plan>,
    /// How long that may take.
    pub timeouts: Timeouts,
    /// When the decision began.
    pub started: Instant,
}

enum Choice {
    Node { node: Arc<str>, plan: Plan, devices: Box<dynamic_resources::Plan> },
    Nowhere { diagnosis: Diagnosis, relief: Option<Relief>, preemption: Preemption },
    Failed { why: String },
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "message_tests.rs"]
mod message_tests;
