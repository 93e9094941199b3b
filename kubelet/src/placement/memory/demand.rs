//! How much memory containers and pods ask for.
//!
//! Upstream: `getContainerRequestedResources`, `getPodRequestedResources` of `policy_static.go`.

use super::machine::MEMORY;
use crate::pod::{PodExt, is_sidecar};
use crate::resources::Amount;
use crate::resources::requests::{self, Side};
use k8s_openapi::api::core::v1::{Container, Pod};
use std::collections::BTreeMap;

/// Bytes by resource: `memory`, `hugepages-2Mi`, …
pub type Bytes = BTreeMap<String, u64>;

/// Whether the manager has to do with a resource.
pub fn is_memory(resource: &str) -> bool {
    resource == MEMORY || resource.starts_with("hugepages-")
}

/// What a container asks for.
pub fn of_container(container: &Container) -> Bytes {
    let all = [Side::Requests, Side::Limits].into_iter().filter_map(|side| requests::quantities(container, side));
    let names = all.flat_map(|of| of.keys()).filter(|name| is_memory(name));
    let bytes = |name: &str| requests::amount(container, Side::Requests, name).map_or(0, Amount::value);
    names.map(|name| (name.clone(), u64::try_from(bytes(name)).unwrap_or(0))).collect()
}

/// What a pod asks for: of what runs at the same time, the most.
pub fn of_pod(pod: &Pod) -> Bytes {
    let (mut before, mut sidecars) = (Bytes::new(), Bytes::new());
    for container in pod.init_containers() {
        for (name, bytes) in of_container(container) {
            let kept = sidecars.entry(name.clone()).or_default();
            if is_sidecar(container) {
                *kept = kept.saturating_add(bytes);
            } else {
                let most = before.entry(name).or_default();
                *most = (*most).max(kept.saturating_add(bytes));
            }
        }
    }
    let mut main = Bytes::new();
    for (name, bytes) in PodExt::spec(pod).containers.iter().flat_map(of_container) {
        let sum = main.entry(name).or_default();
        *sum = sum.saturating_add(bytes);
    }
    let of = |map: &Bytes, name: &str| map.get(name).copied().unwrap_or(0);
    for (name, sum) in &mut main {
        *sum = sum.saturating_add(of(&sidecars, name)).max(of(&before, name));
    }
    main
}
