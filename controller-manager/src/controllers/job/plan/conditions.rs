//! The conditions of a job, and what makes it end.

use super::pods::{completions, is_failed, is_suspended};
use super::policies::{self, Failure};
use super::tally::Tally;
use super::{Observed, policies::success};
use crate::objects::pods as life;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::JobCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The job will be `Failed` once its pods are gone.
pub(super) const FAILURE_TARGET: &str = "FailureTarget";
/// The job will be `Complete` once its pods are gone.
pub(super) const SUCCESS_MET: &str = "SuccessCriteriaMet";
pub(super) const FAILED: &str = "Failed";
pub(super) const COMPLETE: &str = "Complete";
pub(super) const SUSPENDED: &str = "Suspended";

/// A new condition that is `True`.
pub(super) fn condition(kind: &str, reason: &str, message: &str, now: Timestamp) -> JobCondition {
    JobCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()).filter(|reason| !reason.is_empty()),
        message: Some(message.to_owned()).filter(|message| !message.is_empty()),
        last_probe_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

/// The same ending under another type.
pub(super) fn as_kind(kind: &str, of: &JobCondition, now: Timestamp) -> JobCondition {
    condition(kind, of.reason.as_deref().unwrap_or_default(), of.message.as_deref().unwrap_or_default(), now)
}

/// The condition of this type, if it holds.
pub(super) fn holding<'a>(conditions: Option<&'a Vec<JobCondition>>, kind: &str) -> Option<&'a JobCondition> {
    conditions.into_iter().flatten().find(|condition| condition.type_ == kind && condition.status == "True")
}

/// Sets a condition; `false` if it was so already. What never was is not set to `False`.
pub(super) fn ensure(list: &mut Vec<JobCondition>, new: JobCondition) -> bool {
    match list.iter_mut().find(|condition| condition.type_ == new.type_) {
        Some(old) if old.status == new.status && old.reason == new.reason && old.message == new.message => false,
        Some(old) => {
            *old = new;
            true
        }
        None if new.status == "False" => false,
        None => {
            list.push(new);
            true
        }
    }
}

/// Why the job ends, if it does; what was decided before stays.
pub(super) fn ending(observed: &Observed, tally: &Tally) -> Option<JobCondition> {
    let (status, now) = (observed.status(), observed.now);
    if let Some(met) = holding(status.conditions.as_ref(), SUCCESS_MET) {
        return Some(met.clone());
    }
    if let Some(target) = holding(status.conditions.as_ref(), FAILURE_TARGET) {
        return Some(as_kind(FAILED, target, now));
    }
    let fails = |(reason, message): (&str, String)| condition(FAILURE_TARGET, reason, &message, now);
    failure(observed, tally).map(fails).or_else(|| {
        let message = success(observed.spec(), &tally.indexed.as_ref()?.succeeded)?;
        Some(condition(SUCCESS_MET, "SuccessPolicy", &message, now))
    })
}

/// Reason and message.
fn failure(observed: &Observed, tally: &Tally) -> Option<(&'static str, String)> {
    if let Some(message) = by_pod_failure_policy(observed) {
        return Some(("PodFailurePolicy", message));
    }
    let spec = observed.spec();
    if tally.failed > spec.backoff_limit.unwrap_or(i32::MAX) || restarted_too_often(observed) {
        return Some(("BackoffLimitExceeded", "Job has reached the specified backoff limit".to_owned()));
    }
    if deadline_in(observed).is_some_and(|left| !left.is_positive()) {
        return Some(("DeadlineExceeded", "Job was active longer than specified deadline".to_owned()));
    }
    let indexed = tally.indexed.as_ref()?;
    let failed = indexed.failed.as_ref()?.total();
    if spec.max_failed_indexes.is_some_and(|most| failed > most) {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        return Some(("MaxFailedIndexesExceeded", message.to_owned()));
    }
    let is_over = failed > 0 && failed + indexed.succeeded.total() >= completions(spec);
    is_over.then(|| ("FailedIndexes", "Job has failed indexes".to_owned()))
}

fn by_pod_failure_policy(observed: &Observed) -> Option<String> {
    let spec = observed.spec();
    spec.pod_failure_policy.as_ref()?;
    let failed = observed.pods.iter().filter(|pod| is_failed(pod, spec));
    failed.map(|pod| policies::judge(spec, pod)).find_map(|failure| match failure {
        Failure::FailsJob(message) => Some(message),
        _ => None,
    })
}

/// Containers that restart in their pod count towards the limit, too.
fn restarted_too_often(observed: &Observed) -> bool {
    let spec = observed.spec();
    if spec.template.spec.as_ref().and_then(|pod| pod.restart_policy.as_deref()) != Some("OnFailure") {
        return false;
    }
    let living = observed.pods.iter().filter(|pod| matches!(life::phase(pod), "Running" | "Pending"));
    let statuses = living
        .filter_map(|pod| pod.status.as_ref())
        .flat_map(|status| status.init_container_statuses.iter().chain(&status.container_statuses).flatten());
    let restarts = statuses.fold(0_i32, |sum, status| sum.saturating_add(status.restart_count));
    match spec.backoff_limit.unwrap_or(i32::MAX) {
        0 => restarts > 0,
        limit => restarts >= limit,
    }
}

/// How long the job may still run; `None` without a deadline.
pub(super) fn deadline_in(observed: &Observed) -> Option<SignedDuration> {
    let spec = observed.spec();
    let seconds = spec.active_deadline_seconds.filter(|_| !is_suspended(spec))?;
    let started = observed.status().start_time.as_ref().map_or(observed.now, |time| time.0);
    Some(SignedDuration::from_secs(seconds).saturating_sub(observed.now.duration_since(started)))
}
