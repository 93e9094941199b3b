//! Why a pod fits nowhere, and how that is said.
//!
//! Upstream: `FitError` in `pkg/scheduler/framework/types.go`.

use crate::framework::{Rejected, Remedy};
use crate::model::NodeId;
use std::collections::BTreeMap;

/// Why a pod fits nowhere.
#[derive(Clone, Debug, Default)]
pub struct Diagnosis {
    nodes: usize,
    refused: Option<Refusal>,
    rejected: Vec<Rejected>,
}

/// A pod that was rejected as such, before any node was looked at.
#[derive(Clone, Debug)]
struct Refusal {
    plugin: &'static str,
    reason: String,
}

impl Diagnosis {
    /// Of all `nodes`, each was rejected.
    pub fn new(nodes: usize, rejected: Vec<Rejected>) -> Self {
        Self { nodes, refused: None, rejected }
    }

    /// The pod itself was rejected, whatever the `nodes` are like.
    pub fn refused(nodes: usize, plugin: &'static str, reason: String) -> Self {
        Self { nodes, refused: Some(Refusal { plugin, reason }), rejected: Vec::new() }
    }

    /// `0/3 nodes are available: 1 Insufficient cpu, 2 …`.
    pub fn message(&self) -> String {
        if self.nodes == 0 {
            return "no nodes available to schedule pods".to_owned();
        }
        if let Some(Refusal { reason, .. }) = &self.refused {
            return format!("0/{} nodes are available: {reason}.", self.nodes);
        }
        let reasons = self.rejected.iter().flat_map(|rejected| rejected.rejection.reasons.iter());
        available(self.nodes, reasons.map(|reason| &**reason))
    }

    /// The plugins that rejected nodes, or the pod, each once.
    pub fn plugins(&self) -> Vec<&'static str> {
        let refused = self.refused.iter().map(|refusal| refusal.plugin);
        let mut plugins: Vec<_> = refused.chain(self.rejected.iter().map(|rejected| rejected.plugin)).collect();
        plugins.sort_unstable();
        plugins.dedup();
        plugins
    }

    /// The nodes on which driving pods away could help.
    pub fn resolvable(&self) -> impl Iterator<Item = NodeId> {
        self.rejected.iter().filter(|r| r.rejection.remedy == Remedy::Preemption).map(|r| r.node)
    }

    /// Whether the pod itself was rejected, before any node was looked at.
    pub fn is_refusal(&self) -> bool {
        self.refused.is_some()
    }

    /// The nodes that a plugin rejected.
    pub fn rejected_by(&self, plugin: &'static str) -> impl Iterator<Item = NodeId> {
        self.rejected.iter().filter(move |r| r.plugin == plugin).map(|r| r.node)
    }

    /// How many nodes there were.
    pub fn nodes(&self) -> usize {
        self.nodes
    }
}

/// The sentence that counts reasons, sorted as upstream sorts them: by the text with its count.
pub fn available<'r>(nodes: usize, reasons: impl Iterator<Item = &'r str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let mut parts: Vec<_> = counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    parts.sort();
    match parts.as_slice() {
        [] => format!("0/{nodes} nodes are available"),
        parts => format!("0/{nodes} nodes are available: {}.", parts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framework::Rejection;

    #[test]
    fn reasons_are_counted_and_sorted() {
        let rejected = |node, plugin, rejection| Rejected { node, plugin, rejection };
        let diagnosis = Diagnosis::new(
            3,
            vec![
                rejected(0, "B", Rejection::unresolvable("node(s) were unschedulable")),
                rejected(1, "A", Rejection::resolvable("Insufficient cpu")),
                rejected(2, "A", Rejection::resolvable("Insufficient cpu")),
            ],
        );
        let message = "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.";
        assert_eq!(diagnosis.message(), message);
        assert_eq!(diagnosis.plugins(), ["A", "B"]);
        assert_eq!(diagnosis.resolvable().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_refused_pod_has_one_reason_for_all_nodes() {
        let diagnosis = Diagnosis::refused(2, "VolumeBinding", "persistentvolumeclaim \"c\" not found".to_owned());
        assert_eq!(diagnosis.message(), "0/2 nodes are available: persistentvolumeclaim \"c\" not found.");
        assert_eq!((diagnosis.plugins(), diagnosis.resolvable().count()), (vec!["VolumeBinding"], 0));
    }
}
