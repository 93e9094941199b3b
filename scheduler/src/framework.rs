//! What a plugin is. Extension points have upstream's names. Queue sort and PreEnqueue are the
//! queue's own; Reserve is [`crate::cache::Cache::assume`], with [`crate::cache::Cache::reserve`]
//! for volumes and [`crate::devices::Claims::reserve`] for devices; PreBind is [`crate::volumes`] and
//! [`crate::claims`]; Bind is [`crate::bind`]. Permit and PostBind have no
//! user.
//!
//! A plugin sees all candidates at once, so that its PreFilter and PreScore are the part of
//! `filter` and `score` before the pass over the nodes.
//!
//! Upstream: `staging/src/k8s.io/kube-scheduler/framework`.

use crate::cluster::Cluster;
use crate::model::volumes::ClaimKey;
use crate::model::{NodeId, Pod};
use smallvec::SmallVec;
use std::borrow::Cow;

/// The best that a node can score.
pub const MAX_SCORE: i64 = 100;

/// Why a node does not take a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// In upstream's words; each is counted in the message.
    pub reasons: SmallVec<[Cow<'static, str>; 1]>,
    /// Whether driving pods away could help.
    pub remedy: Remedy,
}

/// Whether driving pods away from a node could help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// It could: upstream's `Unschedulable`.
    Preemption,
    /// It could not: upstream's `UnschedulableAndUnresolvable`.
    None,
}

impl Rejection {
    /// That driving pods away could mend.
    pub fn resolvable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reasons: SmallVec::from_iter([reason.into()]), remedy: Remedy::Preemption }
    }

    /// That it could not.
    pub fn unresolvable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reasons: SmallVec::from_iter([reason.into()]), remedy: Remedy::None }
    }
}

/// A node that a plugin excluded.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// The node.
    pub node: NodeId,
    /// By whom.
    pub plugin: &'static str,
    /// Why.
    pub rejection: Rejection,
}

/// The nodes still in question, and those that are not any more.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// Still in question.
    pub nodes: Vec<NodeId>,
    /// Excluded.
    pub rejected: Vec<Rejected>,
    /// Something is wrong with the pod or what it needs, so that there is no decision.
    pub failure: Option<String>,
}

impl Candidates {
    /// These nodes.
    pub fn new(nodes: &[NodeId]) -> Self {
        Self { nodes: nodes.to_vec(), rejected: Vec::new(), failure: None }
    }

    /// Ends the decision, as something is wrong; upstream's `Error`.
    pub fn fail(&mut self, why: String) {
        self.nodes.clear();
        self.failure = Some(why);
    }

    /// Keeps the nodes that `check` does not reject.
    pub fn retain(&mut self, plugin: &'static str, mut check: impl FnMut(NodeId) -> Result<(), Rejection>) {
        let rejected = &mut self.rejected;
        self.nodes.retain(|&node| match check(node) {
            Ok(()) => true,
            Err(rejection) => {
                rejected.push(Rejected { node, plugin, rejection });
                false
            }
        });
    }
}

/// What happened in the cluster that may make room for a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A node came.
    NodeAdded,
    /// A node has more or other resources.
    NodeAllocatable,
    /// A node's labels changed.
    NodeLabels,
    /// A node's taints changed.
    NodeTaints,
    /// A node was cordoned or uncordoned.
    NodeUnschedulable,
    /// A pod went to a node.
    PodAssigned,
    /// A pod left a node.
    PodRemoved,
    /// A pod on a node has other labels.
    PodLabels,
    /// A pod on a node gave something back.
    PodScaledDown,
    /// A namespace's labels changed.
    NamespaceLabels,
    /// A claim came.
    ClaimAdded(ClaimKey),
    /// A claim changed.
    ClaimUpdated(ClaimKey),
    /// A persistent volume came.
    VolumeAdded,
    /// A persistent volume changed.
    VolumeUpdated {
        /// Whether its labels did.
        labels: bool,
    },
    /// A storage class came.
    ClassAdded,
    /// A storage class allows other topologies.
    ClassTopologies,
    /// A node's CSI drivers came.
    CsiNodeAdded,
    /// A node's CSI drivers changed.
    CsiNodeUpdated,
    /// A CSI driver's storage is not tracked any more.
    StorageUntracked,
    /// A CSI driver has more storage.
    StorageGrown,
    /// A volume was detached from a node.
    VolumeDetached,
    /// A claim of devices came, or changed.
    DeviceClaim {
        /// Which.
        key: ClaimKey,
        /// Whether it gave its devices back, which others may want.
        is_freed: bool,
    },
    /// A class of devices came, or changed.
    DeviceClass,
    /// A driver offers something else.
    DeviceSlice,
}

impl Event {
    /// As upstream's metrics call it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NodeAdded => "NodeAdd",
            Self::NodeAllocatable => "NodeUpdateNodeAllocatable",
            Self::NodeLabels => "NodeUpdateNodeLabel",
            Self::NodeTaints => "NodeUpdateNodeTaint",
            // Upstream sees a cordon as a taint, which the node controller sets.
            Self::NodeUnschedulable => "NodeUpdateNodeTaint",
            Self::PodAssigned => "AssignedPodAdd",
            Self::PodRemoved => "AssignedPodDelete",
            Self::PodLabels => "AssignedPodUpdatePodLabel",
            Self::PodScaledDown => "AssignedPodUpdatePodScaleDown",
            Self::NamespaceLabels => "NamespaceUpdate",
            Self::ClaimAdded(_) => "PersistentVolumeClaimAdd",
            Self::ClaimUpdated(_) => "PersistentVolumeClaimUpdate",
            Self::VolumeAdded => "PersistentVolumeAdd",
            Self::VolumeUpdated { .. } => "PersistentVolumeUpdate",
            Self::ClassAdded => "storage.k8s.io/StorageClassAdd",
            Self::ClassTopologies => "storage.k8s.io/StorageClassUpdate",
            Self::CsiNodeAdded => "storage.k8s.io/CSINodeAdd",
            Self::CsiNodeUpdated => "storage.k8s.io/CSINodeUpdate",
            Self::StorageUntracked => "storage.k8s.io/CSIDriverUpdate",
            Self::StorageGrown => "storage.k8s.io/CSIStorageCapacityUpdate",
            Self::VolumeDetached => "storage.k8s.io/VolumeAttachmentDelete",
            Self::DeviceClaim { .. } => "resource.k8s.io/ResourceClaimUpdate",
            Self::DeviceClass => "resource.k8s.io/DeviceClassUpdate",
            Self::DeviceSlice => "resource.k8s.io/ResourceSliceUpdate",
        }
    }

    /// Whether it can matter to this pod at all, whatever rejected it.
    pub fn is_about(&self, pod: &Pod) -> bool {
        match self {
            Self::ClaimAdded(key) | Self::ClaimUpdated(key) => pod.claims().any(|claim| claim == key),
            Self::DeviceClaim { key, is_freed } => {
                *is_freed || pod.device_claims.iter().any(|made| made.key() == Some(key))
            }
            _ => true,
        }
    }
}

/// Filter, with PreFilter: which nodes can take a pod at all.
pub trait Filter: Send + Sync + std::fmt::Debug {
    /// Its name in configurations and metrics.
    fn name(&self) -> &'static str;

    /// Whether it has anything to say about the pod; upstream's `Skip`.
    fn concerns(&self, _cluster: &Cluster, _pod: &Pod) -> bool {
        true
    }

    /// Rejects the pod as such, wherever it might go, in upstream's words: its PreFilter. Driving
    /// pods away does not help then.
    fn admit(&self, _cluster: &Cluster, _pod: &Pod) -> Result<(), String> {
        Ok(())
    }

    /// Rejects nodes.
    fn filter(&self, cluster: &Cluster, pod: &Pod, candidates: &mut Candidates);

    /// Whether the event may make a node acceptable that it rejected: upstream's queueing hint.
    fn is_woken_by(&self, event: &Event) -> bool;
}

/// Score, with PreScore and NormalizeScore: which of the possible nodes is best.
pub trait Score: Send + Sync + std::fmt::Debug {
    /// Its name in configurations and metrics.
    fn name(&self) -> &'static str;

    /// Whether it has anything to say about the pod.
    fn concerns(&self, _cluster: &Cluster, _pod: &Pod) -> bool {
        true
    }

    /// Writes each node's score, 0 to [`MAX_SCORE`].
    fn score(&self, cluster: &Cluster, pod: &Pod, nodes: &[NodeId], scores: &mut [i64]);
}

/// How raw scores become scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The highest raw score is best.
    HigherIsBetter,
    /// The lowest is.
    LowerIsBetter,
}

/// Scales raw scores of zero and more to 0 to [`MAX_SCORE`].
pub fn normalize(scores: &mut [i64], direction: Direction) {
    let highest = scores.iter().copied().max().unwrap_or(0);
    for score in scores {
        let scaled = if highest > 0 { *score * MAX_SCORE / highest } else { 0 };
        *score = match direction {
            Direction::HigherIsBetter => scaled,
            Direction::LowerIsBetter => MAX_SCORE - scaled,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_scaled() {
        let table: [(&[i64], Direction, &[i64]); 4] = [
            (&[0, 5, 10], Direction::HigherIsBetter, &[0, 50, 100]),
            (&[0, 5, 10], Direction::LowerIsBetter, &[100, 50, 0]),
            (&[0, 0], Direction::HigherIsBetter, &[0, 0]),
            (&[0, 0], Direction::LowerIsBetter, &[100, 100]),
        ];
        for (raw, direction, expected) in table {
            let mut scores = raw.to_vec();
            normalize(&mut scores, direction);
            assert_eq!(scores, expected);
        }
    }
}
