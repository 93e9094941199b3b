//! Which revision of the history is the current template's.

use crate::objects::history;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;

/// The history, sorted.
#[derive(Debug)]
pub(in super::super) struct Revisions {
    /// Of the current template; the newest, if there are several.
    pub(in super::super) current: Option<Arc<ControllerRevision>>,
    /// The others of the current template.
    pub(in super::super) doubles: Vec<Arc<ControllerRevision>>,
    /// Of other templates, oldest first.
    pub(in super::super) old: Vec<Arc<ControllerRevision>>,
    /// The number that the current one should have, at least.
    pub(in super::super) number: i64,
}

impl Revisions {
    pub(in super::super) fn new(all: Vec<Arc<ControllerRevision>>, patch: &Value) -> Self {
        let (mut same, mut old): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| history::holds(one, patch));
        let order = |one: &Arc<ControllerRevision>| (one.revision, one.metadata.name.clone());
        same.sort_by_key(order);
        old.sort_by_key(order);
        let number = old.last().map_or(0, |newest| newest.revision).max(0) + 1;
        let current = same.pop();
        Self { current, doubles: same, old, number }
    }

    /// The old revisions beyond the limit that no pod is of.
    pub(in super::super) fn surplus(&self, set: &DaemonSet, pods: &[Arc<Pod>]) -> Vec<Arc<ControllerRevision>> {
        let limit = set.spec.as_ref().and_then(|spec| spec.revision_history_limit).unwrap_or(10);
        let excess = self.old.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        let labels = pods.iter().filter_map(|pod| pod.metadata.labels.as_ref());
        let live: HashSet<_> =
            labels.filter_map(|labels| labels.get(history::HASH_LABEL).map(String::as_str)).collect();
        let is_live = |one: &ControllerRevision| history::hash(one).is_some_and(|hash| live.contains(hash));
        self.old.iter().filter(|one| !is_live(one)).take(excess).cloned().collect()
    }
}
