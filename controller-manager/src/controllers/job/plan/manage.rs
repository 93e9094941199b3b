//! Which pods a running job makes, and which it gives up.

use super::backoff::remaining_for_index;
use super::indexes::Indexes;
use super::pods::{self, completions, is_indexed, is_suspended, replaces_failed_only};
use super::tally::Tally;
use super::{Observed, Step, template};
use crate::objects::ranking;
use crate::scaffold::pod_control::BURST;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Pod;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Deletion goes before creation: in one step there is one of them.
pub(super) fn step(observed: &Observed, tally: &Tally) -> Step {
    let spec = observed.spec();
    let active = tally.active.len();
    if is_suspended(spec) {
        return delete(surplus(observed, tally, active));
    }
    let wanted = wanted(observed, tally);
    let mut doomed = surplus(observed, tally, active.saturating_sub(wanted));
    doomed.truncate(BURST);
    if !doomed.is_empty() {
        return Step::Delete(doomed);
    }
    let leaving = if replaces_failed_only(spec) { usize::try_from(tally.terminating).unwrap_or(0) } else { 0 };
    match wanted.saturating_sub(active + leaving).min(BURST) {
        0 => Step::Keep,
        missing => create(observed, tally, missing),
    }
}

fn delete(doomed: Vec<Arc<Pod>>) -> Step {
    if doomed.is_empty() { Step::Keep } else { Step::Delete(doomed) }
}

/// How many pods should run.
fn wanted(observed: &Observed, tally: &Tally) -> usize {
    let spec = observed.spec();
    let parallelism = spec.parallelism.unwrap_or(1);
    let wanted = match spec.completions {
        // The first success is the beginning of the end: what runs may finish.
        None if tally.succeeded > 0 => return tally.active.len(),
        None => parallelism,
        Some(completions) => parallelism.min(completions - tally.succeeded),
    };
    usize::try_from(wanted).unwrap_or(0)
}

/// At least `count` active pods to delete: first those whose index is taken or none of the job's.
fn surplus(observed: &Observed, tally: &Tally, count: usize) -> Vec<Arc<Pod>> {
    let (mut doomed, left) = match is_indexed(observed.spec()) {
        true => misindexed(observed, &tally.active),
        false => (Vec::new(), tally.active.clone()),
    };
    if doomed.len() < count {
        let ranked = ranking::by_deletion(left, &[], observed.now);
        doomed.extend(ranked.into_iter().take(count - doomed.len()));
    }
    doomed
}

fn misindexed(observed: &Observed, active: &[Arc<Pod>]) -> (Vec<Arc<Pod>>, Vec<Arc<Pod>>) {
    let (mut doomed, mut left) = (Vec::new(), Vec::new());
    let mut by_index: BTreeMap<i32, Vec<Arc<Pod>>> = BTreeMap::new();
    for pod in active {
        match pods::valid_index(pod, observed.spec()) {
            Some(index) => by_index.entry(index).or_default().push(Arc::clone(pod)),
            None => doomed.push(Arc::clone(pod)),
        }
    }
    for same in by_index.into_values() {
        let mut ranked = ranking::by_deletion(same, &[], observed.now);
        left.extend(ranked.pop());
        doomed.extend(ranked);
    }
    (doomed, left)
}

fn create(observed: &Observed, tally: &Tally, missing: usize) -> Step {
    let spec = observed.spec();
    let is_per_index = spec.backoff_limit_per_index.is_some();
    if !is_per_index && let Some(left) = tally.backoff.remaining(observed.now) {
        return Step::Wait(left);
    }
    let Some(indexed) = &tally.indexed else {
        let pod = template::pod(&observed.job);
        return Step::Create(vec![pod; missing]);
    };
    let pending = pending(observed, tally, missing);
    let wait = |index: &i32| indexed.delayed.get(index).and_then(|pod| remaining_for_index(pod, observed.now));
    let (now, later): (Vec<_>, Vec<_>) =
        pending.iter().map(|index| (*index, wait(index))).partition(|(_, wait)| wait.is_none());
    let next: Option<SignedDuration> = later.into_iter().filter_map(|(_, wait)| wait).min();
    if let (true, Some(next)) = (now.is_empty(), next) {
        return Step::Wait(next);
    }
    let made = now
        .into_iter()
        .map(|(index, _)| template::pod_of_index(&observed.job, index, indexed.delayed.get(&index).map(|pod| &**pod)));
    let made: Vec<_> = made.collect();
    if made.is_empty() { Step::Keep } else { Step::Create(made) }
}

/// The first indexes that have neither ended nor a pod.
fn pending(observed: &Observed, tally: &Tally, count: usize) -> Vec<i32> {
    let Some(indexed) = &tally.indexed else { return Vec::new() };
    let spec = observed.spec();
    let mut taken = indexed.succeeded.with(indexes(&tally.active));
    if replaces_failed_only(spec) {
        let leaving = observed.pods.iter().filter(|pod| pods::is_terminating(pod));
        taken = taken.with(leaving.filter_map(|pod| pods::index(pod)));
    }
    taken = taken.union(indexed.failed.as_ref().unwrap_or(&Indexes::default()));
    taken.first_missing(count, completions(spec))
}

fn indexes(pods: &[Arc<Pod>]) -> impl Iterator<Item = i32> {
    pods.iter().filter_map(|pod| pods::index(pod))
}
