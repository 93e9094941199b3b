//! A pod's task and its stages.

use super::deps::Deps;
use super::stop;
use super::{Desired, Fate};
use crate::backoff::Backoff;
use crate::events::Severity;
use crate::metrics::pods::{PodCounts, Work};
use crate::pod::PodExt;
use crate::resize::{self, Applied, Resources, Standing};
use crate::runtime::PodRecord;
use crate::status::{self, Observed, Probed, Progress, Verdict, Waiting};
use crate::{clock, workers::messages};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// Where a pod stands. Each stage is entered once and in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Its containers are started and kept; ends when the pod is deleted, done or given up.
    Syncing,
    /// Its containers are stopped; ends when none runs.
    Terminating,
    /// What it had on the node is taken away; ends when none of it is left.
    Terminated,
    /// Its source has it still; ends when that is over.
    Released,
    /// Nothing is left.
    Gone,
}

const RETRY: Duration = Duration::from_secs(1);
const RETRY_CLAIMS: Duration = Duration::from_secs(5);
/// `durationBeforeRetry` of volumes that cannot be taken away, at first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(122);

/// The state of one pod's task.
pub struct Worker {
    pub(super) deps: Arc<Deps>,
    pub(super) desired: watch::Receiver<Desired>,
    nudge: Arc<Notify>,
    stage: watch::Sender<Stage>,
    /// When the pod was handed to this task.
    seen: Instant,
    /// The last status computed.
    pub(super) status: PodStatus,
    pub(super) waiting: HashMap<String, Waiting>,
    pub(super) crashes: Backoff<String>,
    /// Termination messages by container id.
    messages: HashMap<String, String>,
    pub(super) verdict: Option<Verdict>,
    /// What the pod's containers asked for when that was looked at last.
    pub(super) asked: Resources,
    /// What the pod's containers may have by now.
    pub(super) granted: Resources,
    /// What they have.
    pub(super) applied: Applied,
    pub(super) standing: Standing,
}

impl Worker {
    pub fn new(
        deps: Arc<Deps>,
        desired: watch::Receiver<Desired>,
        nudge: Arc<Notify>,
        stage: watch::Sender<Stage>,
    ) -> Self {
        let status = desired.borrow().pod.status.clone().unwrap_or_default();
        let crashes = Backoff::new(Duration::from_secs(10), deps.settings.longest_backoff);
        let messages = messages::known(&status);
        let pod = desired.borrow().pod.clone();
        let asked = resize::wanted(&pod);
        let granted = deps.allocations.get(pod.uid()).unwrap_or_else(|| asked.clone());
        Self {
            deps,
            desired,
            nudge,
            stage,
            seen: Instant::now(),
            status,
            waiting: HashMap::new(),
            crashes,
            messages,
            verdict: None,
            asked,
            granted,
            applied: Applied::new(),
            standing: Standing::default(),
        }
    }

    /// Runs the pod from its first sync to its last trace.
    pub async fn run(mut self) {
        let mut stage = Stage::Syncing;
        while stage != Stage::Gone {
            self.stage.send_replace(stage);
            let began = Instant::now();
            let next = match stage {
                // Boxed, here and below: a pod's types are large, and so is a future that holds some.
                Stage::Syncing => Box::pin(self.syncing()).await,
                Stage::Terminating => Box::pin(self.terminating()).await,
                Stage::Terminated => Box::pin(self.terminated()).await,
                Stage::Released => Box::pin(self.released()).await,
                Stage::Gone => Stage::Gone,
            };
            match stage {
                Stage::Terminating => self.counts().worked(Work::Kill, began),
                Stage::Terminated => self.counts().worked(Work::Terminated, began),
                Stage::Syncing | Stage::Released | Stage::Gone => {}
            }
            stage = next;
        }
        self.stage.send_replace(Stage::Gone);
    }

    pub(super) fn pod(&self) -> Arc<Pod> {
        self.desired.borrow().pod.clone()
    }

    fn counts(&self) -> &PodCounts {
        &self.deps.runtime.metrics().pods
    }

    /// The pod with what it was granted.
    fn granted_pod(&self) -> Arc<Pod> {
        resize::with(&self.pod(), &self.granted)
    }

    async fn syncing(&mut self) -> Stage {
        if matches!(self.pod().phase(), "Succeeded" | "Failed") {
            return Stage::Terminating;
        }
        let mut watched = self.desired.clone();
        let refused = tokio::select! {
            biased;
            () = must_stop(&mut watched) => return Stage::Terminating,
            refused = Box::pin(self.claim_resources()) => refused,
        };
        if let Some(verdict) = refused {
            self.verdict = Some(verdict);
            return Stage::Terminating;
        }
        self.counts().first_look(&self.pod(), self.seen);
        let mut work = Work::Create;
        loop {
            let began = Instant::now();
            let next = tokio::select! {
                biased;
                () = must_stop(&mut watched) => return Stage::Terminating,
                next = Box::pin(self.sync()) => next,
            };
            self.counts().worked(work, began);
            let Some(wait) = next else { return Stage::Terminating };
            let _ = self.desired.borrow_and_update();
            work = tokio::select! {
                () = must_stop(&mut watched) => return Stage::Terminating,
                () = self.nudge.notified() => Work::Sync,
                _ = self.desired.changed() => Work::Update,
                () = tokio::time::sleep(wait) => Work::Sync,
            };
        }
    }

    /// The pod's devices, processors and memory, before anything of it starts; the verdict on the pod if they cannot be
    /// had.
    async fn claim_resources(&self) -> Option<Verdict> {
        let pod = self.pod();
        let runs = self.deps.devices.concern(&pod) && self.runs_already(&pod).await;
        let pod = self.pod();
        if pod.is_being_deleted() {
            return None;
        }
        let rejection = self.deps.placement.admit(&self.deps.devices, &pod, runs).await.err()?;
        self.counts().refused(&rejection.reason);
        self.deps.events.pod(&pod, Severity::Warning, &rejection.reason, rejection.message.clone());
        let message = format!("Pod was rejected: {}", rejection.message);
        Some(Verdict { reason: rejection.reason, message, ..Verdict::default() })
    }

    async fn runs_already(&self, pod: &Pod) -> bool {
        loop {
            match self.deps.runtime.pod(pod.uid()).await {
                Ok(record) => return record.running().next().is_some(),
                Err(error) => {
                    tracing::warn!(pod = pod.formatted(), %error, "cannot see yet whether the pod runs already");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn terminating(&mut self) -> Stage {
        let uid = self.pod().uid().to_owned();
        self.deps.probes.stop_restarting(&uid);
        loop {
            if let Fate::Ended(verdict) = &self.desired.borrow().fate {
                self.verdict = Some(verdict.clone());
            }
            match self.stop_all(&uid).await {
                Ok(Stopping::Done) => break,
                Ok(Stopping::Hurry) => {}
                Err(e) => {
                    let pod = self.pod();
                    tracing::warn!(pod = pod.formatted(), error = %e, "cannot stop the pod yet");
                    let text = format!("error killing pod: {e}");
                    self.deps.events.pod(&pod, crate::events::Severity::Warning, "FailedKillPod", text);
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
        self.deps.probes.forget(&uid);
        while let Err(error) = self.deps.dra.unprepare(&uid).await {
            tracing::warn!(uid, %error, "cannot take the pod's claims back yet");
            tokio::time::sleep(RETRY_CLAIMS).await;
        }
        self.observe_last(&uid).await;
        Stage::Terminated
    }

    async fn stop_all(&mut self, uid: &str) -> Result<Stopping, crate::runtime::RuntimeError> {
        let record = self.deps.runtime.pod(uid).await?;
        let pod = self.granted_pod();
        self.observe(&pod, &record, Progress::Stopping).await;
        let grace = self.desired.borrow().grace();
        let mut watched = self.desired.clone();
        tokio::select! {
            done = stop::pod(&self.deps, &pod, &record, grace) => done.map(|()| Stopping::Done),
            () = shorter(&mut watched, grace) => Ok(Stopping::Hurry),
        }
    }

    async fn observe_last(&mut self, uid: &str) {
        let record = loop {
            match self.deps.runtime.pod(uid).await {
                Ok(record) => break record,
                Err(e) => {
                    tracing::warn!(uid, error = %e, "cannot read the pod's last state yet");
                    tokio::time::sleep(RETRY).await;
                }
            }
        };
        let pod = self.granted_pod();
        self.observe(&pod, &record, Progress::Stopped).await;
    }

    async fn terminated(&mut self) -> Stage {
        self.release(self.pod().uid()).await;
        Stage::Released
    }

    async fn released(&mut self) -> Stage {
        let uid = self.pod().uid().to_owned();
        loop {
            let desired = self.desired.borrow_and_update().clone();
            if desired.fate == Fate::Gone {
                break;
            }
            if desired.pod.is_being_deleted() && !self.delete_object(&desired.pod).await {
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    _ = self.desired.changed() => {}
                }
                continue;
            }
            if self.desired.changed().await.is_err() {
                return Stage::Gone;
            }
            let pod = self.pod();
            self.observe_generation(&pod);
        }
        self.forget(&uid).await;
        Stage::Gone
    }

    /// Takes devices, volumes and control groups away, however often that has to be tried.
    async fn release(&self, uid: &str) {
        self.deps.devices.release(uid);
        self.deps.placement.release(uid);
        let mut wait = FIRST_WAIT;
        while let Err(e) = self.deps.remove_volumes(uid).await {
            tracing::warn!(uid, error = %e, "cannot take the pod's volumes away yet");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        while let Err(e) = self.deps.cgroups.remove(uid) {
            tracing::debug!(uid, error = %e, "cannot remove the pod's cgroup yet");
            tokio::time::sleep(RETRY / 5).await;
        }
    }

    /// The object goes when its last status has been written; whether it is gone.
    async fn delete_object(&self, pod: &Pod) -> bool {
        self.deps.statuses.written(pod.uid()).await;
        match self.deps.cluster.delete_pod(pod.namespace(), pod.name(), pod.uid()).await {
            Ok(()) => true,
            Err(e) if e.is_not_found() => true,
            Err(e) => {
                tracing::warn!(pod = pod.formatted(), error = %e, "cannot delete the pod's object yet");
                false
            }
        }
    }

    async fn forget(&self, uid: &str) {
        while let Err(e) = stop::remove_all(&self.deps.runtime, uid).await {
            tracing::warn!(uid, error = %e, "cannot remove the pod's containers yet");
            tokio::time::sleep(RETRY).await;
        }
        super::files::remove_logs(&self.deps.settings, &self.pod());
        self.deps.statuses.forget(uid);
        self.deps.allocations.forget(uid);
        self.deps.images.forget(uid);
        self.counts().startups.forget(uid);
    }

    /// Computes the status from what the runtime holds and hands it to the writer.
    pub(super) async fn observe(
        &mut self,
        pod: &Arc<Pod>,
        record: &PodRecord,
        progress: Progress,
    ) -> HashMap<String, Probed> {
        messages::collect(&mut self.messages, record, &self.deps.settings.logs).await;
        let old = merge_foreign(&self.status, pod);
        let before = |id: &str| probed_before(&old, record, id, self.deps.settings.started);
        let probed = self.deps.probes.probed(pod, record, before);
        let host_ips = self.deps.node.host_ips();
        let status = status::generate(&Observed {
            pod,
            record,
            old: &old,
            waiting: &self.waiting,
            probed: &probed,
            messages: &self.messages,
            verdict: self.verdict.as_ref(),
            progress,
            host_ips: &host_ips,
            applied: &self.applied,
            standing: &self.standing,
            devices: &self.deps.devices.health(pod.uid()),
        });
        self.set_status(pod, status);
        probed
    }

    /// A finished pod may still get a new generation.
    fn observe_generation(&mut self, pod: &Arc<Pod>) {
        let status = PodStatus { observed_generation: pod.generation(), ..merge_foreign(&self.status, pod) };
        self.set_status(pod, status);
    }

    fn set_status(&mut self, pod: &Arc<Pod>, status: PodStatus) {
        if pod.spec.as_ref().is_some_and(|s| s.containers.is_empty()) {
            // An orphan: nobody has its object.
            return;
        }
        self.counts().ended(&self.status, &status);
        let pending = self.status.phase.as_deref().unwrap_or("Pending") == "Pending";
        if pending && status.phase.as_deref() == Some("Running") {
            self.counts().startups.runs(self.seen);
        }
        self.status = status.clone();
        self.deps.statuses.set(pod, status);
    }
}

enum Stopping {
    /// Nothing runs any more.
    Done,
    /// The pod's grace was cut short meanwhile.
    Hurry,
}

async fn must_stop(desired: &mut watch::Receiver<Desired>) {
    // The sender goes with the kubelet: then nothing is to be decided any more.
    if desired.wait_for(Desired::must_stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn shorter(desired: &mut watch::Receiver<Desired>, grace: i64) {
    if desired.wait_for(|d| d.grace() < grace).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Our status with the conditions that others have set since.
fn merge_foreign(status: &PodStatus, pod: &Pod) -> PodStatus {
    let own = |kind: &str| status::conditions::is_own(kind);
    let seen = pod.status.as_ref().and_then(|s| s.conditions.clone()).unwrap_or_default();
    let resize = |kind: &str| status::conditions::is_of_resize(kind);
    let ours = status.conditions.iter().flatten().filter(|c| own(&c.type_) || resize(&c.type_)).cloned();
    let mut conditions: Vec<_> = ours.collect();
    conditions.extend(
        seen.into_iter()
            .filter(|c| !resize(&c.type_) && (!own(&c.type_) || !conditions.iter().any(|k| k.type_ == c.type_)))
            .collect::<Vec<_>>(),
    );
    PodStatus { conditions: Some(conditions), ..status.clone() }
}

/// What the status said of a container that ran before this kubelet did.
fn probed_before(
    old: &PodStatus,
    record: &PodRecord,
    id: &str,
    started: k8s_openapi::jiff::Timestamp,
) -> Option<Probed> {
    let container = record.containers.iter().find(|c| c.id == id)?;
    let since = clock::from_nanos(container.started_at)?;
    if since.0 >= started {
        return None;
    }
    let all = old.container_statuses.iter().chain(&old.init_container_statuses).flatten();
    let is = |s: &&ContainerStatus| s.container_id.as_deref().is_some_and(|c| c.ends_with(id));
    all.into_iter().find(is).map(|s| Probed { started: s.started == Some(true), ready: s.ready })
}
