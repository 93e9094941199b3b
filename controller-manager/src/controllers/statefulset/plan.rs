//! Which pods of a stateful set come and go, and what its status says: one file per question.

mod identity;
mod pod;
mod retention;
mod revisions;
mod status;
mod steps;

pub(super) use identity::{has_storage, is_member};
pub(super) use pod::{claims, identify, mount};
pub(super) use retention::{Owners, owners};
pub(super) use revisions::{Latest, latest, sort, surplus};
pub(super) use steps::Step;

use crate::objects::pods;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, PodTemplateSpec};
use std::collections::HashMap;
use std::sync::Arc;

/// A revision and its template.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Version {
    pub(super) name: String,
    pub(super) template: PodTemplateSpec,
}

/// What is known when planning.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) set: Arc<StatefulSet>,
    /// All pods that the set owns.
    pub(super) pods: Vec<Arc<Pod>>,
    /// The claims of its namespace that are its pods', by name.
    pub(super) claims: HashMap<String, Arc<PersistentVolumeClaim>>,
    /// What pods were of before the update.
    pub(super) current: Version,
    /// What pods shall be of.
    pub(super) update: Version,
    pub(super) collisions: i32,
    pub(super) now: Timestamp,
}

impl Observed {
    fn min_ready(&self) -> SignedDuration {
        let seconds = self.set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
        SignedDuration::from_secs(seconds.into())
    }

    fn is_available(&self, pod: &Pod) -> bool {
        pods::is_available(pod, self.min_ready(), self.now)
    }

    /// Whether the pod does not serve, or will soon not.
    fn is_unavailable(&self, pod: &Pod) -> bool {
        pods::is_terminating(pod) || pods::phase(pod) != "Running" || !self.is_available(pod)
    }

    fn is_ordered(&self) -> bool {
        let policy = self.set.spec.as_ref().and_then(|spec| spec.pod_management_policy.as_deref());
        policy != Some("Parallel")
    }

    /// The claims of the pod that are there.
    fn claims_of<'a>(&'a self, pod: &Pod) -> impl Iterator<Item = &'a PersistentVolumeClaim> {
        let ordinal = identity::ordinal(pod);
        let names = identity::claim_templates(&self.set)
            .filter_map(move |template| ordinal.map(|ordinal| identity::claim_name(&self.set, template, ordinal)));
        names.filter_map(|name| self.claims.get(&name)).map(|claim| &**claim)
    }

    /// The version that a new pod is of.
    fn version_of(&self, ordinal: i32) -> &Version {
        let spec = self.set.spec.as_ref();
        let strategy = spec.and_then(|spec| spec.update_strategy.clone()).unwrap_or_default();
        let start = identity::range(&self.set).start;
        let kept = match (&strategy.rolling_update, strategy.type_.as_deref()) {
            (Some(rolling), _) => rolling.partition.unwrap_or(0),
            (None, Some("RollingUpdate")) => {
                self.set.status.as_ref().and_then(|status| status.current_replicas).unwrap_or(0)
            }
            (None, _) => 0,
        };
        if ordinal < start.saturating_add(kept) { &self.current } else { &self.update }
    }
}

/// The names of the claims that the set's pods have, or will have.
pub(super) fn claim_names(set: &StatefulSet, pods: &[Arc<Pod>]) -> Vec<String> {
    let there = pods.iter().filter_map(|pod| identity::ordinal(pod));
    let mut ordinals: Vec<_> = identity::range(set).chain(there).collect();
    ordinals.sort_unstable();
    ordinals.dedup();
    let names = |ordinal| identity::claim_templates(set).map(move |name| identity::claim_name(set, name, ordinal));
    ordinals.into_iter().flat_map(names).collect()
}

/// All that can be done now, in order.
pub(super) fn steps(observed: &Observed) -> Vec<Step> {
    steps::steps(observed)
}

/// Whether the steps may be done at the same time.
pub(super) fn is_ordered(observed: &Observed) -> bool {
    observed.is_ordered()
}

/// The status after these steps, which were done.
pub(super) fn status(observed: &Observed, done: &[Step]) -> StatefulSetStatus {
    status::status(observed, done)
}

/// How long until a ready pod becomes available.
pub(super) fn available_in(observed: &Observed) -> Option<SignedDuration> {
    let waits = observed.pods.iter().filter_map(|pod| pods::available_in(pod, observed.min_ready(), observed.now));
    waits.min()
}

#[cfg(test)]
mod tests;
