//! How many pods a budget wants healthy, how many are, and what its status says of it.

use crate::objects::amount::{Round, resolve};
use crate::objects::pods;
use crate::objects::selector::{BadOperator, Selector};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long an evicted pod may take to be seen as being deleted, and an announced disruption to come.
pub(super) const TIMEOUT: SignedDuration = SignedDuration::from_secs(120);
const ALLOWED: &str = "DisruptionAllowed";
const TARGET: &str = "DisruptionTarget";
const BY_KUBELET: &str = "TerminationByKubelet";

/// What a budget selects; `None` if it has no selector and so selects nothing.
pub(super) fn selector(budget: &PodDisruptionBudget) -> Result<Option<Selector>, BadOperator> {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    selector.map(Selector::new).transpose()
}

/// Whether a change of a pod can change a budget's status.
pub(super) fn differ(before: &Pod, after: &Pod) -> bool {
    before.metadata.labels != after.metadata.labels
        || before.metadata.owner_references != after.metadata.owner_references
        || before.metadata.uid != after.metadata.uid
        || pods::is_ready(before) != pods::is_ready(after)
        || pods::is_terminating(before) != pods::is_terminating(after)
}

/// What the number of healthy pods is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure<'a> {
    /// A fixed number, whatever the pods' owners want.
    Number(i32),
    /// A part of what the owners want.
    Share(&'a IntOrString),
    /// What the owners want, less this.
    AllBut(&'a IntOrString),
    /// Nothing is said: nothing is wanted.
    Nothing,
}

/// How the budget measures.
pub(super) fn measure(budget: &PodDisruptionBudget) -> Measure<'_> {
    let Some(spec) = &budget.spec else { return Measure::Nothing };
    match (&spec.max_unavailable, &spec.min_available) {
        (Some(max), _) => Measure::AllBut(max),
        (None, Some(IntOrString::Int(number))) => Measure::Number(*number),
        (None, Some(share)) => Measure::Share(share),
        (None, None) => Measure::Nothing,
    }
}

/// How many pods there should be, and how many of them healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) expected: i32,
    pub(super) healthy: i32,
}

/// What a budget wants of so many `pods`, whose owners want `scale`; an error says which amount
/// is none.
pub(super) fn wanted(measure: Measure<'_>, pods: usize, scale: i32) -> Result<Wanted, String> {
    let part = |amount: &IntOrString| {
        resolve(amount, scale, Round::Up).ok_or_else(|| match amount {
            IntOrString::String(text) => {
                format!("invalid value for IntOrString: invalid type: {text:?} is no percentage")
            }
            IntOrString::Int(number) => format!("invalid value for IntOrString: {number}"),
        })
    };
    Ok(match measure {
        Measure::Number(healthy) => Wanted { expected: i32::try_from(pods).unwrap_or(i32::MAX), healthy },
        Measure::Share(share) => Wanted { expected: scale, healthy: part(share)? },
        Measure::AllBut(max) => Wanted { expected: scale, healthy: (scale - part(max)?).max(0) },
        Measure::Nothing => Wanted { expected: 0, healthy: 0 },
    })
}

/// Evictions that were granted and whose pods are not being deleted yet.
#[derive(Debug, Default)]
pub(super) struct Disrupted {
    pub(super) pods: BTreeMap<String, Time>,
    /// Pods that were expected to be deleted by now.
    pub(super) overdue: Vec<Arc<Pod>>,
    /// When the next one is overdue.
    pub(super) recheck: Option<SignedDuration>,
}

/// Which of the granted evictions are still awaited.
pub(super) fn disrupted(budget: &PodDisruptionBudget, pods: &[Arc<Pod>], now: Timestamp) -> Disrupted {
    let mut disrupted = Disrupted::default();
    let Some(granted) = budget.status.as_ref().and_then(|status| status.disrupted_pods.as_ref()) else {
        return disrupted;
    };
    for pod in pods.iter().filter(|pod| !pods::is_terminating(pod)) {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let Some(at) = granted.get(name) else { continue };
        let left = TIMEOUT - now.duration_since(at.0);
        if left.is_negative() {
            disrupted.overdue.push(Arc::clone(pod));
        } else {
            disrupted.recheck = Some(disrupted.recheck.map_or(left, |soonest| soonest.min(left)));
            disrupted.pods.insert(name.to_owned(), at.clone());
        }
    }
    disrupted
}

/// The pods that are healthy and stay so.
pub(super) fn healthy(pods: &[Arc<Pod>], disrupted: &BTreeMap<String, Time>) -> i32 {
    let counts = |pod: &&Arc<Pod>| {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        !pods::is_terminating(pod) && !disrupted.contains_key(name) && pods::is_ready(pod)
    };
    i32::try_from(pods.iter().filter(counts).count()).unwrap_or(i32::MAX)
}

/// The status that the budget should have.
pub(super) fn status(
    budget: &PodDisruptionBudget,
    wanted: Wanted,
    healthy: i32,
    disrupted: BTreeMap<String, Time>,
    now: Timestamp,
) -> PodDisruptionBudgetStatus {
    // A budget that selects nothing yet must not allow anything when its first pods appear.
    let allowed = if wanted.expected <= 0 { 0 } else { (healthy - wanted.healthy).max(0) };
    let before = budget.status.clone().unwrap_or_default();
    let (says, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let generation = budget.metadata.generation;
    let condition = condition(says, reason, String::new(), generation, now);
    PodDisruptionBudgetStatus {
        current_healthy: Some(healthy),
        desired_healthy: Some(wanted.healthy),
        expected_pods: Some(wanted.expected),
        disruptions_allowed: Some(allowed),
        disrupted_pods: Some(disrupted).filter(|disrupted| !disrupted.is_empty()),
        observed_generation: generation,
        conditions: Some(with_condition(before.conditions.unwrap_or_default(), condition)),
    }
}

/// The status after a failure: nothing may be evicted.
pub(super) fn failed(budget: &PodDisruptionBudget, why: String, now: Timestamp) -> PodDisruptionBudgetStatus {
    let mut status = budget.status.clone().unwrap_or_default();
    let condition = condition("False", "SyncFailed", why, status.observed_generation, now);
    status.disruptions_allowed = Some(0);
    status.conditions = Some(with_condition(status.conditions.unwrap_or_default(), condition));
    status
}

fn condition(status: &str, reason: &str, message: String, generation: Option<i64>, now: Timestamp) -> Condition {
    Condition {
        type_: ALLOWED.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: Time(now),
    }
}

/// Puts a condition in the place of the one of its type; its time stays while its status does.
fn with_condition(mut conditions: Vec<Condition>, mut new: Condition) -> Vec<Condition> {
    match conditions.iter_mut().find(|condition| condition.type_ == new.type_) {
        Some(old) => {
            if old.status == new.status {
                new.last_transition_time = old.last_transition_time.clone();
            }
            *old = new;
        }
        None => conditions.push(new),
    }
    conditions
}

/// Since when a disruption of the pod is announced that somebody but its kubelet has to carry out;
/// `None` if it is being carried out, or over.
pub(super) fn announced(pod: &Pod) -> Option<Timestamp> {
    let target = pods::condition(pod, TARGET)?;
    let is_open = target.status == "True" && target.reason.as_deref() != Some(BY_KUBELET);
    if !is_open || pods::is_terminating(pod) || pods::is_finished(pod) {
        return None;
    }
    Some(target.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0))
}

/// The pod without the announcement.
pub(super) fn retracted(pod: &Pod, now: Timestamp) -> Pod {
    let mut after = pod.clone();
    let conditions = after.status.iter_mut().flat_map(|status| status.conditions.iter_mut().flatten());
    for condition in conditions.filter(|condition| condition.type_ == TARGET) {
        *condition = PodCondition {
            type_: TARGET.to_owned(),
            status: "False".to_owned(),
            last_transition_time: Some(Time(now)),
            observed_generation: pod.metadata.generation,
            ..PodCondition::default()
        };
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn now() -> Timestamp {
        "2026-01-01T01:00:00Z".parse().unwrap()
    }

    fn budget(spec: Value, status: Value) -> PodDisruptionBudget {
        serde_json::from_value(json!({"metadata": {"name": "b", "generation": 2}, "spec": spec, "status": status}))
            .unwrap()
    }

    fn pod(name: &str, ready: &str) -> Arc<Pod> {
        Arc::new(
            serde_json::from_value(json!({"metadata": {"name": name},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}}))
            .unwrap(),
        )
    }

    #[test]
    fn amounts_are_of_the_scale() {
        let table = [
            (json!({"minAvailable": 2}), 5, 9, (5, 2)),
            (json!({"minAvailable": "50%"}), 5, 9, (9, 5)),
            (json!({"maxUnavailable": 1}), 5, 9, (9, 8)),
            (json!({"maxUnavailable": "30%"}), 5, 9, (9, 6)),
            (json!({"maxUnavailable": 10}), 5, 9, (9, 0)),
            (json!({}), 5, 9, (0, 0)),
        ];
        for (spec, pods, scale, (expected, healthy)) in table {
            let budget = budget(spec.clone(), json!(null));
            assert_eq!(wanted(measure(&budget), pods, scale), Ok(Wanted { expected, healthy }), "{spec}");
        }
        let broken = budget(json!({"maxUnavailable": "x"}), json!(null));
        assert!(wanted(measure(&broken), 1, 1).unwrap_err().starts_with("invalid value for IntOrString"));
    }

    #[test]
    fn what_is_allowed_is_what_is_left_over() {
        let budget = budget(json!({}), json!(null));
        for (expected, desired, healthy, allowed, reason) in
            [(3, 2, 3, 1, "SufficientPods"), (3, 2, 1, 0, "InsufficientPods"), (0, 0, 3, 0, "InsufficientPods")]
        {
            let status = status(&budget, Wanted { expected, healthy: desired }, healthy, BTreeMap::new(), now());
            assert_eq!((status.disruptions_allowed, status.observed_generation), (Some(allowed), Some(2)));
            assert_eq!(status.conditions.unwrap()[0].reason, reason);
        }
    }

    #[test]
    fn a_granted_eviction_counts_until_it_is_overdue() {
        let at = |seconds: i64| json!(Time(now() - SignedDuration::from_secs(seconds)));
        let budget = budget(
            json!({}),
            json!({"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0,
                "disruptedPods": {"new": at(20), "old": at(121), "gone": at(1)}}),
        );
        let pods = [pod("new", "True"), pod("old", "True"), pod("other", "True"), pod("sick", "False")];
        let disrupted = disrupted(&budget, &pods, now());
        assert_eq!(disrupted.pods.keys().collect::<Vec<_>>(), ["new"]);
        assert_eq!(disrupted.recheck, Some(SignedDuration::from_secs(100)));
        assert_eq!(disrupted.overdue[0].metadata.name.as_deref(), Some("old"));
        assert_eq!(healthy(&pods, &disrupted.pods), 2);
    }

    #[test]
    fn a_failure_allows_nothing() {
        let before =
            status(&budget(json!({}), json!(null)), Wanted { expected: 3, healthy: 1 }, 3, BTreeMap::new(), now());
        let mut budget = budget(json!({}), json!(null));
        budget.status = Some(before);
        let after = failed(&budget, "why".to_owned(), now());
        let condition = &after.conditions.unwrap()[0];
        assert_eq!(
            (after.disruptions_allowed, condition.reason.as_str(), condition.message.as_str()),
            (Some(0), "SyncFailed", "why")
        );
    }

    #[test]
    fn only_announcements_that_wait_for_somebody_are_retracted() {
        let with = |phase: &str, status: &str, reason: &str| -> Pod {
            serde_json::from_value(json!({"metadata": {"name": "p", "generation": 2}, "status": {"phase": phase, "conditions": [
                {"type": "DisruptionTarget", "status": status, "reason": reason, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}))
            .unwrap()
        };
        let pod = with("Running", "True", "EvictionByEvictionAPI");
        assert_eq!(announced(&pod), Some("2026-01-01T00:00:00Z".parse().unwrap()));
        for other in [
            with("Running", "False", "x"),
            with("Running", "True", "TerminationByKubelet"),
            with("Failed", "True", "EvictionByEvictionAPI"),
        ] {
            assert_eq!(announced(&other), None, "{other:?}");
        }
        let after = retracted(&pod, now());
        assert_eq!(
            pods::condition(&after, TARGET).map(|c| (c.status.as_str(), c.reason.clone(), c.observed_generation)),
            Some(("False", None, Some(2)))
        );
    }
}
