//! How many pods to make, which to delete, and what the status is.

use crate::objects::{conditions, pods, ranking, selector::Selector};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::sync::Arc;

const REPLICA_FAILURE: &str = "ReplicaFailure";

/// What brings the number of pods to the one asked for.
#[derive(Debug)]
pub(super) enum Scale {
    /// There are as many as there should be.
    Keep,
    /// So many are missing.
    Create(usize),
    /// These are too many.
    Delete(Vec<Arc<Pod>>),
}

/// Why pods could not be created or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Scale {
    /// What a failure of this step is called.
    pub(super) fn failure(&self, message: String) -> Failure {
        let reason = if matches!(self, Self::Delete(_)) { "FailedDelete" } else { "FailedCreate" };
        Failure { reason, message }
    }
}

/// `owned` are all pods of the set; `related` those of its siblings, which deletion thins out.
pub(super) fn scale(set: &ReplicaSet, owned: &[Arc<Pod>], related: &[Arc<Pod>], now: Timestamp) -> Scale {
    if set.metadata.deletion_timestamp.is_some() {
        return Scale::Keep;
    }
    let active: Vec<_> = owned.iter().filter(|pod| pods::is_active(pod)).cloned().collect();
    let wanted = usize::try_from(replicas(set)).unwrap_or(0);
    if active.len() < wanted {
        return Scale::Create(wanted - active.len());
    }
    let surplus = active.len() - wanted;
    if surplus == 0 {
        return Scale::Keep;
    }
    let mut ranked = ranking::by_deletion(active, related, now);
    ranked.truncate(surplus);
    Scale::Delete(ranked)
}

fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

fn min_ready(set: &ReplicaSet) -> SignedDuration {
    SignedDuration::from_secs(set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0).into())
}

/// The status that the pods make, and how long until a ready pod becomes available.
pub(super) fn status(
    set: &ReplicaSet,
    owned: &[Arc<Pod>],
    failure: Option<Failure>,
    now: Timestamp,
) -> (ReplicaSetStatus, Option<SignedDuration>) {
    let active: Vec<_> = owned.iter().filter(|pod| pods::is_active(pod)).collect();
    let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref()?.metadata.as_ref()?.labels.as_ref());
    let template = Selector::labels(&template.cloned().unwrap_or_default());
    let counted = |test: &dyn Fn(&Pod) -> bool| count(active.iter().filter(|pod| test(pod)).count());
    let terminating = owned.iter().filter(|pod| pods::is_terminating(pod) && !pods::is_finished(pod)).count();
    let ready = counted(&pods::is_ready);
    let status = ReplicaSetStatus {
        replicas: count(active.len()),
        fully_labeled_replicas: some(counted(&|pod| template.matches(pod.metadata.labels.as_ref()))),
        ready_replicas: some(ready),
        available_replicas: some(counted(&|pod| pods::is_available(pod, min_ready(set), now))),
        terminating_replicas: Some(count(terminating)),
        observed_generation: set.metadata.generation,
        conditions: conditions_of(set, failure, now),
    };
    (status, active.iter().filter_map(|pod| pods::available_in(pod, min_ready(set), now)).min())
}

/// Go omits zeros of these fields.
fn some(count: i32) -> Option<i32> {
    (count != 0).then_some(count)
}

fn count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn conditions_of(set: &ReplicaSet, failure: Option<Failure>, now: Timestamp) -> Option<Vec<ReplicaSetCondition>> {
    let mut list = set.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    match failure {
        // The first failure stays until there is none: its message must not flap.
        Some(_) if conditions::find(&list, REPLICA_FAILURE).is_some() => {}
        Some(failure) => conditions::set(
            &mut list,
            ReplicaSetCondition {
                type_: REPLICA_FAILURE.to_owned(),
                status: "True".to_owned(),
                reason: Some(failure.reason.to_owned()),
                message: Some(failure.message),
                last_transition_time: Some(Time(now)),
            },
        ),
        None => conditions::remove(&mut list, REPLICA_FAILURE),
    }
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn now() -> Timestamp {
        "2026-01-01T00:01:00Z".parse().unwrap()
    }

    fn set(replicas: i32, min_ready: i32, meta: Value) -> ReplicaSet {
        serde_json::from_value(json!({
            "metadata": meta,
            "spec": {"replicas": replicas, "minReadySeconds": min_ready, "selector": {},
                     "template": {"metadata": {"labels": {"a": "b"}}}}
        }))
        .unwrap()
    }

    fn pod(name: &str, phase: &str, ready_at: Option<&str>, terminating: bool) -> Arc<Pod> {
        let condition = json!({"type": "Ready", "status": if ready_at.is_some() { "True" } else { "False" },
                               "lastTransitionTime": ready_at});
        let deleted = terminating.then_some("2026-01-01T00:00:00Z");
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": name, "labels": {"a": "b"}, "deletionTimestamp": deleted},
                "spec": {"containers": [], "nodeName": "n"},
                "status": {"phase": phase, "conditions": [condition]}
            }))
            .unwrap(),
        )
    }

    fn some_pods() -> Vec<Arc<Pod>> {
        vec![
            pod("old", "Running", Some("2026-01-01T00:00:00Z"), false),
            pod("fresh", "Running", Some("2026-01-01T00:00:55Z"), false),
            pod("starting", "Pending", None, false),
            pod("failed", "Failed", None, false),
            pod("leaving", "Running", None, true),
        ]
    }

    #[test]
    fn only_active_pods_count() {
        let pods = some_pods();
        assert!(matches!(scale(&set(3, 0, json!({})), &pods, &pods, now()), Scale::Keep));
        assert!(matches!(scale(&set(5, 0, json!({})), &pods, &pods, now()), Scale::Create(2)));
        let Scale::Delete(doomed) = scale(&set(1, 0, json!({})), &pods, &pods, now()) else { panic!("no deletion") };
        let names: Vec<_> = doomed.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect();
        assert_eq!(names, ["starting", "fresh"]);
    }

    #[test]
    fn a_dying_set_is_left_alone() {
        let dying = set(5, 0, json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}));
        assert!(matches!(scale(&dying, &[], &[], now()), Scale::Keep));
    }

    #[test]
    fn the_status_counts() {
        let (status, next) = status(&set(3, 10, json!({"generation": 4})), &some_pods(), None, now());
        assert_eq!(status.replicas, 3);
        assert_eq!(status.fully_labeled_replicas, Some(3));
        assert_eq!(status.ready_replicas, Some(2));
        assert_eq!(status.available_replicas, Some(1));
        assert_eq!(status.terminating_replicas, Some(1));
        assert_eq!(status.observed_generation, Some(4));
        assert_eq!(next, Some(SignedDuration::from_secs(5)));
    }

    #[test]
    fn a_failure_shows_until_it_is_over() {
        let mut set = set(3, 0, json!({}));
        let failure = Scale::Create(1).failure("quota".into());
        set.status = Some(status(&set, &[], Some(failure), now()).0);
        let condition = &set.status.as_ref().unwrap().conditions.as_ref().unwrap()[0];
        assert_eq!((condition.type_.as_str(), condition.reason.as_deref()), ("ReplicaFailure", Some("FailedCreate")));
        assert_eq!(status(&set, &[], None, now()).0.conditions, None);
    }
}
