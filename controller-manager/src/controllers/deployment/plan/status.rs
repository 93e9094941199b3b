//! A deployment's status: numbers, conditions, progress against its deadline.
//!
//! Upstream: `pkg/controller/deployment/{sync,progress}.go`.

use super::Limits;
use super::sets::{Sets, actual, available, size};
use crate::objects::conditions;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

const AVAILABLE: &str = "Available";
const PROGRESSING: &str = "Progressing";
const REPLICA_FAILURE: &str = "ReplicaFailure";
const COMPLETE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";
const RESUMED: &str = "DeploymentResumed";
/// A replica set for the template was made.
pub(in super::super) const NEW_SET_CREATED: &str = "NewReplicaSetCreated";
/// A replica set of the template was there already.
pub(in super::super) const NEW_SET_FOUND: &str = "FoundNewReplicaSet";
/// The replica set could not be made.
pub(in super::super) const FAILED_CREATE: &str = "ReplicaSetCreateError";

/// What the status is computed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A deployment that is paused, scaled or deleted: progress is not judged.
    Standing,
    /// A rollout under way or done.
    Rollout,
}

/// The status, and how long until the progress deadline if nothing happens.
pub(super) fn status(
    deployment: &Deployment,
    sets: &Sets,
    kind: Kind,
    now: Timestamp,
) -> (DeploymentStatus, Option<SignedDuration>) {
    let mut status = count(deployment, sets);
    let mut list = deployment.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    pause_condition(deployment, &mut list, now);
    conditions::set(&mut list, availability(deployment, &status, now));
    if kind == Kind::Rollout {
        judge_progress(deployment, sets, &status, &mut list, now);
        replica_failure(sets, &mut list);
    }
    status.conditions = Some(list);
    let again = (kind == Kind::Rollout).then(|| until_deadline(deployment, &status, now)).flatten();
    (status, again)
}

/// The numbers only.
pub(super) fn count(deployment: &Deployment, sets: &Sets) -> DeploymentStatus {
    let sum = |number: &dyn Fn(&ReplicaSet) -> i32| sets.all().map(number).sum::<i32>();
    let of_status = |number: fn(&k8s_openapi::api::apps::v1::ReplicaSetStatus) -> Option<i32>| {
        sets.all().filter_map(|set| set.status.as_ref().and_then(number)).sum::<i32>()
    };
    let available = sum(&available);
    let some = |number: i32| (number != 0).then_some(number);
    DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: some(sum(&actual)),
        updated_replicas: some(sets.new_set().map_or(0, actual)),
        ready_replicas: some(of_status(|status| status.ready_replicas)),
        available_replicas: some(available),
        unavailable_replicas: some((sum(&size) - available).max(0)),
        terminating_replicas: Some(of_status(|status| status.terminating_replicas)),
        collision_count: deployment.status.as_ref().and_then(|status| status.collision_count),
        conditions: None,
    }
}

/// Whether all replicas are of the present template and available.
pub(super) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = Limits::of(deployment).replicas;
    status.updated_replicas.unwrap_or(0) == wanted
        && status.replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
        && status.observed_generation >= deployment.metadata.generation
}

/// Whether the numbers got better since the last status.
fn is_progressing(deployment: &Deployment, new: &DeploymentStatus) -> bool {
    let old = deployment.status.clone().unwrap_or_default();
    let outdated = |status: &DeploymentStatus| status.replicas.unwrap_or(0) - status.updated_replicas.unwrap_or(0);
    new.updated_replicas > old.updated_replicas
        || outdated(new) < outdated(&old)
        || new.ready_replicas > old.ready_replicas
        || new.available_replicas > old.available_replicas
}

/// A condition about progress.
pub(in super::super) fn progressing(
    status: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) -> DeploymentCondition {
    condition(PROGRESSING, status, reason, message, now)
}

fn condition(kind: &str, status: &str, reason: &str, message: String, now: Timestamp) -> DeploymentCondition {
    DeploymentCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

fn availability(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> DeploymentCondition {
    match status.available_replicas.unwrap_or(0) >= Limits::of(deployment).fewest() {
        true => condition(
            AVAILABLE,
            "True",
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.".to_owned(),
            now,
        ),
        false => condition(
            AVAILABLE,
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.".to_owned(),
            now,
        ),
    }
}

/// Seconds a rollout may take without progress; `None` if it is never judged.
fn deadline(deployment: &Deployment) -> Option<SignedDuration> {
    let seconds = deployment.spec.as_ref()?.progress_deadline_seconds.filter(|seconds| *seconds != i32::MAX)?;
    Some(SignedDuration::from_secs(seconds.into()))
}

/// Says that a deployment was paused or goes on; one that has timed out stays so.
fn pause_condition(deployment: &Deployment, list: &mut Vec<DeploymentCondition>, now: Timestamp) {
    let reason = conditions::find(list, PROGRESSING).and_then(|c| c.reason.clone()).unwrap_or_default();
    if deadline(deployment).is_none() || reason == TIMED_OUT {
        return;
    }
    match (Limits::of(deployment).paused, reason == PAUSED) {
        (true, false) => conditions::set(list, progressing("Unknown", PAUSED, "Deployment is paused".to_owned(), now)),
        (false, true) => {
            conditions::set(list, progressing("Unknown", RESUMED, "Deployment is resumed".to_owned(), now))
        }
        _ => {}
    }
}

fn judge_progress(
    deployment: &Deployment,
    sets: &Sets,
    status: &DeploymentStatus,
    list: &mut Vec<DeploymentCondition>,
    now: Timestamp,
) {
    if deadline(deployment).is_none() {
        return conditions::remove(list, PROGRESSING);
    }
    let current = conditions::find(list, PROGRESSING).cloned();
    let is_settled = current.as_ref().is_some_and(|current| current.reason.as_deref() == Some(COMPLETE));
    if is_settled && status.replicas == status.updated_replicas {
        return;
    }
    let subject = subject(deployment, sets);
    if is_complete(deployment, status) {
        conditions::set(list, progressing("True", COMPLETE, format!("{subject} has successfully progressed."), now));
    } else if is_progressing(deployment, status) {
        let mut update = progressing("True", "ReplicaSetUpdated", format!("{subject} is progressing."), now);
        if let Some(current) = current.filter(|current| current.status == "True") {
            update.last_transition_time = current.last_transition_time;
        }
        // Even if it says the same: its update time is what the deadline runs from.
        conditions::remove(list, PROGRESSING);
        conditions::set(list, update);
    } else if until_deadline_of(deployment, current.as_ref(), now).is_some_and(|left| left.is_negative()) {
        conditions::set(list, progressing("False", TIMED_OUT, format!("{subject} has timed out progressing."), now));
    }
}

fn subject(deployment: &Deployment, sets: &Sets) -> String {
    let name = |name: &Option<String>| name.clone().unwrap_or_default();
    match sets.new_set() {
        Some(set) => format!("ReplicaSet {:?}", name(&set.metadata.name)),
        None => format!("Deployment {:?}", name(&deployment.metadata.name)),
    }
}

/// What is left of the deadline; `None` if there is none, or the rollout is done.
fn until_deadline_of(
    deployment: &Deployment,
    current: Option<&DeploymentCondition>,
    now: Timestamp,
) -> Option<SignedDuration> {
    let current = current.filter(|current| current.reason.as_deref() != Some(COMPLETE))?;
    let since = current.last_update_time.as_ref()?.0;
    Some(deadline(deployment)? - now.duration_since(since))
}

fn until_deadline(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> Option<SignedDuration> {
    let current = conditions::find(status.conditions.as_deref().unwrap_or_default(), PROGRESSING)?;
    if current.reason.as_deref() == Some(TIMED_OUT) || is_complete(deployment, status) {
        return None;
    }
    let left = until_deadline_of(deployment, Some(current), now)?;
    // A second more, so that it has passed for sure.
    Some(left.max(SignedDuration::ZERO) + SignedDuration::from_secs(1))
}

/// Shows that replica sets cannot make their pods, the new one's reason first.
fn replica_failure(sets: &Sets, list: &mut Vec<DeploymentCondition>) {
    let failure = |set: &ReplicaSet| {
        let conditions = set.status.as_ref()?.conditions.as_deref()?;
        conditions::find(conditions, REPLICA_FAILURE).cloned()
    };
    let found = sets.new_set().and_then(failure).or_else(|| sets.all().find_map(failure));
    match found {
        Some(failure) => conditions::set(
            list,
            DeploymentCondition {
                type_: failure.type_,
                status: failure.status,
                reason: failure.reason,
                message: failure.message,
                last_update_time: failure.last_transition_time.clone(),
                last_transition_time: failure.last_transition_time,
            },
        ),
        None => conditions::remove(list, REPLICA_FAILURE),
    }
}
