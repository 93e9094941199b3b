//! Where pods of a daemon set come and go, and what its status says: one file per question.

mod backoff;
mod nodes;
mod placement;
mod revisions;
mod rolling;
mod status;
mod template;

pub(super) use crate::objects::history::HASH_LABEL;
pub(super) use backoff::Backoffs;
pub(super) use placement::{Fit, Placement};
pub(super) use revisions::Revisions;
pub(super) use template::pod;

use crate::objects::pods;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::{Node, Pod};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known when planning.
#[derive(Debug)]
pub(super) struct Observed {
    set: Arc<DaemonSet>,
    placement: Placement,
    nodes: Vec<Arc<Node>>,
    /// The pods by the node they are on or will be.
    by_node: BTreeMap<String, Vec<Arc<Pod>>>,
    /// Of the current template.
    hash: String,
    now: Timestamp,
}

/// An event about the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) is_warning: bool,
    pub(super) reason: &'static str,
    pub(super) text: String,
}

/// What happens to the pods.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Nodes that get a pod.
    pub(super) create: Vec<String>,
    pub(super) delete: Vec<Arc<Pod>>,
    pub(super) notes: Vec<Note>,
    /// When to look again without any change.
    pub(super) again: Option<SignedDuration>,
}

impl Observed {
    /// A set with all its pods and all nodes.
    pub(super) fn new(
        set: Arc<DaemonSet>,
        pods: &[Arc<Pod>],
        nodes: Vec<Arc<Node>>,
        hash: String,
        now: Timestamp,
    ) -> Self {
        let mut by_node: BTreeMap<String, Vec<Arc<Pod>>> = BTreeMap::new();
        // What has ended and only waits to vanish is nobody's concern.
        for pod in pods.iter().filter(|pod| !(pods::is_finished(pod) && pods::is_terminating(pod))) {
            if let Some(node) = placement::target(pod) {
                by_node.entry(node.to_owned()).or_default().push(Arc::clone(pod));
            }
        }
        Self { placement: Placement::of(&set), set, nodes, by_node, hash, now }
    }

    fn min_ready(&self) -> SignedDuration {
        let seconds = self.set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
        SignedDuration::from_secs(seconds.into())
    }

    fn is_available(&self, pod: &Pod) -> bool {
        pods::is_available(pod, self.min_ready(), self.now)
    }

    /// A node that is gone fits nothing.
    fn fit(&self, name: &str) -> Fit {
        let node = self.nodes.iter().find(|node| node.metadata.name.as_deref() == Some(name));
        node.map_or(Fit::No, |node| self.placement.fit(node))
    }
}

/// One pod on each node that should have one.
pub(super) fn manage(observed: &Observed, backoffs: &mut Backoffs) -> Plan {
    nodes::manage(observed, backoffs)
}

/// One step of an update; only when [`manage`] had nothing to do.
pub(super) fn update(observed: &Observed) -> Plan {
    rolling::step(observed)
}

/// The status, and how long until a ready pod becomes available.
pub(super) fn status(observed: &Observed) -> (DaemonSetStatus, Option<SignedDuration>) {
    status::status(observed)
}

#[cfg(test)]
mod tests;
