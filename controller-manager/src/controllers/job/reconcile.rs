//! Reads a job with its pods; creates and deletes pods, counts those that have ended.

use super::orphans::untrack;
use super::plan::{
    self, Acted, Backoff, FINALIZER, Observed, Plan, Step, Tracking, count_untracked, finish, is_finished,
    managed_by_other,
};
use crate::objects::{owner, selector::Selector};
use crate::scaffold::context::namespaced;
use crate::scaffold::informers::trims::claimable;
use crate::scaffold::pod_control::{Owner, PodControl, settle_tracked_claims};
use crate::scaffold::{At, Controller, Next, ReconcileError, is_not_found, patch};
use client::{Informer, ObjectKey, events};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A job that waits to replace a pod is not looked at more often than this.
const SOONEST: Duration = Duration::from_secs(1);

pub(super) struct Jobs {
    pub(super) jobs: Informer<Job>,
    pub(super) control: PodControl,
    /// The failures of running jobs since their last success.
    pub(super) backoffs: Mutex<HashMap<ObjectKey, Backoff>>,
}

impl Controller for Jobs {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(job) = self.jobs.get(&key.namespace, &key.name) else {
            self.control.writes.forget(key);
            self.backoffs.lock().remove(key);
            return Ok(Next::OnChange);
        };
        if managed_by_other(&job).is_some() {
            return Ok(Next::OnChange);
        }
        if is_finished(&job) {
            self.backoffs.lock().remove(key);
            return Ok(Next::OnChange);
        }
        if !self.knows_mode(&job) {
            return Ok(Next::OnChange);
        }
        let pods = self.claim(&job).await?;
        let backoff = self.backoffs.lock().get(key).copied().unwrap_or_default();
        let observed = Observed::new(Arc::clone(&job), pods, backoff, Timestamp::now());
        let plan = plan::plan(&observed);
        let (acted, failed) = self.act(key, &job, &plan).await;
        let tracking = plan::track(&observed, &plan, &acted);
        self.settle(key, &job, &plan, tracking).await?;
        failed?;
        let again = plan.again.map(|again| Duration::try_from(again).unwrap_or_default().max(SOONEST));
        Ok(again.map_or(Next::OnChange, Next::After))
    }
}

impl Jobs {
    fn knows_mode(&self, job: &Job) -> bool {
        let mode = job.spec.as_ref().and_then(|spec| spec.completion_mode.as_deref());
        let known = matches!(mode, None | Some("NonIndexed" | "Indexed"));
        if !known {
            let text = "Skipped Job sync because completion mode is unknown";
            self.control.recorder.warning(&events::reference(job), "UnknownCompletionMode", text);
        }
        known
    }

    async fn claim(&self, job: &Job) -> Result<Vec<Arc<Pod>>, ReconcileError> {
        let unusable = |why: String| ReconcileError::Unusable { object: ObjectKey::of(job).to_string(), why };
        let raw = job.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        let raw = raw.ok_or_else(|| unusable("it has no selector".to_owned()))?;
        let selector = Selector::new(raw).map_err(|error| unusable(error.to_string()))?;
        let claims = owner::claim(&job.metadata, &selector, claimable(&self.control.pods, &job.metadata));
        let control = &self.control;
        settle_tracked_claims(&control.client, job, claims, &control.pods, &control.writes, FINALIZER).await
    }

    /// Carries the step out as far as it goes.
    async fn act(&self, key: &ObjectKey, job: &Job, plan: &Plan) -> (Acted, Result<(), ReconcileError>) {
        let about = events::reference(job);
        let owner = Owner { key, reference: owner::controller_ref(job), about: &about };
        let tally = &plan.tally;
        match &plan.step {
            Step::Leave | Step::Keep | Step::Wait(_) => (Acted::new(tally, 0, &[], true), Ok(())),
            Step::Create(pods) => {
                let (made, result) = self.create(&owner, pods).await;
                (Acted::new(tally, made, &[], result.is_ok()), result)
            }
            Step::End(_, pods) => {
                let (gone, result) = self.delete(&owner, pods, Tracked::Stays).await;
                (Acted::new(tally, 0, &gone, result.is_ok()), result)
            }
            Step::Delete(pods) => {
                let (gone, result) = self.delete(&owner, pods, Tracked::Goes).await;
                (Acted::new(tally, 0, &gone, result.is_ok()), result)
            }
        }
    }

    /// Creates in batches of 1, 2, 4, …; gives how many there are after the first error.
    async fn create(&self, owner: &Owner<'_>, pods: &[Pod]) -> (usize, Result<(), ReconcileError>) {
        let (mut made, mut batch) = (0, 1);
        while made < pods.len() {
            let some = &pods[made..(made + batch).min(pods.len())];
            let results = futures::future::join_all(some.iter().map(|pod| self.control.create(owner, pod))).await;
            made += results.iter().filter(|result| result.is_ok()).count();
            if let Some(error) = results.into_iter().find_map(Result::err) {
                return (made, Err(error));
            }
            batch *= 2;
        }
        (made, Ok(()))
    }

    async fn delete(
        &self,
        owner: &Owner<'_>,
        pods: &[Arc<Pod>],
        tracked: Tracked,
    ) -> (Vec<Arc<Pod>>, Result<(), ReconcileError>) {
        let delete = |pod: Arc<Pod>| async move {
            if tracked == Tracked::Goes && plan::is_tracked(&pod) {
                self.untrack(owner.key, &pod).await?;
            }
            self.control.delete(owner, &pod).await.map(|()| pod)
        };
        let results = futures::future::join_all(pods.iter().cloned().map(delete)).await;
        let (gone, failed): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        let gone = gone.into_iter().filter_map(Result::ok).collect();
        (gone, failed.into_iter().find_map(Result::err).map_or(Ok(()), Err))
    }

    /// Takes the finalizer off; a pod that is gone has none.
    async fn untrack(&self, key: &ObjectKey, pod: &Pod) -> Result<(), ReconcileError> {
        match untrack(&self.control.client, pod).await {
            Ok(freed) => {
                self.control.writes.wrote(key, &self.control.pods, &freed);
                Ok(())
            }
            Err(error) if is_not_found(&error) => Ok(()),
            Err(error) => Err(error).at(|| format!("remove the finalizer of pod {} of {key}", ObjectKey::of(pod))),
        }
    }

    /// Writes what is to be counted, frees those pods, counts them, and ends the job if it is over.
    async fn settle(
        &self,
        key: &ObjectKey,
        job: &Arc<Job>,
        plan: &Plan,
        tracking: Tracking,
    ) -> Result<(), ReconcileError> {
        let Tracking { mut status, untrack, mut tracked, ending, event } = tracking;
        if let Some((reason, text)) = event {
            self.control.recorder.normal(&events::reference(&**job), reason, text);
        }
        let written = self.write_status(key, job, status.clone()).await?;
        if written.is_some() {
            self.backoffs.lock().insert(key.clone(), plan.tally.backoff);
        }
        let current = written.map_or_else(|| Arc::clone(job), Arc::new);
        let freed = futures::future::join_all(untrack.iter().map(|pod| self.untrack(key, pod))).await;
        for (pod, result) in untrack.iter().zip(&freed) {
            if let (Ok(()), Some(uid)) = (result, &pod.metadata.uid) {
                tracked.remove(uid);
            }
        }
        count_untracked(&mut status, &tracked);
        let failed = freed.into_iter().find_map(Result::err);
        let ended = ending.filter(|ending| failed.is_none() && finish(&mut status, ending));
        self.write_status(key, &current, status.clone()).await?;
        if let Some(ending) = ended {
            self.say_ended(job, &status, &ending);
        }
        failed.map_or(Ok(()), Err)
    }

    fn say_ended(&self, job: &Job, status: &JobStatus, ending: &JobCondition) {
        let (recorder, about) = (&self.control.recorder, events::reference(job));
        if ending.type_ != "Complete" {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            return recorder.warning(&about, &text(&ending.reason), text(&ending.message));
        }
        let wanted = job.spec.as_ref().and_then(|spec| spec.completions);
        if wanted.is_some_and(|wanted| status.succeeded.unwrap_or(0) > wanted) {
            let text = "Too many succeeded pods running after completion count reached";
            recorder.warning(&about, "TooManySucceededPods", text);
        }
        recorder.normal(&about, "Completed", "Job completed");
    }

    async fn write_status(
        &self,
        key: &ObjectKey,
        before: &Job,
        status: JobStatus,
    ) -> Result<Option<Job>, ReconcileError> {
        let after = Job { status: Some(status), ..before.clone() };
        let api = namespaced::<Job>(&self.control.client, &key.namespace);
        let written = patch::write_status(&api, before, &after).await;
        let written = written.at(|| format!("write the status of {key}"))?;
        if let Some(written) = &written {
            self.control.writes.wrote(key, &self.jobs, written);
        }
        Ok(written)
    }
}

/// What becomes of the finalizer of a pod that is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tracked {
    /// The pod will be counted.
    Stays,
    /// The pod is not to be counted.
    Goes,
}
