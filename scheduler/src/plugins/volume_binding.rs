//! A pod's claims are bound to volumes that its node reaches; those that wait for their first pod
//! are matched with free volumes, or have one made for the node.
//!
//! Upstream: `pkg/scheduler/framework/plugins/volumebinding`.

mod matching;

use crate::cluster::Cluster;
use crate::framework::{Candidates, Event, Filter, Rejection, Remedy};
use crate::model::selector::Labels;
use crate::model::storage::{BindingMode, Claim, Class, Storage, Volume};
use crate::model::volumes::{ClaimKey, Origin, PodVolume};
use crate::model::{NodeId, Pod};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The plugin.
#[derive(Debug)]
pub(super) struct VolumeBinding;

/// Its name, which its PreBind needs too.
pub(crate) const NAME: &str = "VolumeBinding";
const NOT_REACHED: &str = "node(s) didn't match PersistentVolume's node affinity";
const NO_MATCH: &str = "node(s) didn't find available persistent volumes to bind";
const NO_SPACE: &str = "node(s) did not have enough free storage";
const VOLUME_GONE: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";

/// What is to be done about a pod's volumes on one node before it can be bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Free volumes, and the claims that get them.
    pub bindings: Vec<(Arc<Volume>, Arc<Claim>)>,
    /// Claims for which a volume is to be made.
    pub provisions: Vec<Arc<Claim>>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.bindings.is_empty() && self.provisions.is_empty()
    }
}

impl Filter for VolumeBinding {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concerns(&self, _cluster: &Cluster, pod: &Pod) -> bool {
        pod.claims().next().is_some()
    }

    fn admit(&self, cluster: &Cluster, pod: &Pod) -> Result<(), String> {
        pod.volumes.iter().try_for_each(|volume| check(&cluster.storage, pod, volume))?;
        match Wanted::of(&cluster.storage, pod).is_waiting {
            true => Err("pod has unbound immediate PersistentVolumeClaims".to_owned()),
            false => Ok(()),
        }
    }

    fn filter(&self, cluster: &Cluster, pod: &Pod, candidates: &mut Candidates) {
        let wanted = Wanted::of(&cluster.storage, pod);
        candidates.retain(NAME, |node| wanted.plan(cluster, node).map(drop));
    }

    fn is_woken_by(&self, event: &Event) -> bool {
        matches!(
            event,
            Event::NodeAdded
                | Event::NodeLabels
                | Event::ClaimAdded(_)
                | Event::ClaimUpdated(_)
                | Event::VolumeAdded
                | Event::VolumeUpdated { .. }
                | Event::ClassAdded
                | Event::ClassTopologies
                | Event::CsiNodeAdded
                | Event::StorageUntracked
                | Event::StorageGrown
        )
    }
}

/// What is to be done about the pod's volumes on the node; nothing, if a volume does not allow it.
pub(crate) fn plan(cluster: &Cluster, pod: &Pod, node: NodeId) -> Plan {
    if pod.claims().next().is_none() {
        return Plan::default();
    }
    Wanted::of(&cluster.storage, pod).plan(cluster, node).unwrap_or_default()
}

/// That a claim does not exist, in upstream's words.
pub(crate) fn not_found(key: &ClaimKey) -> String {
    format!("persistentvolumeclaim {:?} not found", &*key.name)
}

/// Whether a volume's claim is in a state in which the pod can be placed at all.
fn check(storage: &Storage, pod: &Pod, volume: &PodVolume) -> Result<(), String> {
    let PodVolume::Claim { key, origin } = volume else { return Ok(()) };
    let name = &*key.name;
    let Some(claim) = storage.shown_claim(key) else {
        return Err(match origin {
            Origin::Named => not_found(key),
            Origin::Ephemeral => {
                format!("waiting for ephemeral volume controller to create the persistentvolumeclaim {name:?}")
            }
        });
    };
    if claim.is_lost {
        let volume = &claim.volume;
        return Err(format!("persistentvolumeclaim {name:?} bound to non-existent persistentvolume {volume:?}"));
    }
    if claim.is_terminating {
        return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
    }
    if *origin == Origin::Ephemeral && claim.owner.as_deref() != Some(&pod.uid) {
        return Err(format!("PVC {key} was not created for pod {} (pod is not owner)", pod.key()));
    }
    Ok(())
}

/// A pod's claims by what is still to be done about them.
#[derive(Debug, Default)]
struct Wanted<'c> {
    /// Volumes of the claims that are bound; `None` for those that do not exist.
    bound: Vec<Option<&'c Arc<Volume>>>,
    /// Claims that wait for their pod, the smallest first, and the volumes of their class.
    late: Vec<Late<'c>>,
    /// Whether a claim has to be bound by somebody else first.
    is_waiting: bool,
}

#[derive(Debug)]
struct Late<'c> {
    claim: &'c Arc<Claim>,
    class: &'c Class,
    volumes: Vec<&'c Arc<Volume>>,
}

impl<'c> Wanted<'c> {
    fn of(storage: &'c Storage, pod: &Pod) -> Self {
        let mut wanted = Self::default();
        for claim in pod.claims().filter_map(|key| storage.claim(key)) {
            let class = storage.classes.get(&claim.class);
            let late = class.filter(|class| class.mode == BindingMode::WaitForFirstConsumer && claim.volume.is_empty());
            match late {
                _ if claim.is_bound => wanted.bound.push(storage.volume(&claim.volume)),
                Some(class) => {
                    let volumes = storage.volumes_of(&claim.class).collect();
                    wanted.late.push(Late { claim, class, volumes });
                }
                None => wanted.is_waiting = true,
            }
        }
        wanted.late.sort_by_key(|late| late.claim.demand.size);
        wanted
    }

    fn plan(&self, cluster: &Cluster, node: NodeId) -> Result<Plan, Rejection> {
        let labels = &cluster.nodes.labels[node as usize];
        let mut reasons: SmallVec<[Cow<'static, str>; 1]> = SmallVec::new();
        // The first volume that does not do says why.
        match self.bound.iter().find(|volume| volume.is_none_or(|volume| !volume.is_reached_from(labels))) {
            Some(Some(_)) => reasons.push(NOT_REACHED.into()),
            Some(None) => reasons.push(VOLUME_GONE.into()),
            None => {}
        }
        match self.plan_late(cluster, node) {
            Ok(plan) if reasons.is_empty() => return Ok(plan),
            Ok(_) => {}
            Err(reason) => reasons.push(reason.into()),
        }
        Err(Rejection { reasons, remedy: Remedy::None })
    }

    fn plan_late(&self, cluster: &Cluster, node: NodeId) -> Result<Plan, &'static str> {
        let labels = &cluster.nodes.labels[node as usize];
        let name = &**cluster.nodes.name(node);
        let is_elsewhere = |late: &Late<'_>| late.claim.selected_node.as_deref().is_some_and(|node| node != name);
        if self.late.iter().any(is_elsewhere) {
            return Err(NO_MATCH);
        }
        let mut plan = Plan::default();
        let mut chosen: BTreeSet<&str> = BTreeSet::new();
        let mut to_make = Vec::new();
        for late in &self.late {
            // Its volume is being made already.
            let is_selected = late.claim.selected_node.is_some();
            let free = late.volumes.iter().copied().filter(|volume| !chosen.contains(volume.name.as_str()));
            match matching::find(late.claim, free, labels).filter(|_| !is_selected) {
                Some(volume) => {
                    chosen.insert(&volume.name);
                    plan.bindings.push((Arc::clone(volume), Arc::clone(late.claim)));
                }
                None => to_make.push(late),
            }
        }
        for late in to_make {
            can_be_made(&cluster.storage, late, labels)?;
            plan.provisions.push(Arc::clone(late.claim));
        }
        Ok(plan)
    }
}

/// Whether a volume can be made for a node with these labels.
fn can_be_made(storage: &Storage, late: &Late<'_>, labels: &Labels) -> Result<(), &'static str> {
    if !late.class.provisions() || !late.class.allows(labels) {
        return Err(NO_MATCH);
    }
    let Some(size) = late.claim.demand.size else { return Ok(()) };
    if !storage.tracked_drivers.contains(&late.class.provisioner) {
        return Ok(());
    }
    let mut capacities = storage.capacities.values().filter(|capacity| capacity.class == late.claim.class);
    let has_room = capacities.any(|capacity| {
        capacity.largest.is_some_and(|largest| largest >= size)
            && capacity.topology.as_ref().is_some_and(|topology| topology.matches(labels))
    });
    if has_room { Ok(()) } else { Err(NO_SPACE) }
}

#[cfg(test)]
mod tests;
