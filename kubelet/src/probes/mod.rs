//! Probes: one task per probe of a running container, and what they found.
//!
//! Upstream: `pkg/kubelet/prober`.

pub mod check;
pub mod grpc;
pub mod http;
pub mod metrics;
pub mod results;
pub mod worker;

pub use results::Results;

use crate::events::Events;
use crate::pod::{PodExt, is_sidecar};
use crate::runtime::{ContainerRecord, ContainerState, PodRecord, Runtime};
use crate::status::Probed;
use crate::workers::actions::ProbeVerdicts;
use component::Supervisor;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// What a probe decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Whether the others may begin.
    Startup,
    /// Whether the container gets traffic.
    Readiness,
    /// Whether it is restarted.
    Liveness,
}

impl Kind {
    /// As events print it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }

    fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Self::Startup => container.startup_probe.as_ref(),
            Self::Readiness => container.readiness_probe.as_ref(),
            Self::Liveness => container.liveness_probe.as_ref(),
        }
    }
}

/// One probe of one container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProbeKey {
    pub uid: String,
    pub container: String,
    pub kind: Kind,
}

/// What a probe task aims at; renewed with every sync of the pod.
#[derive(Clone, Debug)]
pub struct Target {
    pub pod: Arc<Pod>,
    pub container: Container,
    pub record: ContainerRecord,
    pub pod_ip: String,
}

/// Runs probes. Cheap to clone.
#[derive(Clone)]
pub struct Probes {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) runtime: Runtime,
    pub(crate) events: Events,
    pub(crate) results: Results,
    pub(crate) metrics: metrics::Metrics,
    supervisor: Supervisor,
    tasks: Mutex<HashMap<ProbeKey, Task>>,
    /// Called when a result changed: the pod has to be looked at.
    changed: Box<dyn Fn(&str) + Send + Sync>,
}

struct Task {
    target: tokio::sync::watch::Sender<Target>,
    owner: Supervisor,
}

impl Probes {
    /// `changed` is called with the UID of a pod about which a probe has news.
    pub fn new(
        runtime: Runtime,
        events: Events,
        supervisor: Supervisor,
        changed: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        let (results, metrics, tasks) = (Results::default(), metrics::Metrics::default(), Mutex::default());
        let changed = Box::new(changed);
        Self { shared: Arc::new(Shared { runtime, events, results, metrics, supervisor, tasks, changed }) }
    }

    /// Aims the pod's probes at its running containers; starts and ends tasks as needed.
    pub fn sync(&self, pod: &Arc<Pod>, record: &PodRecord, pod_ips: &[String]) {
        let spec = PodExt::spec(pod.as_ref());
        let sidecars = pod.init_containers().iter().filter(|c| is_sidecar(c));
        for container in spec.containers.iter().chain(sidecars) {
            let current = record.container(&container.name).filter(|r| r.state == ContainerState::Running);
            for kind in [Kind::Startup, Kind::Readiness, Kind::Liveness] {
                let key = ProbeKey { uid: pod.uid().to_owned(), container: container.name.clone(), kind };
                match current.filter(|_| kind.of(container).is_some()) {
                    Some(record) => self.aim(
                        key,
                        Target {
                            pod: pod.clone(),
                            container: container.clone(),
                            record: record.clone(),
                            pod_ip: pod_ips.first().cloned().unwrap_or_default(),
                        },
                    ),
                    None => self.end(&key),
                }
            }
        }
    }

    fn aim(&self, key: ProbeKey, target: Target) {
        let mut tasks = self.shared.tasks.lock();
        if let Some(task) = tasks.get(&key) {
            task.target.send_replace(target);
            return;
        }
        let owner = self.shared.supervisor.child();
        let (sender, receiver) = tokio::sync::watch::channel(target);
        owner.spawn_until_stop("probe", worker::run(key.clone(), receiver, self.shared.clone()));
        tasks.insert(key, Task { target: sender, owner });
    }

    fn end(&self, key: &ProbeKey) {
        if let Some(task) = self.shared.tasks.lock().remove(key) {
            self.shared.end(key, &task);
        }
    }

    /// The pod is being stopped: nothing may restart its containers any more. Readiness goes on,
    /// so that traffic ends when the container says so.
    pub fn stop_restarting(&self, uid: &str) {
        self.end_where(|key| key.uid == uid && key.kind != Kind::Readiness);
    }

    /// The pod is gone.
    pub fn forget(&self, uid: &str) {
        self.end_where(|key| key.uid == uid);
    }

    fn end_where(&self, which: impl Fn(&ProbeKey) -> bool) {
        self.shared.tasks.lock().retain(|key, task| {
            let ends = which(key);
            if ends {
                self.shared.end(key, task);
            }
            !ends
        });
    }

    /// What is known of the pod's containers, by container id. `before` says whether a container
    /// that was running before this kubelet was ready then: a restart flips no readiness.
    pub fn probed(
        &self,
        pod: &Pod,
        record: &PodRecord,
        before: impl Fn(&str) -> Option<Probed>,
    ) -> HashMap<String, Probed> {
        let running = record.running();
        let judged = running.filter_map(|r| {
            let container = pod.container(&r.name)?;
            Some((r.id.clone(), self.shared.results.probed(&container, &r.id, || before(&r.id))))
        });
        judged.collect()
    }

    /// `/metrics/probes`.
    pub fn metrics(&self) -> String {
        self.shared.metrics.text()
    }

    /// What the probes gave up, and who is up.
    pub fn verdicts(&self, probed: &HashMap<String, Probed>) -> ProbeVerdicts {
        let started = probed.iter().filter(|(_, p)| p.started).map(|(id, _)| id.clone()).collect();
        self.shared.results.verdicts(started)
    }

    /// Forgets a container that is no more.
    pub fn forget_container(&self, id: &str) {
        self.shared.results.forget(id);
    }
}

impl Shared {
    fn end(&self, key: &ProbeKey, task: &Task) {
        task.owner.stop();
        self.metrics.forget(key, &task.target.borrow());
    }

    pub(crate) fn changed(&self, uid: &str) {
        (self.changed)(uid);
    }
}
