//! What the pods of a job say, counted once.

use super::Observed;
use super::backoff::Backoff;
use super::indexes::Indexes;
use super::pods::{self, completions, is_failed, is_indexed, is_tracked, uid, valid_index};
use super::policies::{self, Failure};
use crate::objects::pods as life;
use k8s_openapi::api::batch::v1::{JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// The counts.
#[derive(Debug)]
pub(in super::super) struct Tally {
    /// Neither finished nor terminating.
    pub(super) active: Vec<Arc<Pod>>,
    /// Active and ready.
    pub(super) ready: i32,
    /// On their way out.
    pub(super) terminating: i32,
    /// Completions so far, those that the status does not show yet included.
    pub(super) succeeded: i32,
    /// Failures so far, likewise.
    pub(super) failed: i32,
    /// Failures since the last success.
    pub(in super::super) backoff: Backoff,
    /// Of an indexed job.
    pub(super) indexed: Option<Indexed>,
}

/// The state of the indexes.
#[derive(Debug)]
pub(super) struct Indexed {
    /// Succeeded as the status says.
    pub(super) before: Indexes,
    /// Succeeded in truth.
    pub(super) succeeded: Indexes,
    /// Failed for good; only with a limit per index.
    pub(super) failed: Option<Indexes>,
    /// The failed pods that wait for their replacement, which takes over their counts.
    pub(super) delayed: BTreeMap<i32, Arc<Pod>>,
}

/// The uids that the status has as ended but not counted.
pub(super) fn uncounted(status: &JobStatus) -> (HashSet<&str>, HashSet<&str>) {
    let pods = status.uncounted_terminated_pods.as_ref();
    (uids(pods.and_then(|pods| pods.succeeded.as_ref())), uids(pods.and_then(|pods| pods.failed.as_ref())))
}

fn uids(list: Option<&Vec<String>>) -> HashSet<&str> {
    list.into_iter().flatten().map(String::as_str).collect()
}

impl Tally {
    /// Counts.
    pub(super) fn of(observed: &Observed) -> Self {
        let (spec, status) = (observed.spec(), observed.status());
        let active: Vec<_> = observed.pods.iter().filter(|pod| life::is_active(pod)).cloned().collect();
        let (counted_success, counted_failure) = uncounted(status);
        let succeeded = fresh(observed, &counted_success, |pod| life::phase(pod) == "Succeeded");
        let failed = fresh(observed, &counted_failure, |pod| is_failed(pod, spec));
        let failures = failed.iter().filter(|pod| policies::judge(spec, pod).counts()).count();
        let indexed = is_indexed(spec).then(|| Indexed::of(observed, &active));
        let successes = status.succeeded.unwrap_or(0) + count(succeeded.len()) + count(counted_success.len());
        Self {
            ready: count(active.iter().filter(|pod| life::is_ready(pod)).count()),
            terminating: count(observed.pods.iter().filter(|pod| pods::is_terminating(pod)).count()),
            succeeded: indexed.as_ref().map_or(successes, |indexed| indexed.succeeded.total()),
            failed: status.failed.unwrap_or(0) + count(failures) + count(counted_failure.len()),
            backoff: observed.backoff.after(&succeeded, &failed),
            active,
            indexed,
        }
    }
}

/// As the API counts.
pub(super) fn count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// The pods that ended so and that the status does not know of.
fn fresh(observed: &Observed, known: &HashSet<&str>, ended: impl Fn(&Pod) -> bool) -> Vec<Arc<Pod>> {
    let spec = observed.spec();
    let counts = |pod: &Pod| {
        is_tracked(pod) && !known.contains(uid(pod)) && (!is_indexed(spec) || valid_index(pod, spec).is_some())
    };
    observed.pods.iter().filter(|pod| counts(pod) && ended(pod)).cloned().collect()
}

impl Indexed {
    fn of(observed: &Observed, active: &[Arc<Pod>]) -> Self {
        let (spec, status) = (observed.spec(), observed.status());
        let parse = |text: Option<&String>| Indexes::parse(text.map_or("", String::as_str), completions(spec));
        let tracked = || observed.pods.iter().filter(|pod| is_tracked(pod));
        let of = |ended: &dyn Fn(&Pod) -> bool| {
            tracked().filter(|pod| ended(pod)).filter_map(|pod| valid_index(pod, spec)).collect::<Indexes>()
        };
        let before = parse(status.completed_indexes.as_ref());
        let succeeded = before.union(&of(&|pod| life::phase(pod) == "Succeeded"));
        let Some(limit) = spec.backoff_limit_per_index else {
            return Self { before, succeeded, failed: None, delayed: BTreeMap::new() };
        };
        let failed = parse(status.failed_indexes.as_ref()).union(&of(&|pod| fails_index(pod, spec, limit)));
        let settled = succeeded.union(&failed).with(active.iter().filter_map(|pod| pods::index(pod)));
        Self { delayed: delayed(observed, &settled), failed: Some(failed), before, succeeded }
    }
}

fn fails_index(pod: &Pod, spec: &JobSpec, limit: i32) -> bool {
    is_failed(pod, spec)
        && match policies::judge(spec, pod) {
            Failure::FailsIndex => true,
            Failure::Ignored => false,
            Failure::Counts | Failure::FailsJob(_) => pods::failures(pod) >= limit,
        }
}

/// The last failed pod of each index that is not settled.
fn delayed(observed: &Observed, settled: &Indexes) -> BTreeMap<i32, Arc<Pod>> {
    let spec = observed.spec();
    let mut last: BTreeMap<i32, Arc<Pod>> = BTreeMap::new();
    for pod in observed.pods.iter().filter(|pod| is_tracked(pod) && is_failed(pod, spec)) {
        let Some(index) = valid_index(pod, spec).filter(|index| !settled.has(*index)) else { continue };
        let rank = |pod: &Pod| (pods::failures(pod) + pods::ignored_failures(pod), pods::finished_at(pod));
        if last.get(&index).is_none_or(|other| rank(other) <= rank(pod)) {
            last.insert(index, Arc::clone(pod));
        }
    }
    last
}
