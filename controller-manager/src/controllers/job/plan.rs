//! What a job's next step is, and what its status says then: one file per question.

mod backoff;
mod conditions;
mod indexes;
mod manage;
mod pods;
mod policies;
mod tally;
mod template;
mod tracking;

pub(super) use backoff::Backoff;
pub(in super::super) use pods::finished_as;
pub(super) use pods::{FINALIZER, is_finished, is_tracked, managed_by_other};
pub(super) use tally::Tally;
pub(super) use tracking::{Tracking, count_untracked, finish};

use crate::objects::pods as life;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;

/// What is known when planning.
#[derive(Debug)]
pub(super) struct Observed {
    job: Arc<Job>,
    spec: JobSpec,
    status: JobStatus,
    /// All pods that the job owns.
    pods: Vec<Arc<Pod>>,
    backoff: Backoff,
    now: Timestamp,
}

impl Observed {
    /// A job with its pods; `backoff` is what is remembered of its failures.
    pub(super) fn new(job: Arc<Job>, pods: Vec<Arc<Pod>>, backoff: Backoff, now: Timestamp) -> Self {
        let (spec, status) = (job.spec.clone().unwrap_or_default(), job.status.clone().unwrap_or_default());
        Self { job, spec, status, pods, backoff, now }
    }

    fn spec(&self) -> &JobSpec {
        &self.spec
    }

    fn status(&self) -> &JobStatus {
        &self.status
    }
}

/// What is done with the pods.
#[derive(Debug)]
pub(super) enum Step {
    /// The job ends, for this reason: its active pods go.
    End(JobCondition, Vec<Arc<Pod>>),
    /// The job is being deleted: its pods are the garbage collector's.
    Leave,
    /// There are as many as there should be.
    Keep,
    /// These are too many.
    Delete(Vec<Arc<Pod>>),
    /// These are missing.
    Create(Vec<Pod>),
    /// Some are missing, but not before this time is over.
    Wait(SignedDuration),
}

/// What a step came to.
#[derive(Debug)]
pub(super) struct Acted {
    active: i32,
    ready: i32,
    terminating: i32,
    /// Everything was done.
    complete: bool,
}

impl Acted {
    /// `made` pods were created, and these deleted.
    pub(super) fn new(tally: &Tally, made: usize, deleted: &[Arc<Pod>], complete: bool) -> Self {
        let gone = tally::count(deleted.len());
        Self {
            active: tally.active.len().try_into().unwrap_or(i32::MAX) - gone + tally::count(made),
            ready: tally.ready - tally::count(deleted.iter().filter(|pod| life::is_ready(pod)).count()),
            terminating: tally.terminating + gone,
            complete,
        }
    }

    fn is_complete(&self) -> bool {
        self.complete
    }
}

/// The next step.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) tally: Tally,
    pub(super) step: Step,
    /// When to look again without any change.
    pub(super) again: Option<SignedDuration>,
}

/// Decides the next step.
pub(super) fn plan(observed: &Observed) -> Plan {
    let tally = Tally::of(observed);
    if let Some(ending) = conditions::ending(observed, &tally) {
        let active = tally.active.clone();
        return Plan { tally, step: Step::End(ending, active), again: None };
    }
    let step = match observed.job.metadata.deletion_timestamp {
        Some(_) => Step::Leave,
        None => manage::step(observed, &tally),
    };
    let wait = if let Step::Wait(left) = step { Some(left) } else { None };
    let again = [wait, conditions::deadline_in(observed)].into_iter().flatten().min();
    Plan { tally, step, again }
}

/// The status after the step, and which pods are counted with it.
pub(super) fn track(observed: &Observed, plan: &Plan, acted: &Acted) -> Tracking {
    tracking::track(observed, &plan.tally, &plan.step, acted)
}

#[cfg(test)]
mod tests;
