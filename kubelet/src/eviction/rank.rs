//! Who goes first.

use super::Resource;
use super::measure::PodUsage;
use crate::pod::PodExt;
use crate::resources::requests::{self, Side};
use k8s_openapi::api::core::v1::Pod;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

/// Orders pods for eviction: first those of which nothing is known, then those that use more than
/// they request, the less important before the more important, the greedier before the modest.
pub fn order(pods: &mut [Arc<Pod>], usage: &HashMap<String, PodUsage>, resource: Resource) {
    pods.sort_by_cached_key(|pod| {
        let Some(used) = usage.get(pod.uid()).and_then(|u| u.of(resource)) else {
            return (0, false, i32::MIN, Reverse(i64::MAX));
        };
        let requested = requested(pod, resource);
        let exceeds = matches!(resource, Resource::Memory | Resource::Disk | Resource::Inodes) && used > requested;
        (1, !exceeds, priority(pod), Reverse(used.saturating_sub(requested)))
    });
}

/// What the pod is guaranteed of a resource. Inodes and processes cannot be requested.
fn requested(pod: &Pod, resource: Resource) -> i64 {
    match resource {
        Resource::Memory | Resource::Disk => {
            requests::of_pod(pod, Side::Requests).get(resource.name()).map_or(0, |a| a.value())
        }
        Resource::Inodes | Resource::Pids => 0,
    }
}

fn priority(pod: &Pod) -> i32 {
    PodExt::spec(pod).priority.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::requests::tests as fixture;

    fn pod(name: &str, memory: &str, priority: i32) -> Arc<Pod> {
        let mut pod = fixture::pod(vec![], vec![fixture::container("c", &[("memory", memory)], &[])]);
        pod.metadata.uid = Some(name.into());
        pod.spec.as_mut().unwrap().priority = Some(priority);
        Arc::new(pod)
    }

    #[test]
    fn the_order_of_memory() {
        let mut pods = [
            pod("modest", "100", 0),
            pod("important and greedy", "0", 10),
            pod("greedy", "10", 0),
            pod("greediest", "0", 0),
            pod("unknown", "0", 100),
            pod("within its request", "1000", 0),
        ];
        let used = [
            ("modest", 101),
            ("important and greedy", 900),
            ("greedy", 500),
            ("greediest", 600),
            ("within its request", 999),
        ];
        let usage = used.map(|(name, memory)| {
            let usage = PodUsage { memory: Some(memory), ..PodUsage::default() };
            (name.to_owned(), usage)
        });
        order(&mut pods, &usage.into(), Resource::Memory);
        let names: Vec<_> = pods.iter().map(|p| p.uid().to_owned()).collect();
        let want = ["unknown", "greediest", "greedy", "modest", "important and greedy", "within its request"];
        assert_eq!(names, want);
    }
}
