//! One pod's admission: its containers get their devices one after the other.
//!
//! Upstream: `Allocate`, `GetTopologyHints`, `GetPodTopologyHints` of `pkg/kubelet/cm/devicemanager`.

use super::ledger::Ids;
use super::{AllocateError, Devices};
use crate::placement::hints::{Hints, Mask};
use crate::pod::{PodExt, is_sidecar};
use crate::resources::requests::{self, Side};
use k8s_openapi::api::core::v1::{Container, Pod};
use std::collections::BTreeMap;

/// While it lasts no other pod gets devices.
pub struct Turn<'d> {
    pub(super) devices: &'d Devices,
    pub(super) _alone: tokio::sync::MutexGuard<'d, ()>,
    /// The pod ran before this kubelet did.
    pub(super) runs: bool,
    /// What init containers leave to those that come after.
    pub(super) reusable: BTreeMap<String, Ids>,
}

impl Turn<'_> {
    /// From which of the machine's nodes a container can have its devices.
    pub fn hints(&self, pod: &Pod, container: &Container, machine: &[usize]) -> Hints {
        let wanted = self.devices.wanted(pod, container);
        self.of(wanted, (pod.uid(), Some(&container.name)), &self.reusable, machine)
    }

    /// From which of the machine's nodes all containers of a pod can have theirs.
    pub fn pod_hints(&self, pod: &Pod, machine: &[usize]) -> Hints {
        let all = pod.init_containers().iter().chain(&PodExt::spec(pod).containers);
        let ours: Ids = all.flat_map(|c| self.devices.wanted(pod, c)).map(|(name, _)| name).collect();
        let sums = requests::of_pod(pod, Side::Limits);
        let amount = |name: &str| sums.get(name).and_then(|sum| usize::try_from(sum.value()).ok()).unwrap_or(0);
        let wanted = ours.into_iter().map(|name| (name.clone(), amount(&name))).collect();
        self.of(wanted, (pod.uid(), None), &BTreeMap::new(), machine)
    }

    fn of(
        &self,
        wanted: Vec<(String, usize)>,
        owner: (&str, Option<&str>),
        reusable: &BTreeMap<String, Ids>,
        machine: &[usize],
    ) -> Hints {
        let (ledger, none) = (self.devices.0.ledger.lock(), Ids::new());
        let hints = |(resource, count): (String, usize)| {
            let reusable = reusable.get(&resource).unwrap_or(&none);
            Some((resource.clone(), ledger.hints(owner, &resource, count, reusable, machine)?))
        };
        wanted.into_iter().filter_map(hints).collect()
    }

    /// Chooses a container's devices, from these nodes if possible, and has their plugins prepare them. Init containers
    /// leave theirs to those that come after; sidecars keep theirs.
    ///
    /// # Errors
    /// Not all can be had.
    pub async fn allocate(
        &mut self,
        pod: &Pod,
        container: &Container,
        nodes: Option<Mask>,
    ) -> Result<(), AllocateError> {
        self.devices.allocate_container(pod, container, (&self.reusable, nodes), self.runs).await?;
        let granted = self.devices.0.ledger.lock().all_granted(pod.uid(), &container.name);
        let leaves = pod.init_containers().iter().any(|c| c.name == container.name && !is_sidecar(c));
        for (name, ids) in granted {
            let left = self.reusable.entry(name).or_default();
            if leaves {
                left.extend(ids);
            } else {
                left.retain(|id| !ids.contains(id));
            }
        }
        Ok(())
    }
}
