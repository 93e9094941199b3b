//! Gives a pod its devices, processors and memory, container by container, close together if that is wanted.
//!
//! Upstream: `pkg/kubelet/cm/topologymanager/{scope,scope_container,scope_pod,scope_none}.go`.

use super::alignment::{Alignment, Scope};
use super::hints::{Hint, Hints};
use super::manager::Placement;
use super::merge::{Merger, Policy};
use crate::devices::{Devices, Turn};
use crate::pod::PodExt;
use crate::workers::admission::Rejection;
use k8s_openapi::api::core::v1::{Container, Pod};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// The resource of the CPU manager's hints.
const CPU: &str = "cpu";

impl Placement {
    /// Gives all containers of a pod what they are to have for themselves. `runs` says that the pod ran before this
    /// kubelet did.
    ///
    /// # Errors
    /// It cannot be had: the pod fails.
    pub async fn admit(&self, devices: &Devices, pod: &Pod, runs: bool) -> Result<(), Rejection> {
        let counts = self.counts();
        let started = Instant::now();
        counts.admissions.fetch_add(1, Ordering::Relaxed);
        // What hints promise must not be given to another pod in between.
        let _alone = match self.alignment() {
            Alignment::None => None,
            Alignment::To(..) => Some(self.turn().lock().await),
        };
        let turn = if devices.concern(pod) { Some(devices.turn(runs).await) } else { None };
        let mut admission = Admission { placement: self, pod, devices: turn };
        let admitted = match self.alignment() {
            Alignment::None => admission.unaligned().await,
            Alignment::To(Scope::Container, merger) => admission.by_container(merger).await,
            Alignment::To(Scope::Pod, merger) => admission.as_whole(merger).await,
        };
        counts.duration.observe(started.elapsed().as_secs_f64() * 1000.0);
        admitted
    }
}

/// One pod's.
struct Admission<'a> {
    placement: &'a Placement,
    pod: &'a Pod,
    /// `None`: the pod asks for no devices.
    devices: Option<Turn<'a>>,
}

impl Admission<'_> {
    async fn unaligned(&mut self) -> Result<(), Rejection> {
        for container in containers(self.pod) {
            self.allocate(container, Hint::default()).await?;
        }
        Ok(())
    }

    async fn by_container(&mut self, merger: &Merger) -> Result<(), Rejection> {
        for container in containers(self.pod) {
            let (hint, admitted) = merger.merge(&self.hints(container, &merger.ids()));
            if !admitted {
                return Err(self.misaligned(merger, Scope::Container));
            }
            let allocated = self.allocate(container, hint).await;
            allocated.inspect_err(|_| self.count_error())?;
            self.count_aligned(merger, Scope::Container);
        }
        Ok(())
    }

    async fn as_whole(&mut self, merger: &Merger) -> Result<(), Rejection> {
        let (hint, admitted) = merger.merge(&self.pod_hints(&merger.ids()));
        if !admitted {
            return Err(self.misaligned(merger, Scope::Pod));
        }
        for container in containers(self.pod) {
            let allocated = self.allocate(container, hint).await;
            allocated.inspect_err(|_| self.count_error())?;
        }
        self.count_aligned(merger, Scope::Pod);
        Ok(())
    }

    fn hints(&self, container: &Container, nodes: &[usize]) -> [Hints; 3] {
        let cpus = self.placement.policy().and_then(|policy| policy.lock().hints(self.pod, container));
        let devices = self.devices.as_ref().map(|devices| devices.hints(self.pod, container, nodes));
        [devices.unwrap_or_default(), of_cpus(cpus), self.placement.memory().hints(self.pod, container)]
    }

    fn pod_hints(&self, nodes: &[usize]) -> [Hints; 3] {
        let cpus = self.placement.policy().and_then(|policy| policy.lock().pod_hints(self.pod));
        let devices = self.devices.as_ref().map(|devices| devices.pod_hints(self.pod, nodes));
        [devices.unwrap_or_default(), of_cpus(cpus), self.placement.memory().pod_hints(self.pod)]
    }

    async fn allocate(&mut self, container: &Container, hint: Hint) -> Result<(), Rejection> {
        if let Some(devices) = &mut self.devices {
            devices.allocate(self.pod, container, hint.nodes).await.map_err(|error| unexpected(&error))?;
        }
        self.placement.allocate(self.pod, container, hint.nodes)?;
        self.placement.memory().allocate(self.pod, container, hint).map_err(|error| unexpected(&error))
    }

    fn misaligned(&self, merger: &Merger, scope: Scope) -> Rejection {
        self.count_error();
        if merger.policy == Policy::SingleNode {
            self.placement.counts().misaligned.of(scope).fetch_add(1, Ordering::Relaxed);
        }
        let message = "Resources cannot be allocated with Topology locality".to_owned();
        Rejection { reason: "TopologyAffinityError".to_owned(), message }
    }

    fn count_error(&self) {
        self.placement.counts().admission_errors.fetch_add(1, Ordering::Relaxed);
    }

    fn count_aligned(&self, merger: &Merger, scope: Scope) {
        if merger.policy == Policy::SingleNode {
            self.placement.counts().aligned.of(scope).fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    pod.init_containers().iter().chain(&PodExt::spec(pod).containers)
}

fn of_cpus(hints: Option<Vec<Hint>>) -> Hints {
    hints.map(|hints| (CPU.to_owned(), hints)).into_iter().collect()
}

/// An error that is none of the topology manager's or the CPU manager's own.
pub(super) fn unexpected(error: &dyn std::error::Error) -> Rejection {
    let message = format!("Allocate failed due to {error}, which is unexpected");
    Rejection { reason: "UnexpectedAdmissionError".into(), message }
}

#[cfg(test)]
mod tests {
    use super::super::manager::{Machine, Placement};
    use super::super::metrics::PlacementMetrics;
    use crate::config::KubeletConfiguration;
    use crate::devices::Devices;
    use crate::placement::memory::reserved::MemoryReservation;
    use crate::resources::Amount;
    use crate::resources::requests::tests as fixture;
    use component::{Gates, Supervisor};
    use k8s_openapi::api::core::v1::Pod;
    use std::collections::BTreeMap;
    use std::path::Path;

    /// A /sys with two NUMA nodes of four processors and a GiB.
    fn write_machine(sys: &Path) {
        let write = |file: &str, text: &str| {
            let file = sys.join("devices/system").join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        write("cpu/online", "0-7");
        for (node, cpus) in [(0, "0-3"), (1, "4-7")] {
            write(&format!("node/node{node}/cpulist"), cpus);
            write(&format!("node/node{node}/meminfo"), "Node MemTotal: 1048576 kB");
        }
        for cpu in 0..8 {
            write(&format!("cpu/cpu{cpu}/topology/physical_package_id"), &(cpu / 4).to_string());
            write(&format!("cpu/cpu{cpu}/topology/thread_siblings_list"), &cpu.to_string());
        }
    }

    fn placement(root: &Path, policy: &str, scope: &str) -> Placement {
        write_machine(&root.join("sys"));
        let mut config = KubeletConfiguration {
            cpu_manager_policy: "static".into(),
            memory_manager_policy: "Static".into(),
            topology_manager_policy: policy.into(),
            topology_manager_scope: scope.into(),
            ..KubeletConfiguration::default()
        };
        config.kube_reserved.insert("cpu".into(), "1".into());
        let limits = BTreeMap::from([("memory".to_owned(), "1Mi".to_owned())]);
        config.reserved_memory.push(MemoryReservation { numa_node: 0, limits });
        let held_back = BTreeMap::from([("memory".to_owned(), Amount::whole(1 << 20))]);
        let machine = Machine { sys: &root.join("sys"), memory: 0, held_back: &held_back };
        Placement::load(root, &config, &Gates::default(), machine).unwrap()
    }

    fn pod(uid: &str, containers: &[(&str, &str)]) -> Pod {
        let of = |(at, (cpu, memory)): (usize, &(&str, &str))| {
            fixture::container(&format!("c{at}"), &[], &[("cpu", cpu), ("memory", memory)])
        };
        let mut pod = fixture::pod(vec![], containers.iter().enumerate().map(of).collect());
        pod.metadata.uid = Some(uid.to_owned());
        pod
    }

    /// What becomes of a pod, and where its containers are.
    async fn admit(placement: &Placement, root: &Path, pod: &Pod) -> String {
        let devices = Devices::load(root, Supervisor::new(), |_| ());
        match placement.admit(&devices, pod, false).await {
            Err(rejection) => format!("{}: {}", rejection.reason, rejection.message),
            Ok(()) => {
                let uid = pod.metadata.uid.as_deref().unwrap();
                let place =
                    |name: &str| format!("{}@{}", placement.own(uid, name), placement.memory().nodes(uid, name));
                pod.spec.iter().flat_map(|spec| &spec.containers).map(|c| place(&c.name)).collect::<Vec<_>>().join(" ")
            }
        }
    }

    #[tokio::test]
    async fn processors_follow_the_memory() {
        let root = tempfile::tempdir().unwrap();
        let placement = placement(root.path(), "single-numa-node", "container");
        // Node 0 has processors left, but not so much memory.
        assert_eq!(admit(&placement, root.path(), &pod("a", &[("1", "900Mi")])).await, "1@0");
        assert_eq!(admit(&placement, root.path(), &pod("b", &[("2", "500Mi")])).await, "4-5@1");
        let refused = "TopologyAffinityError: Resources cannot be allocated with Topology locality";
        assert_eq!(admit(&placement, root.path(), &pod("c", &[("3", "500Mi")])).await, refused);
        let mut registry = component::metrics::Registry::default();
        registry.register_collector(Box::new(PlacementMetrics(placement)));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "kubelet_topology_manager_admission_requests_total 3",
            "kubelet_topology_manager_admission_errors_total 1",
            "kubelet_topology_manager_admission_duration_ms_count 3",
            "kubelet_memory_manager_pinning_requests_total 2",
            "kubelet_container_aligned_compute_resources_count{scope=\"container\",boundary=\"numa_node\"} 2",
            "kubelet_container_aligned_compute_resources_failure_count{scope=\"container\",boundary=\"numa_node\"} 1",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
    }

    #[tokio::test]
    async fn a_pod_as_a_whole() {
        let refused = "TopologyAffinityError: Resources cannot be allocated with Topology locality";
        for (policy, scope, want) in [
            ("single-numa-node", "container", "1-2@0 4-6@1"),
            ("single-numa-node", "pod", refused),
            // The memory alone would have been closer together.
            ("restricted", "pod", refused),
            ("best-effort", "pod", "1-2@0-1 3-5@0-1"),
            ("none", "pod", "1-2@0 3-5@0"),
        ] {
            let root = tempfile::tempdir().unwrap();
            let placement = placement(root.path(), policy, scope);
            let pod = pod("a", &[("2", "10Mi"), ("3", "10Mi")]);
            assert_eq!(admit(&placement, root.path(), &pod).await, want, "{policy} {scope}");
        }
    }
}
