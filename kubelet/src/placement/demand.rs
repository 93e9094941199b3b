//! How many processors containers and pods are to have for themselves.
//!
//! Upstream: `guaranteedCPUs`, `podGuaranteedCPUs` of `pkg/kubelet/cm/cpumanager/policy_static.go`.

use crate::pod::{PodExt, is_sidecar};
use crate::resources::requests::{self, Side};
use crate::resources::{Amount, QosClass};
use k8s_openapi::api::core::v1::{Container, Pod};

/// Whole processors that a container of a guaranteed pod asks for; 0 for all others, which share.
pub fn own_cpus(pod: &Pod, container: &Container) -> usize {
    if QosClass::of(pod) != QosClass::Guaranteed {
        return 0;
    }
    requests::amount(container, Side::Requests, "cpu").and_then(whole).unwrap_or(0)
}

fn whole(amount: Amount) -> Option<usize> {
    let milli = amount.milli_value();
    usize::try_from(milli / 1000).ok().filter(|_| milli % 1000 == 0)
}

/// Of a pod: of what runs at the same time, the most.
pub fn own_cpus_of_pod(pod: &Pod) -> usize {
    let (mut sidecars, mut most) = (0, 0);
    for container in pod.init_containers() {
        let own = own_cpus(pod, container);
        if is_sidecar(container) {
            sidecars += own;
        } else {
            most = most.max(sidecars + own);
        }
    }
    let main: usize = PodExt::spec(pod).containers.iter().map(|c| own_cpus(pod, c)).sum();
    most.max(main + sidecars)
}

/// Whether the pod as a whole says what it needs. Its containers share then: `PodLevelResourceManagers` is off.
pub fn is_pod_level(pod: &Pod) -> bool {
    let Some(resources) = &PodExt::spec(pod).resources else { return false };
    let names = resources.requests.iter().chain(&resources.limits).flat_map(|all| all.keys());
    names.into_iter().any(|name| matches!(name.as_str(), "cpu" | "memory") || name.starts_with("hugepages-"))
}
