//! One task per pod: sync → terminating → terminated. A pod is never synced after it began to
//! end, and its end is complete before it is forgotten.
//!
//! Upstream: `pkg/kubelet/pod_workers.go`.

pub mod actions;
pub mod admission;
pub mod deps;
pub mod files;
pub mod headcount;
pub mod messages;
pub mod mounts;
pub mod nudges;
pub mod preemption;
pub mod resizing;
pub mod start;
pub mod stop;
pub mod sync;
pub mod sysctls;
pub mod worker;

pub use deps::{Deps, Settings};
pub use headcount::Headcount;
pub use nudges::Nudges;

use crate::metrics::pods::PodCounts;
use crate::node::Facts;
use crate::pod::PodExt;
use crate::runtime::record::Outline;
use crate::status::Verdict;
use component::Supervisor;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;
use worker::{Stage, Worker};

/// What a worker is told about its pod.
#[derive(Clone, Debug)]
pub struct Desired {
    pub pod: Arc<Pod>,
    pub fate: Fate,
}

/// Whether the pod is still asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its source has it; it may be marked as deleted.
    Wanted,
    /// The kubelet itself ended it.
    Ended(Verdict),
    /// Its source has it no more.
    Gone,
}

impl Desired {
    /// Whether the pod is to be stopped, whatever it does.
    pub fn must_stop(&self) -> bool {
        self.fate != Fate::Wanted || self.pod.is_being_deleted()
    }

    /// Seconds that its containers get.
    pub fn grace(&self) -> i64 {
        let own = self.pod.grace();
        match &self.fate {
            Fate::Ended(Verdict { grace: Some(given), .. }) if self.pod.is_being_deleted() => own.min(*given),
            Fate::Ended(Verdict { grace: Some(given), .. }) => *given,
            Fate::Ended(_) | Fate::Wanted | Fate::Gone => own,
        }
    }
}

struct Entry {
    desired: watch::Sender<Desired>,
    stage: watch::Receiver<Stage>,
    /// The same pod, asked for again while its end was under way.
    successor: Option<Arc<Pod>>,
}

impl Entry {
    /// The pod fails with this verdict, unless it ends already.
    fn end(&self, verdict: Verdict) {
        self.desired.send_if_modified(|d| {
            let running = d.fate == Fate::Wanted;
            if running {
                d.fate = Fate::Ended(verdict);
            }
            running
        });
    }
}

/// Hands pods to their workers. Cheap to clone.
#[derive(Clone)]
pub struct Workers {
    shared: Arc<Shared>,
}

struct Shared {
    deps: Arc<Deps>,
    nudges: Nudges,
    supervisor: Supervisor,
    entries: Mutex<HashMap<String, Entry>>,
}

impl Workers {
    pub fn new(deps: Arc<Deps>, nudges: Nudges, supervisor: Supervisor) -> Self {
        Self { shared: Arc::new(Shared { deps, nudges, supervisor, entries: Mutex::default() }) }
    }

    /// A pod is new or has changed.
    pub fn update(&self, pod: Arc<Pod>) {
        if !pod.is_static() {
            self.counts().startups.shown(&pod, Timestamp::now());
        }
        let mut entries = self.shared.entries.lock();
        if let Some(entry) = entries.get_mut(pod.uid()) {
            if entry.desired.borrow().fate == Fate::Gone {
                entry.successor = Some(pod);
            } else {
                entry.desired.send_modify(|d| d.pod = pod);
            }
            return;
        }
        let fate = self.admit(&pod, &entries);
        self.begin(&mut entries, Desired { pod, fate });
    }

    fn counts(&self) -> &PodCounts {
        &self.shared.deps.runtime.metrics().pods
    }

    /// A pod's source has it no more.
    pub fn remove(&self, uid: &str) {
        if let Some(entry) = self.shared.entries.lock().get_mut(uid) {
            entry.successor = None;
            entry.desired.send_modify(|d| d.fate = Fate::Gone);
        }
    }

    /// The runtime has a pod that nobody asks for: it is ended.
    pub fn remove_orphan(&self, uid: &str, outline: &Outline) {
        let mut entries = self.shared.entries.lock();
        if entries.contains_key(uid) {
            return;
        }
        self.counts().orphaned();
        tracing::info!(pod = outline.name, namespace = outline.namespace, uid, "ending a pod that nobody asks for");
        let metadata = ObjectMeta {
            name: Some(outline.name.clone()),
            namespace: Some(outline.namespace.clone()),
            uid: Some(uid.to_owned()),
            ..ObjectMeta::default()
        };
        let pod = Pod { metadata, spec: Some(PodSpec::default()), status: None };
        self.begin(&mut entries, Desired { pod: Arc::new(pod), fate: Fate::Gone });
    }

    /// Ends a pod: it fails with this verdict.
    pub fn end(&self, uid: &str, verdict: Verdict) {
        if let Some(entry) = self.shared.entries.lock().get(uid) {
            entry.end(verdict);
        }
    }

    /// Waits until nothing of a pod runs any more.
    pub async fn ended(&self, uid: &str) {
        let stage = self.shared.entries.lock().get(uid).map(|entry| entry.stage.clone());
        if let Some(mut stage) = stage {
            // A worker that is gone has ended its pod.
            let _ = stage.wait_for(|stage| *stage >= Stage::Terminated).await;
        }
    }

    /// Waits until a pod has nothing on the node any more but its containers' logs: its volumes are gone, too.
    pub async fn released(&self, uid: &str) {
        let stage = self.shared.entries.lock().get(uid).map(|entry| entry.stage.clone());
        if let Some(mut stage) = stage {
            // A worker that is gone has done so.
            let _ = stage.wait_for(|stage| *stage >= Stage::Released).await;
        }
    }

    /// Something happened to a pod's containers.
    pub fn nudge(&self, uid: &str) {
        self.shared.nudges.nudge(uid);
    }

    /// Whether there is a worker for this pod.
    pub fn knows(&self, uid: &str) -> bool {
        self.shared.entries.lock().contains_key(uid)
    }

    /// All pods as their sources have them.
    pub fn pods(&self) -> Vec<Arc<Pod>> {
        self.shared.entries.lock().values().map(|e| e.desired.borrow().pod.clone()).collect()
    }

    /// The pods that use the node's resources.
    pub fn active(&self) -> Vec<Arc<Pod>> {
        active(&self.shared.entries.lock())
    }

    /// A pod by name.
    pub fn find(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        self.pods().into_iter().find(|p| p.namespace() == namespace && p.name() == name)
    }

    fn admit(&self, pod: &Pod, entries: &HashMap<String, Entry>) -> Fate {
        if pod.is_being_deleted() || matches!(pod.phase(), "Succeeded" | "Failed") {
            return Fate::Wanted;
        }
        let deps = &self.shared.deps;
        let others: Vec<_> = active(entries).iter().map(|pod| deps.allocations.granted(pod)).collect();
        let node = deps.node.get();
        let verdict = deps.settings.sysctls.admit(pod).and_then(|()| admission::admit(pod, &others, &node));
        match verdict {
            Ok(()) => Fate::Wanted,
            Err(rejection) if rejection.is_of_resources() && self.preempt(pod, &others, &node, entries) => Fate::Wanted,
            Err(rejection) => {
                self.counts().refused(&rejection.reason);
                deps.events.pod(pod, crate::events::Severity::Warning, &rejection.reason, rejection.message.clone());
                let message = format!("Pod was rejected: {}", rejection.message);
                Fate::Ended(Verdict { reason: rejection.reason, message, ..Verdict::default() })
            }
        }
    }

    /// Ends others so that a pod that the node cannot do without has room; whether there is room then.
    fn preempt(&self, pod: &Pod, others: &[Arc<Pod>], node: &Facts, entries: &HashMap<String, Entry>) -> bool {
        let missing = preemption::missing(pod, others, node);
        let may = pod.is_critical() && !node.shuts_down;
        let Some(victims) = may.then(|| preemption::victims(pod, others, &missing)).flatten() else {
            return false;
        };
        let signal = missing.first().map_or("", |(name, _)| name);
        for victim in victims {
            let (reason, message) = (preemption::REASON, preemption::MESSAGE);
            tracing::warn!(pod = victim.formatted(), by = pod.formatted(), "preempting a pod");
            self.shared.deps.events.pod(&victim, crate::events::Severity::Warning, reason, message);
            let verdict = Verdict { reason: reason.into(), message: message.into(), grace: None, disruption: true };
            if let Some(entry) = entries.get(victim.uid()) {
                entry.end(verdict);
            }
            self.counts().preempted(signal);
        }
        true
    }

    fn begin(&self, entries: &mut HashMap<String, Entry>, desired: Desired) {
        let uid = desired.pod.uid().to_owned();
        let (sender, receiver) = watch::channel(desired);
        let (stage, stage_seen) = watch::channel(Stage::Syncing);
        let worker = Worker::new(self.shared.deps.clone(), receiver, self.shared.nudges.of(&uid), stage);
        entries.insert(uid.clone(), Entry { desired: sender, stage: stage_seen, successor: None });
        let workers = self.clone();
        self.shared.supervisor.spawn_until_stop("pod", async move {
            worker.run().await;
            workers.finished(&uid);
        });
    }

    fn finished(&self, uid: &str) {
        let mut entries = self.shared.entries.lock();
        self.shared.nudges.forget(uid);
        if let Some(pod) = entries.remove(uid).and_then(|e| e.successor) {
            self.counts().restarted(&pod);
            let fate = self.admit(&pod, &entries);
            self.begin(&mut entries, Desired { pod, fate });
        }
    }
}

fn active(entries: &HashMap<String, Entry>) -> Vec<Arc<Pod>> {
    let running = entries.values().filter(|e| *e.stage.borrow() < Stage::Terminated);
    running
        .filter(|e| !matches!(e.desired.borrow().fate, Fate::Ended(_)))
        .map(|e| e.desired.borrow().pod.clone())
        .collect()
}
