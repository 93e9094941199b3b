//! Telling the apiserver and people: bindings, events, conditions.

use crate::claims;
use crate::diagnosis::Diagnosis;
use crate::metrics::Metrics;
use crate::model::Pod;
use crate::model::pod::Unscheduled;
use crate::plugins::dynamic_resources::{self, Relief};
use crate::plugins::volume_binding;
use crate::preempt::{Preemption, evict};
use crate::scheduler::{Placement, Scheduler};
use crate::volumes;
use client::Recorder;
use component::Supervisor;
use k8s_openapi::api::core::v1 as core;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Requests under way at the same time; more would only wait in the apiserver.
const AT_ONCE: usize = 64;
/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Writes decisions. Cheap to clone.
#[derive(Clone)]
pub struct Binder {
    client: kube::Client,
    recorder: Recorder,
    supervisor: Supervisor,
    places: Arc<Semaphore>,
}

impl std::fmt::Debug for Binder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Binder").finish_non_exhaustive()
    }
}

impl Binder {
    /// Its tasks hang on `supervisor`.
    pub fn new(client: kube::Client, recorder: Recorder, supervisor: Supervisor) -> Self {
        Self { client, recorder, supervisor, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Binds in the background; waits only if too many are under way.
    pub(crate) async fn bind(&self, scheduler: Arc<Scheduler>, placement: Placement) {
        let this = self.clone();
        let running = scheduler.metrics().binding();
        if !placement.plan.is_empty() || !placement.devices.is_empty() {
            // It may take minutes until volumes and devices are there; nobody else waits for that.
            self.supervisor.spawn("prepare", async move {
                this.prepare(&scheduler, &placement).await;
                drop(running);
            });
            return;
        }
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
        self.supervisor.spawn("bind", async move {
            this.finish(&scheduler, &placement, claims::Done::default()).await;
            drop((place, running));
        });
    }

    /// What has to be done before the pod is bound, then that.
    async fn prepare(&self, scheduler: &Scheduler, placement: &Placement) {
        let mut done = claims::Done::default();
        let failed = |plugin: &str, why: String| format!("running PreBind plugin {plugin:?}: {why}");
        if !placement.plan.is_empty()
            && let Err(error) = volumes::bind(&self.client, &self.places, scheduler, placement).await
        {
            scheduler.metrics().volumes_failed();
            return self.fail(scheduler, placement, done, failed(volume_binding::NAME, error.to_string())).await;
        }
        let claims = claims::bind(&self.client, &self.places, scheduler, &self.recorder, placement, &mut done);
        if let Err(error) = claims.await {
            return self.fail(scheduler, placement, done, failed(dynamic_resources::NAME, error.to_string())).await;
        }
        let Ok(_place) = self.places.acquire().await else { return };
        self.finish(scheduler, placement, done).await;
    }

    async fn finish(&self, scheduler: &Scheduler, placement: &Placement, done: claims::Done) {
        let Placement { attempt, node, started, .. } = placement;
        match self.bind_to(scheduler, &attempt.pod, node).await {
            Ok(()) => {
                scheduler.bound(attempt, *started);
                let pod = &attempt.pod;
                let message = format!("Successfully assigned {}/{} to {node}", pod.namespace, pod.name);
                self.recorder.normal(&pod.reference(), "Scheduled", message);
            }
            Err(why) => self.fail(scheduler, placement, done, format!("binding rejected: {why}")).await,
        }
    }

    /// Gives the place up, and says why.
    async fn fail(&self, scheduler: &Scheduler, placement: &Placement, done: claims::Done, message: String) {
        let pod = &placement.attempt.pod;
        tracing::warn!(pod = %pod.key(), node = %placement.node, message, "cannot bind");
        claims::undo(&self.client, pod, done).await;
        scheduler.unbound(placement);
        self.tell(pod, message).await;
    }

    /// Says why there is no decision about the pod.
    pub(crate) fn report(&self, pod: &Arc<Pod>, message: String) {
        tracing::warn!(pod = %pod.key(), message, "cannot schedule");
        let (this, pod) = (self.clone(), Arc::clone(pod));
        self.supervisor.spawn("report", async move {
            let Ok(_place) = this.places.acquire().await else { return };
            this.tell(&pod, message).await;
        });
    }

    async fn tell(&self, pod: &Pod, message: String) {
        self.recorder.warning(&pod.reference(), "FailedScheduling", message.clone());
        if let Err(error) = self.patch_condition(pod, "SchedulerError", &message, None).await {
            tracing::debug!(pod = %pod.key(), %error, "cannot write the pod's condition");
        }
    }

    /// By an extender if one wants to, or by the apiserver.
    async fn bind_to(&self, scheduler: &Scheduler, pod: &Pod, node: &str) -> Result<(), String> {
        for extender in scheduler.binders(pod) {
            match extender.bind(pod, node).await {
                Err(error) if extender.is_ignorable() => {
                    tracing::info!(extender = extender.name(), %error, "extender skipped, as it may be ignored");
                }
                outcome => return outcome.map_err(|error| error.to_string()),
            }
        }
        let bound = self.post_binding(pod, node).await;
        bound.map_err(|error| format!("running Bind plugin \"DefaultBinder\": {error}"))
    }

    async fn post_binding(&self, pod: &Pod, node: &str) -> Result<(), BindError> {
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"namespace": &*pod.namespace, "name": &*pod.name, "uid": pod.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        let path = format!("/api/v1/namespaces/{}/pods/{}/binding", pod.namespace, pod.name);
        let request = http::Request::post(path).header(http::header::CONTENT_TYPE, "application/json");
        let request = request.body(binding.to_string().into_bytes())?;
        match tokio::time::timeout(TIMEOUT, self.client.request_text(request)).await {
            Ok(answer) => answer.map(drop).map_err(BindError::Api),
            Err(_) => Err(BindError::Timeout),
        }
    }

    /// Says why the pod fits nowhere, and makes room for it if that was decided.
    pub(crate) fn explain(&self, metrics: &Metrics, pod: &Arc<Pod>, diagnosis: &Diagnosis, unplaced: Unplaced) {
        let message = unplaced.explain(diagnosis);
        let Unplaced { relief, preemption } = unplaced;
        self.recorder.warning(&pod.reference(), "FailedScheduling", message.clone());
        let (this, pod, metrics) = (self.clone(), Arc::clone(pod), metrics.clone());
        self.supervisor.spawn("explain", async move {
            let Ok(_place) = this.places.acquire().await else { return };
            let nominated = preemption.node().map(|node| node.to_string());
            if let Err(error) = this.patch_condition(&pod, "Unschedulable", &message, nominated).await {
                tracing::debug!(pod = %pod.key(), %error, "cannot write the pod's condition");
            }
            if let Some(relief) = &relief {
                claims::relieve(&this.client, &pod, relief).await;
            }
            if let Preemption::Found { victims, .. } = preemption {
                let (begun, mut all) = (Instant::now(), true);
                for victim in victims {
                    all &= evict(&this.client, &this.recorder, &pod, &victim).await;
                }
                metrics.evicted(all, begun);
            }
        });
    }

    async fn patch_condition(
        &self,
        pod: &Pod,
        reason: &str,
        message: &str,
        nominated: Option<String>,
    ) -> Result<(), kube::Error> {
        let is_new = nominated.is_some() && nominated.as_deref() != pod.nominated.as_deref();
        if !is_new && is_said(pod, reason, message) {
            return Ok(());
        }
        let pods: Api<core::Pod> = Api::namespaced(self.client.clone(), &pod.namespace);
        let mut status = json!({"conditions": [unscheduled(pod, reason, message)]});
        if let Some(node) = nominated {
            status["nominatedNodeName"] = node.into();
        }
        let patch = json!({"metadata": {"uid": pod.uid}, "status": status});
        pods.patch_status(&pod.name, &PatchParams::default(), &Patch::Strategic(patch)).await?;
        Ok(())
    }
}

/// Whether the pod's status says so already: a pod is tried many times, and would be written as often.
fn is_said(pod: &Pod, reason: &str, message: &str) -> bool {
    let is_same =
        |said: &Unscheduled| said.reason == reason && said.message == message && said.generation == pod.generation;
    pod.unscheduled.as_deref().is_some_and(is_same)
}

/// The condition of a pod that is not scheduled, which may have been so before.
fn unscheduled(pod: &Pod, reason: &str, message: &str) -> Value {
    let since = pod.unscheduled.as_deref().and_then(|said| said.since);
    let since = since.map_or_else(apimachinery::time::now, |since| since.to_string());
    json!({
        "type": "PodScheduled", "status": "False", "observedGeneration": pod.generation, "reason": reason,
        "message": message, "lastProbeTime": null, "lastTransitionTime": since,
    })
}

/// What is done so that a pod that fits nowhere may fit later: PostFilter.
#[derive(Debug)]
pub(crate) struct Unplaced {
    /// What is given back of devices, if that is switched on.
    pub relief: Option<Relief>,
    /// Who is driven away.
    pub preemption: Preemption,
}

impl Unplaced {
    /// What is said of the pod.
    pub(crate) fn explain(&self, diagnosis: &Diagnosis) -> String {
        match self.message() {
            Some(why) => format!("{} {why}", diagnosis.message()),
            None => diagnosis.message(),
        }
    }

    /// What is said about it behind the reasons; nothing, if room is made.
    fn message(&self) -> Option<String> {
        let preemption = self.preemption.message()?;
        Some(match &self.relief {
            Some(relief) => format!("{}, {preemption}", relief.message()),
            None => preemption,
        })
    }
}

/// Why a pod could not be bound.
#[derive(Debug, thiserror::Error)]
enum BindError {
    /// The apiserver refused or could not be reached.
    #[error(transparent)]
    Api(#[from] kube::Error),
    /// The request cannot be made.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// The apiserver took too long.
    #[error("timed out")]
    Timeout,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::from_value;

    #[test]
    fn a_pod_that_still_fits_nowhere_is_so_since_it_was_said_first() {
        let pod = |conditions: Value| {
            let pod = json!({"metadata": {"name": "p", "generation": 3}, "status": {"conditions": conditions}});
            Pod::of(&from_value(pod).unwrap())
        };
        let since = |status: &str, pod: &Pod| {
            let condition = unscheduled(pod, "Unschedulable", "no room");
            assert_eq!(condition["observedGeneration"], 3, "{status}");
            condition["lastTransitionTime"] == "2026-01-01T00:00:00Z"
        };
        for (status, keeps) in [("False", true), ("True", false)] {
            let known =
                json!([{"type": "PodScheduled", "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
            assert_eq!(since(status, &pod(known)), keeps, "{status}");
        }
        assert!(!since("unsaid", &pod(json!([]))));
    }

    #[test]
    fn what_a_pod_says_already_is_not_said_again() {
        let pod = |generation: i64| {
            let said = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room",
                "observedGeneration": 1});
            let pod = json!({"metadata": {"name": "p", "generation": generation}, "status": {"conditions": [said]}});
            Pod::of(&from_value(pod).unwrap())
        };
        assert!(is_said(&pod(1), "Unschedulable", "no room"));
        assert!(!is_said(&pod(2), "Unschedulable", "no room"));
        assert!(!is_said(&pod(1), "Unschedulable", "a taint"));
        assert!(!is_said(&pod(1), "SchedulerError", "no room"));
    }
}
