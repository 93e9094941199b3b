//! The container that a pod asks for.

use super::{images, labels, security};
use crate::pod::PodExt;
use crate::resources::Amount;
use crate::resources::linux::{self, CPU_PERIOD, LinuxResources};
use crate::resources::memory::{Extra, MemoryRules};
use k8s_openapi::api::core::v1::{Container, Pod};
use proto::cri;
use std::collections::{BTreeMap, HashMap};

/// Whether a mount moves between the node and the container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    /// Mounts stay where they are made.
    #[default]
    Private,
    /// The container sees the node's later mounts.
    FromHost,
    /// And the node sees the container's.
    Both,
}

/// A folder or file of the node, or an image, inside a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    pub container_path: String,
    pub host_path: String,
    pub read_only: bool,
    pub propagation: Propagation,
    /// Instead of the path of the node.
    pub image: Option<MountedImage>,
}

/// An image whose files a container sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountedImage {
    /// What was pulled.
    pub id: String,
    /// As the pod names it.
    pub reference: String,
    /// The folder of it that is shown; empty for all.
    pub sub_path: String,
}

/// What a container needs beyond the pod.
#[derive(Clone, Debug, Default)]
pub struct ContainerInput {
    pub image_ref: String,
    pub image_user: (Option<i64>, String),
    pub command: Vec<String>,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub mounts: Vec<Mount>,
    /// Host path, container path, permissions.
    pub devices: Vec<(String, String, String)>,
    /// Those of plugins; the kubelet's own win.
    pub annotations: BTreeMap<String, String>,
    pub cdi_devices: Vec<String>,
    pub restart_count: u32,
    /// The node's memory, from which the OOM score follows.
    pub node_memory: Amount,
    pub enforce_quota: bool,
    /// The processors that it may run on; empty for all.
    pub cpus: String,
    /// The NUMA nodes that its memory is from; empty for any.
    pub memory_nodes: String,
    /// The container whose processes an ephemeral container sees.
    pub target: Option<String>,
    /// Whether it has the runtime's seccomp profile if it says nothing of one.
    pub seccomp_default: bool,
    pub memory: MemoryRules,
}

/// The configuration of one container.
pub fn container_config(pod: &Pod, container: &Container, input: &ContainerInput) -> cri::ContainerConfig {
    let image = container.image.as_deref().unwrap_or_default();
    let user = (input.image_user.0, input.image_user.1.as_str());
    let target = input.target.as_deref();
    cri::ContainerConfig {
        metadata: Some(cri::ContainerMetadata { name: container.name.clone(), attempt: input.restart_count }),
        // What was pulled, whatever the name points to by now.
        image: Some(cri::ImageSpec { image: input.image_ref.clone(), ..images::spec(image) }),
        command: input.command.clone(),
        args: input.args.clone(),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        envs: input.env.iter().map(|(k, v)| cri::KeyValue { key: k.clone(), value: v.clone().into_bytes() }).collect(),
        mounts: input.mounts.iter().map(mount).collect(),
        devices: input.devices.iter().map(device).collect(),
        labels: labels::container_labels(pod, container),
        annotations: annotations(pod, container, input),
        log_path: format!("{}/{}.log", container.name, input.restart_count),
        stdin: container.stdin == Some(true),
        stdin_once: container.stdin_once == Some(true),
        tty: container.tty == Some(true),
        linux: Some(cri::LinuxContainerConfig {
            resources: Some(resources(pod, container, input)),
            security_context: Some(security::container_context(pod, container, user, target, input.seccomp_default)),
        }),
        cdi_devices: input.cdi_devices.iter().map(|name| cri::CdiDevice { name: name.clone() }).collect(),
        stop_signal: 0,
    }
}

fn annotations(pod: &Pod, container: &Container, input: &ContainerInput) -> HashMap<String, String> {
    let given = input.annotations.iter().map(|(k, v)| (k.clone(), v.clone()));
    given.chain(labels::container_annotations(pod, container, input.restart_count)).collect()
}

/// What the pod as a whole may use, for runtimes that size a sandbox by it.
pub fn pod_resources(pod: &Pod) -> cri::LinuxContainerResources {
    to_cri(&linux::of_pod(pod, true))
}

/// The limits of a container that runs. Here nothing is said by 0, and no limit by -1.
pub fn changed_resources(container: &Container, enforce_quota: bool, extra: Extra) -> cri::LinuxContainerResources {
    let r = linux::of_container(container, enforce_quota);
    let unlimited = |value: Option<i64>| value.map(|v| if v == 0 { -1 } else { v });
    let changed = LinuxResources { quota: unlimited(r.quota), memory: unlimited(r.memory), ..r };
    // Swap with it: more memory than memory and swap together is refused.
    with_memory(to_cri(&changed), extra)
}

fn resources(pod: &Pod, container: &Container, input: &ContainerInput) -> cri::LinuxContainerResources {
    cri::LinuxContainerResources {
        oom_score_adj: linux::oom_score(pod, container, input.node_memory),
        cpuset_cpus: input.cpus.clone(),
        cpuset_mems: input.memory_nodes.clone(),
        ..with_memory(to_cri(&linux::of_container(container, input.enforce_quota)), input.memory.of(pod, container))
    }
}

fn with_memory(resources: cri::LinuxContainerResources, extra: Extra) -> cri::LinuxContainerResources {
    let limit = resources.memory_limit_in_bytes;
    cri::LinuxContainerResources {
        unified: extra.unified.into_iter().collect(),
        memory_swap_limit_in_bytes: if extra.no_swap_above_memory { limit } else { 0 },
        ..resources
    }
}

fn to_cri(r: &LinuxResources) -> cri::LinuxContainerResources {
    cri::LinuxContainerResources {
        cpu_shares: r.shares.unwrap_or(0),
        cpu_quota: r.quota.unwrap_or(0),
        cpu_period: r.quota.map_or(0, |_| CPU_PERIOD),
        memory_limit_in_bytes: r.memory.unwrap_or(0),
        ..Default::default()
    }
}

fn mount(m: &Mount) -> cri::Mount {
    let propagation = match m.propagation {
        Propagation::Private => cri::MountPropagation::PropagationPrivate,
        Propagation::FromHost => cri::MountPropagation::PropagationHostToContainer,
        Propagation::Both => cri::MountPropagation::PropagationBidirectional,
    };
    cri::Mount {
        container_path: m.container_path.clone(),
        host_path: m.host_path.clone(),
        readonly: m.read_only,
        propagation: propagation.into(),
        image: m.image.as_ref().map(|i| cri::ImageSpec { image: i.id.clone(), ..images::spec(&i.reference) }),
        image_sub_path: m.image.as_ref().map(|i| i.sub_path.clone()).unwrap_or_default(),
        ..Default::default()
    }
}

fn device((host, container, permissions): &(String, String, String)) -> cri::Device {
    cri::Device { host_path: host.clone(), container_path: container.clone(), permissions: permissions.clone() }
}

/// The folder of a pod's logs: `<root>/<namespace>_<name>_<uid>`.
pub fn log_directory(root: &str, pod: &Pod) -> String {
    format!("{root}/{}_{}_{}", pod.namespace(), pod.name(), pod.uid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::requests::tests as fixture;

    #[test]
    fn names_logs_and_resources() {
        let container = fixture::container("c", &[], &[("cpu", "500m"), ("memory", "1Mi")]);
        let pod = fixture::pod(vec![], vec![container.clone()]);
        let input = ContainerInput { restart_count: 2, enforce_quota: true, ..ContainerInput::default() };
        let got = container_config(&pod, &container, &input);
        assert_eq!(got.log_path, "c/2.log");
        let linux = got.linux.unwrap().resources.unwrap();
        assert_eq!((linux.cpu_shares, linux.cpu_quota, linux.cpu_period), (512, 50_000, 100_000));
        assert_eq!((linux.memory_limit_in_bytes, linux.oom_score_adj), (1 << 20, -997));
    }
}
