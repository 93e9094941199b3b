//! What the state of a namespace's contents means: its conditions, and when to look again.

use crate::objects::conditions;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DynamicObject, PartialObjectMeta};
use std::collections::BTreeMap;
use std::time::Duration;

/// Our finalizer in `spec.finalizers`.
pub(super) const FINALIZER: &str = "kubernetes";
/// What finalizers of objects are given before they are looked at again.
const FINALIZER_SECONDS: i64 = 15;

/// What is left of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rest {
    /// `pods.`, `deployments.apps`.
    pub(super) resource: String,
    pub(super) count: usize,
    pub(super) finalizers: BTreeMap<String, usize>,
    /// In how many seconds it may be gone.
    pub(super) estimate: i64,
}

/// How the deletion of one kind went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Deleted, or under way.
    Left(Rest),
    /// Could not be deleted.
    Failed(String),
}

/// Summarizes what a list after the deletion still shows. Objects that neither wait for a grace
/// period nor for a finalizer should be gone: that they are not is a failure.
pub(super) fn rest(resource: &str, left: &[PartialObjectMeta<DynamicObject>], now: Timestamp) -> Outcome {
    let mut rest = Rest { resource: resource.to_owned(), count: left.len(), ..Rest::default() };
    for object in left {
        let meta = &object.metadata;
        for finalizer in meta.finalizers.iter().flatten() {
            *rest.finalizers.entry(finalizer.clone()).or_default() += 1;
        }
        if let Some(at) = &meta.deletion_timestamp {
            rest.estimate = rest.estimate.max(at.0.duration_since(now).as_secs().max(1));
        }
    }
    if !rest.finalizers.is_empty() {
        rest.estimate = rest.estimate.max(FINALIZER_SECONDS);
    }
    match rest.count > 0 && rest.estimate == 0 {
        true => Outcome::Failed(format!("unexpected items still remain in namespace for {resource}")),
        false => Outcome::Left(rest),
    }
}

/// When to look again, if anything is left: upstream's half of the estimate and a second.
pub(super) fn again(outcomes: &[Outcome]) -> Option<Duration> {
    let left = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Left(rest) if rest.count > 0 => Some(rest.estimate),
        _ => None,
    });
    let estimate = left.max()?;
    Some(Duration::from_secs(u64::try_from(estimate / 2 + 1).unwrap_or(1)))
}

/// The failures, in one line.
pub(super) fn failures(outcomes: &[Outcome]) -> Option<String> {
    let failed: Vec<&str> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Failed(why) => Some(why.as_str()),
            Outcome::Left(_) => None,
        })
        .collect();
    (!failed.is_empty()).then(|| failed.join(", "))
}

/// The namespace with its conditions as they should be.
pub(super) fn with_conditions(
    namespace: &Namespace,
    discovery: Result<(), String>,
    outcomes: &[Outcome],
    now: Timestamp,
) -> Namespace {
    let mut after = namespace.clone();
    let status = after.status.get_or_insert_default();
    status.phase = Some("Terminating".to_owned());
    let list = status.conditions.get_or_insert_default();
    for (kind, verdict) in verdicts(discovery, outcomes) {
        set(list, kind, verdict, now);
    }
    after
}

/// Status, reason and message of a condition.
type Verdict = (bool, &'static str, String);

fn verdicts(discovery: Result<(), String>, outcomes: &[Outcome]) -> [(&'static str, Verdict); 5] {
    let discovered = match discovery {
        Ok(()) => (false, "ResourcesDiscovered", "All resources successfully discovered".to_owned()),
        Err(why) => (true, "DiscoveryFailed", format!("Discovery failed for some groups, {why}")),
    };
    let parsed = (false, "ParsedGroupVersions", "All legacy kube types successfully parsed".to_owned());
    let deleted = match failures(outcomes) {
        None => {
            (false, "ContentDeleted", "All content successfully deleted, may be waiting on finalization".to_owned())
        }
        Some(why) => (true, "ContentDeletionFailed", format!("Failed to delete all resource types, {why}")),
    };
    [
        ("NamespaceDeletionDiscoveryFailure", discovered),
        ("NamespaceDeletionGroupVersionParsingFailure", parsed),
        ("NamespaceDeletionContentFailure", deleted),
        ("NamespaceContentRemaining", remaining(outcomes)),
        ("NamespaceFinalizersRemaining", finalizing(outcomes)),
    ]
}

fn left(outcomes: &[Outcome]) -> impl Iterator<Item = &Rest> {
    outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Left(rest) if rest.count > 0 => Some(rest),
        _ => None,
    })
}

fn remaining(outcomes: &[Outcome]) -> Verdict {
    // Upstream prints the group behind a dot, also where it is empty.
    let dotted = |name: &str| if name.contains('.') { name.to_owned() } else { format!("{name}.") };
    let mut parts: Vec<_> = left(outcomes)
        .map(|rest| format!("{} has {} resource instances", dotted(&rest.resource), rest.count))
        .collect();
    parts.sort();
    match parts.is_empty() {
        true => (false, "ContentRemoved", "All content successfully removed".to_owned()),
        false => (true, "SomeResourcesRemain", format!("Some resources are remaining: {}", parts.join(", "))),
    }
}

fn finalizing(outcomes: &[Outcome]) -> Verdict {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (finalizer, count) in left(outcomes).flat_map(|rest| &rest.finalizers) {
        *counts.entry(finalizer).or_default() += count;
    }
    let parts: Vec<_> = counts.iter().map(|(name, count)| format!("{name} in {count} resource instances")).collect();
    match parts.is_empty() {
        true => (false, "ContentHasNoFinalizers", "All content-preserving finalizers finished".to_owned()),
        false => (
            true,
            "SomeFinalizersRemain",
            format!("Some content in the namespace has finalizers remaining: {}", parts.join(", ")),
        ),
    }
}

/// Unlike elsewhere the message counts as well: it is what tells of progress.
fn set(list: &mut Vec<NamespaceCondition>, kind: &str, (holds, reason, message): Verdict, now: Timestamp) {
    let status = if holds { "True" } else { "False" };
    let old = conditions::find(list, kind);
    let transition = old.filter(|old| old.status == status).and_then(|old| old.last_transition_time.clone());
    let new = NamespaceCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: transition.or(Some(Time(now))),
    };
    match list.iter_mut().find(|condition| condition.type_ == kind) {
        Some(old) => *old = new,
        None => list.push(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn objects(metas: &[Value]) -> Vec<PartialObjectMeta<DynamicObject>> {
        metas.iter().map(|meta| serde_json::from_value(json!({"metadata": meta})).unwrap()).collect()
    }

    fn condition(namespace: &Namespace, kind: &str) -> (String, String, String) {
        let list = namespace.status.as_ref().unwrap().conditions.as_deref().unwrap();
        let found = conditions::find(list, kind).unwrap();
        (found.status.clone(), found.reason.clone().unwrap(), found.message.clone().unwrap())
    }

    #[test]
    fn an_empty_namespace_is_done() {
        let outcomes = [rest("pods", &[], now())];
        assert_eq!(again(&outcomes), None);
        let after = with_conditions(&Namespace::default(), Ok(()), &outcomes, now());
        assert_eq!(condition(&after, "NamespaceContentRemaining").1, "ContentRemoved");
        assert_eq!(condition(&after, "NamespaceFinalizersRemaining").0, "False");
    }

    #[test]
    fn grace_periods_and_finalizers_are_waited_for() {
        let left = objects(&[
            json!({"deletionTimestamp": "2026-01-01T00:00:30Z"}),
            json!({"deletionTimestamp": "2026-01-01T00:00:10Z", "finalizers": ["a/b"]}),
        ]);
        let outcomes = [rest("pods", &left, now())];
        assert_eq!(again(&outcomes), Some(Duration::from_secs(16)));
        let after = with_conditions(&Namespace::default(), Ok(()), &outcomes, now());
        assert_eq!(
            condition(&after, "NamespaceContentRemaining"),
            (
                "True".into(),
                "SomeResourcesRemain".into(),
                "Some resources are remaining: pods. has 2 resource instances".into()
            )
        );
        assert_eq!(
            condition(&after, "NamespaceFinalizersRemaining").2,
            "Some content in the namespace has finalizers remaining: a/b in 1 resource instances"
        );
    }

    #[test]
    fn what_should_be_gone_and_is_not_is_a_failure() {
        let outcomes = [rest("configmaps", &objects(&[json!({"name": "a"})]), now())];
        let after = with_conditions(&Namespace::default(), Err("x".into()), &outcomes, now());
        assert_eq!(condition(&after, "NamespaceDeletionContentFailure").1, "ContentDeletionFailed");
        assert_eq!(condition(&after, "NamespaceDeletionDiscoveryFailure").1, "DiscoveryFailed");
        assert!(failures(&outcomes).is_some());
    }
}
