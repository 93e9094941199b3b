//! One look at a pod: what the runtime has, what is missing, doing it.

use super::actions::{self, Actions, KillReason, SandboxAction};
use super::start::{Pulled, Started};
use super::worker::Worker;
use super::{files, stop};
use crate::clock;
use crate::env::fields::PodFacts;
use crate::events::Severity;
use crate::network;
use crate::pod::PodExt;
use crate::resize::apply;
use crate::runtime::sandbox::{SandboxInput, sandbox_config};
use crate::runtime::{PodRecord, RuntimeError};
use crate::status::{Progress, Verdict};
use crate::volumes::{Mounted, VolumeError};
use k8s_openapi::api::core::v1::Pod;
use proto::cri;
use std::sync::Arc;
use std::time::Duration;

const RETRY: Duration = Duration::from_secs(1);
/// What failed lately says itself for how long it is left alone.
const RETRY_VOLUMES: Duration = Duration::from_millis(500);
const RETRY_SANDBOX: Duration = Duration::from_secs(2);
const RETRY_CLAIMS: Duration = Duration::from_secs(2);

/// A pod as it is being synced.
pub(super) struct Look {
    pub pod: Arc<Pod>,
    pub record: PodRecord,
    pub mounted: Mounted,
    pub sandbox: String,
    pub sandbox_config: cri::PodSandboxConfig,
    pub ips: Vec<String>,
}

impl Worker {
    /// Brings the pod one step further. When to look again; `None` when it is to be stopped.
    pub(super) async fn sync(&mut self) -> Option<Duration> {
        let desired = self.pod();
        let record = match self.deps.runtime.pod(desired.uid()).await {
            Ok(record) => record,
            Err(e) => {
                tracing::warn!(pod = desired.formatted(), error = %e, "cannot ask the runtime");
                return Some(RETRY);
            }
        };
        let (before, pod) = self.grant(&desired, &record);
        self.deps.probes.sync(&pod, &record, &self.ips(&pod, &record));
        let probed = self.observe(&pod, &record, Progress::Running).await;
        if self.is_over(&pod) {
            return None;
        }
        if let Some(why) = self.deps.node.network_down().filter(|_| !pod.is_host_network()) {
            let text = format!("network is not ready: {why}");
            self.deps.events.pod(&pod, Severity::Warning, "NetworkNotReady", text);
            return Some(RETRY_SANDBOX);
        }
        let mounted = match Box::pin(self.prepare(&before, &pod, &record)).await {
            Ok(mounted) => mounted,
            Err(wait) => return Some(wait),
        };
        let mut todo = actions::compute(&pod, &record, &self.deps.probes.verdicts(&probed));
        Box::pin(self.resize(&pod, &record, &mut todo)).await;
        let wait = Box::pin(self.act(&pod, record, mounted, todo)).await;
        if self.is_over(&pod) {
            return None;
        }
        Some(self.next_look(&pod, wait))
    }

    /// Done by itself, or out of time.
    fn is_over(&mut self, pod: &Pod) -> bool {
        if matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed")) {
            return true;
        }
        if self.deadline_left(pod).is_some_and(|left| left <= 0) {
            let message = "Pod was active on the node longer than the specified deadline".to_owned();
            self.deps.events.pod(pod, Severity::Normal, "DeadlineExceeded", message.clone());
            self.verdict = Some(Verdict { reason: "DeadlineExceeded".into(), message, ..Verdict::default() });
            return true;
        }
        false
    }

    fn deadline_left(&self, pod: &Pod) -> Option<i64> {
        let limit = PodExt::spec(pod).active_deadline_seconds?;
        let start = self.status.start_time.as_ref()?;
        Some(limit - clock::seconds_since(start.0))
    }

    fn next_look(&self, pod: &Pod, wanted: Option<Duration>) -> Duration {
        let usual = self.deps.settings.sync_frequency.mul_f64(1.0 + rand::random::<f64>() / 2.0);
        let deadline = self.deadline_left(pod).and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs);
        let tokens = self.deps.volumes.next_renewal(pod.uid());
        [wanted, deadline, tokens, self.next_resize()]
            .into_iter()
            .flatten()
            .fold(usual, Duration::min)
            .max(Duration::from_millis(100))
    }

    pub(super) fn ips(&self, pod: &Pod, record: &PodRecord) -> Vec<String> {
        if pod.is_host_network() { self.deps.node.host_ips() } else { record.ips() }
    }

    /// Control group, folders and volumes; how long to wait if one of them is not there.
    async fn prepare(&mut self, before: &Pod, pod: &Arc<Pod>, record: &PodRecord) -> Result<Mounted, Duration> {
        let resizing = !apply::updates(pod, record, &self.applied).is_empty();
        let cgroups = &self.deps.cgroups;
        let pinned = self.deps.placement.has_pinned(pod);
        if let Err(e) = if resizing { cgroups.widen(before, pod, pinned) } else { cgroups.ensure(pod, pinned) } {
            let text = format!("unable to ensure pod container exists: {}", chain(&e));
            self.deps.events.pod(pod, Severity::Warning, "FailedCreatePodContainer", text);
            return Err(RETRY);
        }
        if let Err(e) = files::prepare(&self.deps.settings, &self.deps.volumes.pod_dir(pod.uid()), pod) {
            let text = format!("error making pod data directories: {e}");
            self.deps.events.pod(pod, Severity::Warning, "FailedToMakePodDataDirectories", text);
            return Err(RETRY);
        }
        let facts = self.facts(pod, record);
        self.deps.volumes.ensure(&facts).await.map_err(|e| match e {
            VolumeError::Later { why, wait } => {
                tracing::debug!(pod = pod.formatted(), why, "the pod waits for a volume");
                wait
            }
            error => {
                self.deps.events.pod(pod, Severity::Warning, "FailedMount", error.to_string());
                RETRY_VOLUMES
            }
        })
    }

    pub(super) fn facts<'p>(&self, pod: &'p Pod, record: &PodRecord) -> PodFacts<'p> {
        let node = self.deps.node.get();
        let pod_ips = self.ips(pod, record);
        PodFacts { pod, pod_ips, host_ips: node.host_ips, allocatable: node.allocatable }
    }

    async fn act(&mut self, pod: &Arc<Pod>, record: PodRecord, mounted: Mounted, todo: Actions) -> Option<Duration> {
        if todo.kill.is_empty() && todo.start.is_empty() && !matches!(todo.sandbox, SandboxAction::Create { .. }) {
            return None;
        }
        self.kill(pod, &record, &todo).await;
        if matches!(todo.sandbox, SandboxAction::Create { .. })
            && let Err(e) = self.deps.dra.prepare(pod).await
        {
            let text = format!("Failed to prepare dynamic resources: prepare dynamic resources: {e}");
            self.deps.events.pod(pod, Severity::Warning, "FailedPrepareDynamicResources", text);
            return Some(RETRY_CLAIMS);
        }
        let look = match Box::pin(self.sandbox(pod, record, mounted, &todo.sandbox)).await {
            Ok(look) => look?,
            Err(e) => {
                tracing::warn!(pod = pod.formatted(), error = %e, "cannot create the sandbox");
                let text = format!("Failed to create pod sandbox: {e}");
                self.deps.events.pod(pod, Severity::Warning, "FailedCreatePodSandBox", text);
                return Some(RETRY_SANDBOX);
            }
        };
        let wait = self.start_all(&look, &todo.start).await;
        if let Ok(record) = self.deps.runtime.pod(pod.uid()).await {
            self.deps.probes.sync(pod, &record, &self.ips(pod, &record));
            self.observe(pod, &record, Progress::Running).await;
        }
        wait
    }

    async fn kill(&self, pod: &Pod, record: &PodRecord, todo: &Actions) {
        for kill in &todo.kill {
            let (name, again) = (&kill.name, "will be restarted");
            let text = match &kill.reason {
                KillReason::SpecChanged => format!("Container {name} definition changed, {again}"),
                KillReason::FailedProbe(probe) => format!("Container {name} failed {probe} probe, {again}"),
                KillReason::Resized => format!("Container {name} resize requires restart"),
            };
            let Some(c) = record.containers.iter().find(|c| c.id == kill.id) else { continue };
            let grace = probe_grace(pod, &kill.name, &kill.reason).unwrap_or(pod.grace());
            if let Err(e) = stop::container(&self.deps, pod, record, c, text, grace).await {
                tracing::warn!(pod = pod.formatted(), container = name, error = %e, "cannot stop the container");
            }
        }
    }

    /// The sandbox that the containers are started in; `None` if there is nothing to start.
    async fn sandbox(
        &self,
        pod: &Arc<Pod>,
        record: PodRecord,
        mounted: Mounted,
        action: &SandboxAction,
    ) -> Result<Option<Look>, RuntimeError> {
        let attempt = |id: &str| record.sandboxes.iter().find(|s| s.id == id).map_or(0, |s| s.attempt);
        match action {
            SandboxAction::None => Ok(None),
            SandboxAction::Keep { id } => {
                let (sandbox_config, ips) = (self.sandbox_config(pod, attempt(id)), self.ips(pod, &record));
                Ok(Some(Look { pod: pod.clone(), record, mounted, sandbox: id.clone(), sandbox_config, ips }))
            }
            SandboxAction::Create { attempt } => {
                if !record.sandboxes.is_empty() {
                    let text = "Pod sandbox changed, it will be killed and re-created.";
                    self.deps.events.pod(pod, Severity::Normal, "SandboxChanged", text);
                    stop::pod(&self.deps, pod, &record, pod.grace()).await?;
                }
                let sandbox_config = self.sandbox_config(pod, *attempt);
                let handler = PodExt::spec(pod.as_ref()).runtime_class_name.clone().unwrap_or_default();
                let sandbox = self.deps.runtime.run_sandbox(sandbox_config.clone(), &handler).await;
                self.deps.runtime.metrics().pod_started(sandbox.is_err());
                let sandbox = sandbox?;
                let record = self.deps.runtime.pod(pod.uid()).await?;
                let ips = self.ips(pod, &record);
                Ok(Some(Look { pod: pod.clone(), record, mounted, sandbox, sandbox_config, ips }))
            }
        }
    }

    fn sandbox_config(&self, pod: &Pod, attempt: u32) -> cri::PodSandboxConfig {
        let settings = &self.deps.settings;
        let (hostname, domain) = network::hostname_and_domain(pod, &settings.cluster_dns.domain);
        let fqdn = PodExt::spec(pod).set_hostname_as_fqdn == Some(true) && !domain.is_empty();
        sandbox_config(
            pod,
            &SandboxInput {
                hostname: if fqdn { format!("{hostname}.{domain}") } else { hostname },
                resolver: network::dns::for_pod(pod, &settings.resolver(), &settings.cluster_dns),
                cgroup_parent: self.deps.cgroups.parent(pod),
                log_directory: files::log_dir(settings, pod).to_string_lossy().into_owned(),
                attempt,
            },
        )
    }

    /// Starts containers in order; the earliest time at which one of those held back may be tried.
    async fn start_all(&mut self, look: &Look, names: &[String]) -> Option<Duration> {
        let pulled = if names.is_empty() { Pulled::new() } else { Box::pin(self.image_volumes(look)).await };
        let mut earliest: Option<Duration> = None;
        for name in names {
            let Some(container) = look.pod.container(name) else { continue };
            let wait = match Box::pin(self.start(look, &container, &pulled)).await {
                Started::Yes => {
                    self.waiting.remove(name);
                    continue;
                }
                Started::Later { why, retry } => {
                    self.waiting.insert(name.clone(), why);
                    retry
                }
            };
            earliest = Some(earliest.map_or(wait, |e| e.min(wait)));
        }
        earliest
    }
}

fn probe_grace(pod: &Pod, name: &str, reason: &KillReason) -> Option<i64> {
    let container = pod.container(name)?;
    match reason {
        KillReason::FailedProbe("liveness") => container.liveness_probe?.termination_grace_period_seconds,
        KillReason::FailedProbe(_) => container.startup_probe?.termination_grace_period_seconds,
        KillReason::SpecChanged | KillReason::Resized => None,
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
