//! Changing the resources of a pod that runs.

use super::actions::{Actions, Kill, KillReason};
use super::worker::Worker;
use crate::events::Severity;
use crate::pod::PodExt;
use crate::resize::{self, Progress, apply};
use crate::runtime::PodRecord;
use crate::status::Progress as PodProgress;
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pause before a change that was not granted, or failed, is tried again.
const RETRY: Duration = Duration::from_secs(10);

impl Worker {
    /// Grants what the pod asks for, if the node has it. The pod with what its containers had
    /// before, and with what they are to have.
    pub(super) fn grant(&mut self, desired: &Arc<Pod>, record: &PodRecord) -> (Arc<Pod>, Arc<Pod>) {
        let before = resize::with(desired, &self.granted);
        apply::note(&mut self.applied, record, &self.status, &before);
        let wanted = resize::wanted(desired);
        let counts = self.deps.runtime.metrics().resizes.clone();
        if wanted != self.asked {
            counts.asked(&self.asked, &wanted);
            self.asked.clone_from(&wanted);
        }
        if wanted == self.granted {
            self.standing.pending = None;
            self.deps.allocations.forget(desired.uid());
            return (before, desired.clone());
        }
        let others = self.deps.allocations.others(desired.uid());
        let judged = self.deps.placement.judge_resize(desired, resize::changes_cpu(&self.granted, &wanted));
        match judged.and_then(|()| resize::judge(desired, &others, &self.deps.node.get())) {
            Ok(()) => {
                if self.standing.pending.as_ref().is_some_and(|refusal| refusal.reason == "Deferred") {
                    counts.granted_late();
                }
                self.granted = wanted;
                self.standing = resize::Standing { pending: None, progress: Some(Progress::Going) };
                self.deps.allocations.forget(desired.uid());
                self.deps.events.pod(desired, Severity::Normal, "ResizeStarted", "Pod resize started");
                (before, desired.clone())
            }
            Err(refusal) => {
                if self.standing.pending.as_ref() != Some(&refusal) {
                    if refusal.reason == "Infeasible" && !desired.is_static() {
                        // Of upstream's reasons this is the one that this kubelet has.
                        counts.infeasible("guaranteed_pod_cpu_manager_static_policy");
                    }
                    let text = format!("Pod resize {}: {}", refusal.reason, refusal.message);
                    let reason = format!("Resize{}", refusal.reason);
                    self.deps.events.pod(desired, Severity::Warning, &reason, text);
                }
                self.standing.pending = Some(refusal);
                self.deps.allocations.keep(desired.uid(), &self.granted);
                (before.clone(), before)
            }
        }
    }

    /// Gives running containers what they were granted; those that have to begin anew for it go to
    /// what is to be done.
    pub(super) async fn resize(&mut self, pod: &Arc<Pod>, record: &PodRecord, todo: &mut Actions) {
        let updates = apply::updates(pod, record, &self.applied);
        if updates.is_empty() && self.standing.progress.is_none() {
            return;
        }
        let (mut failure, began, told) = (None, Instant::now(), !updates.is_empty());
        for update in updates {
            if todo.kill.iter().any(|kill| kill.id == update.id) {
                continue;
            }
            let name = update.container.name.clone();
            if update.restart {
                todo.start.push(name.clone());
                todo.kill.push(Kill { id: update.id, name, reason: KillReason::Resized });
                continue;
            }
            let pinned = self.deps.placement.is_pinned(pod, &update.container);
            let quota = self.deps.cgroups.enforces_quota() && !pinned;
            let extra = self.deps.settings.memory.of(pod, &update.container);
            match self.deps.runtime.update_resources(&update.id, &update.container, quota, extra).await {
                Ok(()) => drop(self.applied.insert(update.id, update.container.resources.unwrap_or_default())),
                Err(e) => failure = Some(e.to_string()),
            }
        }
        if failure.is_none() && apply::updates(pod, record, &self.applied).is_empty() {
            failure = self.deps.cgroups.ensure(pod, self.deps.placement.has_pinned(pod)).err().map(|e| e.to_string());
        }
        if told {
            self.deps.runtime.metrics().resizes.made(began, failure.is_none());
        }
        self.progress(pod, failure, !todo.kill.is_empty());
        self.observe(pod, record, PodProgress::Running).await;
    }

    fn progress(&mut self, pod: &Pod, failure: Option<String>, restarting: bool) {
        let now = match failure {
            Some(why) => Some(Progress::Failed(why)),
            None if restarting => Some(Progress::Going),
            None => None,
        };
        match &now {
            Some(Progress::Failed(why)) if self.standing.progress != now => {
                let text = format!("Pod resize error: {why}");
                self.deps.events.pod(pod, Severity::Warning, "ResizeError", text);
            }
            None => self.deps.events.pod(pod, Severity::Normal, "ResizeCompleted", "Pod resize completed"),
            _ => {}
        }
        self.standing.progress = now;
    }

    /// When a change that waits is to be tried again.
    pub(super) fn next_resize(&self) -> Option<Duration> {
        let waits = self.standing.pending.is_some() || self.standing.progress.is_some();
        waits.then_some(RETRY)
    }
}
