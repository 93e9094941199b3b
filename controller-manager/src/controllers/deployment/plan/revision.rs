//! The annotations that number a replica set and remember what size it belongs to.
//!
//! Upstream: `pkg/controller/deployment/util/deployment_util.go`.

use crate::objects::StringMap;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MOST: &str = "deployment.kubernetes.io/max-replicas";
/// Annotations of a deployment that its replica sets do not inherit.
const OWN: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MOST,
    "deprecated.deployment.rollback.to",
];
/// The history annotation must not outgrow this.
const HISTORY_BYTES: usize = 2000;

fn number(set: &ReplicaSet, annotation: &str) -> Option<i64> {
    set.metadata.annotations.as_ref()?.get(annotation)?.parse().ok()
}

/// The revision of a replica set.
pub(super) fn of(set: &ReplicaSet) -> Option<i64> {
    number(set, REVISION)
}

/// The size of the deployment when the set was last scaled.
pub(super) fn desired(set: &ReplicaSet) -> Option<i32> {
    number(set, DESIRED)?.try_into().ok()
}

/// The most pods that the deployment could have when the set was last scaled.
pub(super) fn most(set: &ReplicaSet) -> Option<i32> {
    number(set, MOST)?.try_into().ok()
}

/// Remembers the sizes.
pub(super) fn remember_size(set: &mut ReplicaSet, desired: i32, most: i32) {
    let annotations = set.metadata.annotations.get_or_insert_default();
    annotations.insert(DESIRED.to_owned(), desired.to_string());
    annotations.insert(MOST.to_owned(), most.to_string());
}

/// Copies the deployment's annotations and raises the revision to `revision`; what an earlier
/// rollout of the same template was numbered goes to the history.
pub(super) fn inherit(set: &mut ReplicaSet, deployment: &Deployment, revision: i64) {
    let old = of(set);
    let annotations = set.metadata.annotations.get_or_insert_default();
    let inherited = deployment.metadata.annotations.iter().flatten();
    for (key, value) in inherited.filter(|(key, _)| !OWN.contains(&key.as_str())) {
        annotations.insert(key.clone(), value.clone());
    }
    if old.is_none_or(|old| old < revision) {
        annotations.insert(REVISION.to_owned(), revision.to_string());
        if let Some(old) = old {
            push_history(annotations, old);
        }
    }
}

fn push_history(annotations: &mut StringMap, revision: i64) {
    let history = annotations.get(HISTORY).map(String::as_str).unwrap_or_default();
    let mut entries: Vec<&str> = history.split(',').filter(|entry| !entry.is_empty()).collect();
    let revision = revision.to_string();
    entries.push(&revision);
    while entries.iter().map(|entry| entry.len() + 1).sum::<usize>() > HISTORY_BYTES {
        entries.remove(0);
    }
    let history = entries.join(",");
    annotations.insert(HISTORY.to_owned(), history);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rollback_raises_the_revision_and_remembers_the_old_one() {
        let deployment: Deployment =
            serde_json::from_value(json!({"metadata": {"annotations": {"a": "b", REVISION: "3"}}})).unwrap();
        let mut set: ReplicaSet =
            serde_json::from_value(json!({"metadata": {"annotations": {REVISION: "1"}}})).unwrap();
        inherit(&mut set, &deployment, 4);
        let annotations = set.metadata.annotations.clone().unwrap();
        assert_eq!((of(&set), annotations["a"].as_str(), annotations[HISTORY].as_str()), (Some(4), "b", "1"));
        inherit(&mut set, &deployment, 6);
        assert_eq!(set.metadata.annotations.unwrap()[HISTORY], "1,4");
    }

    #[test]
    fn a_revision_never_falls() {
        let mut set: ReplicaSet =
            serde_json::from_value(json!({"metadata": {"annotations": {REVISION: "5"}}})).unwrap();
        inherit(&mut set, &Deployment::default(), 2);
        assert_eq!(of(&set), Some(5));
    }
}
