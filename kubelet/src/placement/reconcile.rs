//! Tells the runtime where containers that run may run now, as what is shared shrinks and grows.
//!
//! Upstream: `reconcileState` of `pkg/kubelet/cm/cpumanager/cpu_manager.go`.

use super::cpuset::CpuSet;
use super::manager::Placement;
use crate::pod::PodExt;
use crate::runtime::Runtime;
use crate::status::StatusWriter;
use crate::workers::Workers;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use std::collections::BTreeMap;
use std::time::Duration;

/// Runs for ever; give it to the supervisor.
pub async fn run(placement: Placement, workers: Workers, statuses: StatusWriter, runtime: Runtime, every: Duration) {
    let mut told = BTreeMap::new();
    let mut again = tokio::time::interval(every);
    again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        again.tick().await;
        let pods = workers.active();
        let mut wanted = BTreeMap::new();
        for pod in &pods {
            if let Some(status) = statuses.get(pod.uid()) {
                wanted.extend(affinities(&placement, pod, &status));
            }
        }
        told.retain(|id, _| wanted.contains_key(id));
        for (id, cpus) in changes(&told, wanted) {
            match runtime.update_cpuset(&id, &cpus.to_string()).await {
                Ok(()) => drop(told.insert(id, cpus)),
                Err(error) => tracing::warn!(id, %cpus, %error, "failed to update container"),
            }
        }
    }
}

/// Where the running containers of a pod may run, by their ids.
fn affinities(placement: &Placement, pod: &Pod, status: &PodStatus) -> Vec<(String, CpuSet)> {
    let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let running = all.filter_map(|container| Some((running_id(container)?, &container.name)));
    let affinity = |(id, name): (String, &String)| (id, placement.affinity(pod.uid(), name));
    running.map(affinity).filter(|(_, cpus)| !cpus.is_empty()).collect()
}

fn running_id(container: &ContainerStatus) -> Option<String> {
    container.state.as_ref()?.running.as_ref()?;
    let (_, id) = container.container_id.as_deref()?.split_once("://")?;
    Some(id.to_owned())
}

/// What the runtime has not been told yet.
fn changes(told: &BTreeMap<String, CpuSet>, wanted: BTreeMap<String, CpuSet>) -> Vec<(String, CpuSet)> {
    wanted.into_iter().filter(|(id, cpus)| told.get(id) != Some(cpus)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{ContainerState, ContainerStateRunning};

    #[test]
    fn only_what_runs_is_told_and_only_once() {
        let set = |text: &str| CpuSet::parse(text).unwrap();
        let told = BTreeMap::from([("a".to_owned(), set("0-3")), ("b".to_owned(), set("0-3"))]);
        let wanted = BTreeMap::from([("a".to_owned(), set("0-1")), ("b".to_owned(), set("0-3"))]);
        assert_eq!(changes(&told, wanted), [("a".to_owned(), set("0-1"))]);
        let running = ContainerState { running: Some(ContainerStateRunning::default()), ..ContainerState::default() };
        let container = |state| ContainerStatus {
            container_id: Some("containerd://x".into()),
            state: Some(state),
            ..ContainerStatus::default()
        };
        assert_eq!(running_id(&container(running)).as_deref(), Some("x"));
        assert_eq!(running_id(&container(ContainerState::default())), None);
    }
}
