//! In-place resize: what the containers of a pod are granted may lag behind what its spec asks for,
//! and what the runtime gives them behind that.
//!
//! A change of the spec's resources is granted when the node has room for it beside the other pods;
//! until then the pod runs with what it was granted before.
//!
//! Upstream: `pkg/kubelet/allocation`.

pub mod allocations;
pub mod apply;
pub mod metrics;

pub use allocations::Allocations;
pub use apply::Applied;

use crate::node::Facts;
use crate::pod::PodExt;
use crate::resources::Amount;
use crate::workers::admission;
use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The resources of each container of a pod, by name.
pub type Resources = BTreeMap<String, ResourceRequirements>;

/// The condition of a change that is not granted yet.
pub const PENDING: &str = "PodResizePending";
/// The condition of a change that is granted and not in effect yet.
pub const IN_PROGRESS: &str = "PodResizeInProgress";

/// Why a change is not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `Deferred` or `Infeasible`.
    pub reason: &'static str,
    pub message: String,
}

/// Where a pod's change stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// A change that is not granted.
    pub pending: Option<Refusal>,
    /// A change that is granted and not in effect: what is in the way, if anything is.
    pub progress: Option<Progress>,
}

/// How a change that is granted gets on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is about to be made.
    Going,
    /// It could not be made yet.
    Failed(String),
}

/// What the pod's containers ask for. Only ordinary containers and sidecars can be resized.
pub fn wanted(pod: &Pod) -> Resources {
    resizable(pod).map(|c| (c.name.clone(), c.resources.clone().unwrap_or_default())).collect()
}

fn resizable(pod: &Pod) -> impl Iterator<Item = &Container> {
    let sidecars = pod.init_containers().iter().filter(|c| crate::pod::is_sidecar(c));
    PodExt::spec(pod).containers.iter().chain(sidecars)
}

/// The pod with these resources instead of those of its spec.
pub fn with(pod: &Arc<Pod>, granted: &Resources) -> Arc<Pod> {
    if wanted(pod).iter().all(|(name, r)| granted.get(name).is_none_or(|g| g == r)) {
        return pod.clone();
    }
    let mut pod = Pod::clone(pod);
    if let Some(spec) = pod.spec.as_mut() {
        for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
            if let Some(resources) = granted.get(&container.name) {
                container.resources = Some(resources.clone());
            }
        }
    }
    Arc::new(pod)
}

/// Whether any container asks for other amounts of processors than it was granted.
pub fn changes_cpu(granted: &Resources, wanted: &Resources) -> bool {
    let cpu = |resources: &Resources, name: &str| {
        let get = |all: &Option<BTreeMap<String, Quantity>>| all.as_ref()?.get("cpu").map(Amount::of);
        resources.get(name).map(|r| (get(&r.requests), get(&r.limits)))
    };
    wanted.keys().any(|name| cpu(granted, name) != cpu(wanted, name))
}

/// Whether the node grants what the pod asks for now, beside the other pods.
pub fn judge(pod: &Pod, others: &[Arc<Pod>], node: &Facts) -> Result<(), Refusal> {
    if pod.is_static() {
        let message = "In-place resize of static-pods is not supported".to_owned();
        return Err(Refusal { reason: "Infeasible", message });
    }
    admission::fits_resources(pod, others, node).map_err(|r| Refusal { reason: "Deferred", message: r.message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::requests::tests as fixture;

    fn pod(cpu: &str) -> Arc<Pod> {
        Arc::new(fixture::pod(vec![], vec![fixture::container("c", &[("cpu", cpu)], &[])]))
    }

    #[test]
    fn what_was_granted_takes_the_place_of_what_is_asked_for() {
        let (before, after) = (pod("1"), pod("2"));
        let got = with(&after, &wanted(&before));
        assert_eq!(wanted(&got), wanted(&before));
        assert!(Arc::ptr_eq(&with(&after, &wanted(&after)), &after));
    }

    #[test]
    fn what_of_a_change_is_of_processors() {
        assert!(changes_cpu(&wanted(&pod("1")), &wanted(&pod("2"))));
        assert!(!changes_cpu(&wanted(&pod("1")), &wanted(&pod("1000m"))));
    }

    #[test]
    fn a_change_needs_room() {
        let allocatable = [("cpu".to_owned(), Amount::whole(3))].into();
        let node = Facts { allocatable, ..Facts::default() };
        assert_eq!(judge(&pod("2"), &[pod("1")], &node), Ok(()));
        let refusal = judge(&pod("3"), &[pod("1")], &node).unwrap_err();
        assert_eq!(refusal.reason, "Deferred");
        assert_eq!(
            refusal.message,
            "Node didn't have enough resource: cpu, requested: 3000, used: 1000, capacity: 3000"
        );
    }
}
