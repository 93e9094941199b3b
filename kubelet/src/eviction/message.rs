//! What an evicted pod's status says.

use super::measure::PodUsage;
use super::thresholds::Threshold;
use super::{Observation, Resource};
use crate::pod::PodExt;
use crate::resources::requests::{self, Side};
use k8s_openapi::api::core::v1::Pod;
use std::fmt::Write as _;

/// The message of a pod that has to go because of `threshold`.
pub fn pressure(threshold: &Threshold, seen: &Observation, pod: &Pod, usage: Option<&PodUsage>) -> String {
    let resource = threshold.signal.resource();
    let mut text = format!("The node was low on resource: {}. ", resource.name());
    let (wanted, available) = (threshold.wanted(seen.capacity), seen.available);
    let _ = write!(
        text,
        "Threshold quantity: {}, available: {}. ",
        quantity(resource, wanted),
        quantity(resource, available)
    );
    for (name, used) in usage.iter().flat_map(|u| u.containers(resource)) {
        let spec = PodExt::spec(pod).containers.iter().chain(pod.init_containers()).find(|c| c.name == name);
        let Some(container) = spec else { continue };
        let requested = requests::quantities(container, Side::Requests).and_then(|q| q.get(resource.name()));
        let least = requested.map_or(0, |q| crate::resources::Amount::of(q).value());
        if used > least {
            let (used, requested) = (binary(used), requested.map_or("0", |q| q.0.as_str()));
            let _ = write!(
                text,
                "Container {name} was using {used}, request is {requested}, has larger consumption of {}. ",
                resource.name()
            );
        }
    }
    text
}

/// The message of a pod with a volume that has grown too large.
pub fn empty_dir(volume: &str, limit: &str) -> String {
    format!("Usage of EmptyDir volume {volume:?} exceeds the limit {limit:?}. ")
}

/// The message of a pod whose containers use more disk than they may all together.
pub fn pod_storage(limit: i64) -> String {
    format!("Pod ephemeral local storage usage exceeds the total limit of containers {}. ", binary(limit))
}

/// The message of a pod with a container that uses more disk than it may.
pub fn container_storage(container: &str, limit: &str) -> String {
    format!("Container {container} exceeded its local ephemeral storage limit {limit:?}. ")
}

fn quantity(resource: Resource, amount: i64) -> String {
    match resource {
        Resource::Memory | Resource::Disk => binary(amount),
        Resource::Inodes | Resource::Pids => amount.to_string(),
    }
}

/// An amount as a quantity with the largest binary suffix that keeps it whole.
fn binary(amount: i64) -> String {
    let suffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let mut rest = amount;
    let mut power = 0;
    while rest != 0 && rest % 1024 == 0 && power + 1 < suffixes.len() {
        rest /= 1024;
        power += 1;
    }
    format!("{rest}{}", suffixes[power])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Threshold as Limit;
    use crate::eviction::Signal;
    use crate::eviction::measure::ContainerUsage;
    use crate::resources::requests::tests as fixture;

    #[test]
    fn binary_suffixes() {
        let cases = [(0, "0"), (1, "1"), (1024, "1Ki"), (1536, "1536"), (100 << 20, "100Mi"), (3 << 30, "3Gi")];
        for (amount, want) in cases {
            assert_eq!(binary(amount), want);
        }
    }

    #[test]
    fn upstreams_words() {
        let threshold = Threshold {
            signal: Signal::MemoryAvailable,
            limit: Limit::parse("100Mi").unwrap(),
            grace: None,
            reclaim: None,
        };
        let pod = fixture::pod(
            vec![],
            vec![
                fixture::container("big", &[("memory", "1Mi")], &[]),
                fixture::container("small", &[("memory", "8Mi")], &[]),
            ],
        );
        let container = |name: &str, memory| ContainerUsage { name: name.into(), memory, disk: 0 };
        let usage =
            PodUsage { each: vec![container("big", 2 << 20), container("small", 2 << 20)], ..PodUsage::default() };
        let seen = Observation { available: 50 << 20, capacity: 1 << 30 };
        assert_eq!(
            pressure(&threshold, &seen, &pod, Some(&usage)),
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. \
             Container big was using 2Mi, request is 1Mi, has larger consumption of memory. "
        );
    }
}
