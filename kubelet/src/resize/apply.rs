//! What has to be done to running containers so that they have what they were granted.

use crate::pod::PodExt;
use crate::resources::linux::LinuxResources;
use crate::runtime::PodRecord;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodStatus, ResourceRequirements};
use std::collections::{HashMap, HashSet};

/// What running containers have, by container id.
pub type Applied = HashMap<String, ResourceRequirements>;

/// A change to one running container.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    pub id: String,
    pub container: Container,
    /// Whether it has to be restarted for it, by its own policy.
    pub restart: bool,
}

/// Notes what containers have that were not known yet: what the last status says, else what the pod
/// was granted; and forgets those that are gone.
pub fn note(applied: &mut Applied, record: &PodRecord, status: &PodStatus, granted: &Pod) {
    let running: HashSet<&str> = record.running().map(|c| c.id.as_str()).collect();
    applied.retain(|id, _| running.contains(id.as_str()));
    for c in record.running().filter(|c| !applied.contains_key(&c.id)).collect::<Vec<_>>() {
        let told = statuses(status).find(|s| s.container_id.as_deref().is_some_and(|id| id.ends_with(&c.id)));
        let asked = || granted.container(&c.name).and_then(|c| c.resources);
        let has = told.and_then(|s| s.resources.clone()).or_else(asked).unwrap_or_default();
        applied.insert(c.id.clone(), has);
    }
}

fn statuses(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    status.container_statuses.iter().chain(&status.init_container_statuses).flatten()
}

/// What differs from what the pod was granted.
pub fn updates(pod: &Pod, record: &PodRecord, applied: &Applied) -> Vec<Update> {
    let differs = |c: &crate::runtime::ContainerRecord| {
        let container = super::resizable(pod).find(|s| s.name == c.name)?;
        let has = applied.get(&c.id)?;
        let changed: Vec<&str> = ["cpu", "memory"]
            .into_iter()
            .filter(|name| amounts(has, name) != amounts(&wants(container), name))
            .collect();
        let restart = changed.iter().any(|name| restarts(container, name));
        (!changed.is_empty()).then(|| Update { id: c.id.clone(), container: container.clone(), restart })
    };
    record.running().filter_map(differs).collect()
}

fn wants(container: &Container) -> ResourceRequirements {
    container.resources.clone().unwrap_or_default()
}

fn amounts(r: &ResourceRequirements, name: &str) -> [Option<i64>; 2] {
    [&r.requests, &r.limits].map(|list| Some(crate::resources::Amount::of(list.as_ref()?.get(name)?).milli_value()))
}

fn restarts(container: &Container, resource: &str) -> bool {
    let policies = container.resize_policy.iter().flatten();
    policies.into_iter().any(|p| p.resource_name == resource && p.restart_policy == "RestartContainer")
}

/// Limits under which both the old and the new limits of containers are possible: a group's limit
/// may not be below those of the groups in it.
pub fn between(old: &LinuxResources, new: &LinuxResources) -> LinuxResources {
    let wider = |a: Option<i64>, b: Option<i64>| match (a, b) {
        (Some(a), Some(b)) if a > 0 && b > 0 => Some(a.max(b)),
        (None, None) => None,
        _ => Some(-1),
    };
    LinuxResources {
        shares: old.shares.max(new.shares),
        quota: wider(old.quota, new.quota),
        memory: wider(old.memory, new.memory),
        pids: new.pids,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::requests::tests as fixture;
    use crate::runtime::{ContainerRecord, ContainerState};
    use k8s_openapi::api::core::v1::ContainerResizePolicy;

    fn pod(cpu: &str, memory: &str) -> Pod {
        let mut c = fixture::container("c", &[("cpu", cpu), ("memory", memory)], &[]);
        let policy = |name: &str, restart: &str| ContainerResizePolicy {
            resource_name: name.into(),
            restart_policy: restart.into(),
        };
        c.resize_policy = Some(vec![policy("cpu", "NotRequired"), policy("memory", "RestartContainer")]);
        fixture::pod(vec![], vec![c])
    }

    fn record() -> PodRecord {
        let c =
            ContainerRecord { id: "1".into(), name: "c".into(), state: ContainerState::Running, ..Default::default() };
        PodRecord { containers: vec![c], ..PodRecord::default() }
    }

    #[test]
    fn what_differs() {
        let before = pod("1", "1Mi");
        let mut applied = Applied::new();
        note(&mut applied, &record(), &PodStatus::default(), &before);
        for (after, want) in [
            (pod("1", "1Mi"), None),
            (pod("1000m", "1024Ki"), None),
            (pod("2", "1Mi"), Some(false)),
            (pod("1", "2Mi"), Some(true)),
        ] {
            let got = updates(&after, &record(), &applied);
            assert_eq!(got.first().map(|u| u.restart), want);
        }
        note(&mut applied, &PodRecord::default(), &PodStatus::default(), &before);
        assert!(applied.is_empty());
    }

    #[test]
    fn what_the_last_status_says_counts() {
        let resources = pod("1", "1Mi").spec.unwrap().containers[0].resources.clone();
        let told =
            ContainerStatus { container_id: Some("containerd://1".into()), resources, ..ContainerStatus::default() };
        let status = PodStatus { container_statuses: Some(vec![told]), ..PodStatus::default() };
        let mut applied = Applied::new();
        note(&mut applied, &record(), &status, &pod("2", "1Mi"));
        assert_eq!(updates(&pod("2", "1Mi"), &record(), &applied).len(), 1);
    }

    #[test]
    fn the_wider_limit_holds_meanwhile() {
        let limits = |quota, memory| LinuxResources { quota, memory, ..LinuxResources::default() };
        let got = between(&limits(Some(1000), Some(5)), &limits(Some(2000), None));
        assert_eq!((got.quota, got.memory), (Some(2000), Some(-1)));
        assert_eq!(between(&limits(None, None), &limits(None, None)), LinuxResources::default());
    }
}
