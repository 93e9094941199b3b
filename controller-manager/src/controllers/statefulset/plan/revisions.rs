//! Which revisions of the history are in use.

use super::steps::revision;
use crate::objects::history;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;

/// Where the revision of the current template is.
#[derive(Clone, Debug)]
pub(in super::super) enum Latest {
    /// It is the last one.
    Is(Arc<ControllerRevision>),
    /// It is an old one, and gets this number: the set went back.
    Renumber(Arc<ControllerRevision>, i64),
    /// It has to be made, with this number.
    Create(i64),
}

/// Oldest first.
pub(in super::super) fn sort(all: &mut [Arc<ControllerRevision>]) {
    let created = |one: &ControllerRevision| one.metadata.creation_timestamp.as_ref().map(|time| time.0);
    all.sort_by_key(|one| (one.revision, created(one), one.metadata.name.clone()));
}

/// Finds the revision of the template that this patch brings back; `all` is sorted.
pub(in super::super) fn latest(all: &[Arc<ControllerRevision>], patch: &Value) -> Latest {
    let next = all.last().map_or(1, |last| last.revision + 1);
    if let Some(last) = all.last().filter(|last| history::holds(last, patch)) {
        return Latest::Is(Arc::clone(last));
    }
    if let Some(old) = all.iter().rev().find(|one| history::holds(one, patch)) {
        return Latest::Renumber(Arc::clone(old), next);
    }
    // Another version may have written the same template in other words.
    let says_so = |last: &&Arc<ControllerRevision>| {
        history::template(last).is_some_and(|template| history::patch(&template) == *patch)
    };
    all.last().filter(says_so).map_or(Latest::Create(next), |last| Latest::Is(Arc::clone(last)))
}

/// The revisions beyond the limit that neither the set nor a pod is of; `all` is sorted.
pub(in super::super) fn surplus(
    set: &StatefulSet,
    all: &[Arc<ControllerRevision>],
    in_use: [&str; 2],
    pods: &[Arc<Pod>],
) -> Vec<Arc<ControllerRevision>> {
    let live: HashSet<_> = pods.iter().map(|pod| revision(pod)).chain(in_use).collect();
    let mut idle: Vec<_> = all.iter().filter(|one| !live.contains(history::name(one))).cloned().collect();
    let limit = set.spec.as_ref().and_then(|spec| spec.revision_history_limit).unwrap_or(10);
    let Ok(limit) = usize::try_from(limit) else { return Vec::new() };
    idle.truncate(idle.len().saturating_sub(limit));
    idle
}
