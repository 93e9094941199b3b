//! The status of a job, and which pods it has counted. A pod is counted once: its uid goes to
//! `uncountedTerminatedPods`, then its finalizer goes, then the uid becomes a count.
//!
//! Upstream: `trackJobStatusAndRemoveFinalizers` of `pkg/controller/job/job_controller.go`.

use super::conditions::{self, COMPLETE, FAILED, FAILURE_TARGET, SUCCESS_MET, SUSPENDED, as_kind, condition, ensure};
use super::pods::{self, is_failed, is_indexed, is_suspended, is_tracked, uid, valid_index};
use super::tally::{Tally, uncounted};
use super::{Acted, Observed, Step, policies};
use crate::objects::pods as life;
use k8s_openapi::api::batch::v1::{JobCondition, JobStatus, UncountedTerminatedPods};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::HashSet;
use std::sync::Arc;

/// So many uids the status has at most: it must stay small, and other jobs want their turn.
const UNCOUNTED_AT_MOST: usize = 500;

/// What is left to do after the pods were created or deleted.
#[derive(Debug)]
pub(in super::super) struct Tracking {
    /// The status to write before any finalizer goes.
    pub(in super::super) status: JobStatus,
    /// Pods whose finalizer goes.
    pub(in super::super) untrack: Vec<Arc<Pod>>,
    /// Uids of the pods that have it now.
    pub(in super::super) tracked: HashSet<String>,
    /// `Complete` or `Failed`, which the job will be once all is counted and gone.
    pub(in super::super) ending: Option<JobCondition>,
    /// Reason and message of an event to report.
    pub(in super::super) event: Option<(&'static str, &'static str)>,
}

/// The status after `acted`.
pub(super) fn track(observed: &Observed, tally: &Tally, step: &Step, acted: &Acted) -> Tracking {
    let mut status = observed.status().clone();
    let ending = match step {
        Step::End(ending, _) => Some(ending.clone()).filter(|_| acted.is_complete()),
        _ if is_complete(observed, tally, acted) => {
            let text = "Reached expected number of succeeded pods";
            Some(condition(SUCCESS_MET, "CompletionsReached", text, observed.now))
        }
        _ => None,
    };
    let event = match step {
        Step::End(..) | Step::Leave => None,
        _ if ending.is_some() => None,
        _ => suspend_or_resume(observed, &mut status),
    };
    if status.start_time.is_none() && !is_suspended(observed.spec()) {
        status.start_time = Some(Time(observed.now));
    }
    status.active = some(acted.active);
    status.ready = Some(acted.ready);
    status.terminating = Some(acted.terminating);
    let tracked: HashSet<_> =
        observed.pods.iter().filter(|pod| is_tracked(pod)).map(|pod| uid(pod).to_owned()).collect();
    status.uncounted_terminated_pods.get_or_insert_default();
    count_untracked(&mut status, &tracked);
    let Marked { untrack, is_partial } = mark(observed, tally, ending.as_ref(), &mut status);
    let ending = ending.map(|ending| announce(ending, &mut status, observed)).filter(|_| !is_partial);
    Tracking { status, untrack, tracked, ending, event }
}

/// Go omits zeros of these fields.
fn some(count: i32) -> Option<i32> {
    (count != 0).then_some(count)
}

fn is_complete(observed: &Observed, tally: &Tally, acted: &Acted) -> bool {
    let enough = match observed.spec().completions {
        None => tally.succeeded > 0,
        Some(completions) => tally.succeeded >= completions,
    };
    enough && acted.active == 0
}

fn suspend_or_resume(observed: &Observed, status: &mut JobStatus) -> Option<(&'static str, &'static str)> {
    let list = status.conditions.get_or_insert_default();
    let changed = match is_suspended(observed.spec()) {
        true => {
            let new = condition(SUSPENDED, "JobSuspended", "Job suspended", observed.now);
            ensure(list, new).then_some((None, ("Suspended", "Job suspended")))
        }
        false => {
            let new = condition(SUSPENDED, "JobResumed", "Job resumed", observed.now);
            let new = JobCondition { status: "False".to_owned(), ..new };
            // The deadline counts the time that a job runs without a break.
            ensure(list, new).then_some((Some(Time(observed.now)), ("Resumed", "Job resumed")))
        }
    };
    if list.is_empty() {
        status.conditions = None;
    }
    let (started, event) = changed?;
    status.start_time = started;
    Some(event)
}

struct Marked {
    untrack: Vec<Arc<Pod>>,
    /// There are more to count than one status takes.
    is_partial: bool,
}

/// Notes the pods that have ended, in the order of their indexes.
fn mark(observed: &Observed, tally: &Tally, ending: Option<&JobCondition>, status: &mut JobStatus) -> Marked {
    let spec = observed.spec();
    let mut pods: Vec<_> = observed.pods.iter().filter(|pod| is_tracked(pod)).collect();
    if is_indexed(spec) {
        pods.sort_by_key(|pod| pods::index(pod));
    }
    let (known_success, known_failure) = uncounted(observed.status());
    let mut lists = status.uncounted_terminated_pods.take().unwrap_or_default();
    let (succeeded, failed) = (lists.succeeded.get_or_insert_default(), lists.failed.get_or_insert_default());
    let mut indexes = Vec::new();
    let mut marked = Marked { untrack: Vec::new(), is_partial: false };
    let fails_all = ending.is_some_and(|ending| ending.type_ != SUCCESS_MET);
    for pod in pods {
        if !may_untrack(observed, tally, ending.is_some(), pod) {
            continue;
        }
        marked.untrack.push(Arc::clone(pod));
        let (uid, index) = (uid(pod), valid_index(pod, spec));
        if life::phase(pod) == "Succeeded" && !known_failure.contains(uid) {
            match &tally.indexed {
                Some(indexed) => indexes.extend(index.filter(|index| !indexed.before.has(*index))),
                None if !known_success.contains(uid) => succeeded.push(uid.to_owned()),
                None => {}
            }
        } else if (is_failed(pod, spec) || fails_all)
            && !known_failure.contains(uid)
            && (index.is_some() || !is_indexed(spec))
            && policies::judge(spec, pod).counts()
        {
            failed.push(uid.to_owned());
        }
        if indexes.len() + succeeded.len() + failed.len() >= UNCOUNTED_AT_MOST {
            marked.is_partial = true;
            break;
        }
    }
    status.uncounted_terminated_pods = Some(trimmed(lists));
    if let Some(indexed) = &tally.indexed {
        let done = indexed.before.union(&indexed.succeeded).with(indexes);
        status.succeeded = some(done.total());
        status.completed_indexes = Some(done.to_string()).filter(|text| !text.is_empty());
        status.failed_indexes = indexed.failed.as_ref().map(ToString::to_string);
    }
    marked
}

/// A job that ends lets go of all its pods; one that goes on of those that have ended, but for those
/// whose counts the next pod of the index has to take over.
fn may_untrack(observed: &Observed, tally: &Tally, is_ending: bool, pod: &Pod) -> bool {
    if is_ending || observed.job.metadata.deletion_timestamp.is_some() || life::phase(pod) == "Succeeded" {
        return true;
    }
    let delayed = tally.indexed.iter().flat_map(|indexed| indexed.delayed.values());
    is_failed(pod, observed.spec()) && !delayed.into_iter().any(|other| uid(other) == uid(pod))
}

/// Go omits empty lists.
fn trimmed(lists: UncountedTerminatedPods) -> UncountedTerminatedPods {
    let full = |list: Option<Vec<String>>| list.filter(|list| !list.is_empty());
    UncountedTerminatedPods { failed: full(lists.failed), succeeded: full(lists.succeeded) }
}

/// Says that the job will end, and gives how.
fn announce(ending: JobCondition, status: &mut JobStatus, observed: &Observed) -> JobCondition {
    let last = match ending.type_.as_str() {
        FAILURE_TARGET => FAILED,
        SUCCESS_MET => COMPLETE,
        _ => return ending,
    };
    let done = as_kind(last, &ending, observed.now);
    if conditions::holding(status.conditions.as_ref(), &ending.type_).is_none() {
        status.conditions.get_or_insert_default().push(ending);
    }
    done
}

/// Turns the uids of pods that have lost their finalizer into counts; `false` if there are none.
pub(in super::super) fn count_untracked(status: &mut JobStatus, tracked: &HashSet<String>) -> bool {
    let Some(lists) = status.uncounted_terminated_pods.take() else { return false };
    let settle = |list: Option<Vec<String>>, counter: &mut Option<i32>| {
        let (left, gone): (Vec<_>, Vec<_>) = list.into_iter().flatten().partition(|uid| tracked.contains(uid));
        *counter = some(counter.unwrap_or(0) + super::tally::count(gone.len()));
        (left, !gone.is_empty())
    };
    let (succeeded, some_succeeded) = settle(lists.succeeded, &mut status.succeeded);
    let (failed, some_failed) = settle(lists.failed, &mut status.failed);
    let lists = UncountedTerminatedPods { failed: Some(failed), succeeded: Some(succeeded) };
    status.uncounted_terminated_pods = Some(trimmed(lists));
    some_succeeded || some_failed
}

/// Ends the job, if everything is counted and gone; `false` if it is not.
pub(in super::super) fn finish(status: &mut JobStatus, ending: &JobCondition) -> bool {
    let (succeeded, failed) = uncounted(status);
    if !succeeded.is_empty() || !failed.is_empty() || status.terminating.unwrap_or(0) > 0 {
        return false;
    }
    ensure(status.conditions.get_or_insert_default(), ending.clone());
    if ending.type_ == COMPLETE {
        status.completion_time = ending.last_transition_time.clone();
    }
    true
}
