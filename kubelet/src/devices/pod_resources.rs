//! The pod resources API: what pods have, for monitoring agents on the node.
//!
//! Upstream: `pkg/kubelet/apis/podresources`.

use super::Devices;
use super::metrics::Question;
use crate::dra::Dra;
use crate::placement::{Placement, cpuset::CpuSet, memory::machine::Block};
use crate::plugins::socket;
use crate::pod::{PodExt, is_sidecar};
use crate::rate::Rate;
use k8s_openapi::api::core::v1::Pod;
use proto::podresources as api;
use proto::podresources::pod_resources_lister_server::{PodResourcesLister, PodResourcesListerServer};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use tokio::net::UnixListener;
use tonic::{Request, Response, Status};

const PER_SECOND: u32 = 100;
const BURST: u32 = 10;

/// Takes the socket below `--root-dir`.
///
/// # Errors
/// The folder cannot be made or written.
pub fn listen(root: &Path) -> io::Result<UnixListener> {
    let folder = root.join("pod-resources");
    std::fs::DirBuilder::new().recursive(true).mode(0o750).create(&folder)?;
    let socket = folder.join("kubelet.sock");
    match std::fs::remove_file(&socket) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    UnixListener::bind(socket)
}

/// Serves for ever; give it to the supervisor. `active` tells the pods that use the node's resources.
pub async fn serve(
    listener: UnixListener,
    devices: Devices,
    dra: Dra,
    placement: Placement,
    active: impl Fn() -> Vec<Arc<Pod>> + Send + Sync + 'static,
) {
    let lister = Lister { devices, dra, placement, active, rate: Rate::new(PER_SECOND, BURST) };
    socket::serve(listener, PodResourcesListerServer::new(lister)).await;
    tracing::error!("the pod resources API is not served any more");
}

struct Lister<F> {
    devices: Devices,
    dra: Dra,
    placement: Placement,
    active: F,
    rate: Rate,
}

impl<F: Fn() -> Vec<Arc<Pod>>> Lister<F> {
    /// Counts a question, unless there are too many.
    fn asked(&self, question: Question) -> Result<(), Status> {
        self.admit()?;
        self.devices.counts().asked(question);
        Ok(())
    }

    fn admit(&self) -> Result<(), Status> {
        if self.rate.admits() { Ok(()) } else { Err(Status::resource_exhausted("rejected by rate limit")) }
    }

    fn of_pod(&self, pod: &Pod) -> api::PodResources {
        let sidecars = pod.init_containers().iter().filter(|c| is_sidecar(c));
        let containers = sidecars.chain(&PodExt::spec(pod).containers).map(|c| api::ContainerResources {
            name: c.name.clone(),
            devices: self.devices.listed(pod.uid(), &c.name),
            dynamic_resources: self.dra.listed(pod, c),
            cpu_ids: numbers(&self.placement.own(pod.uid(), &c.name)),
            memory: memory(self.placement.memory().blocks(pod.uid(), &c.name)),
        });
        api::PodResources {
            name: pod.name().to_owned(),
            namespace: pod.namespace().to_owned(),
            containers: containers.collect(),
        }
    }
}

fn memory(blocks: Vec<Block>) -> Vec<api::ContainerMemory> {
    let node = |id: usize| api::NumaNode { id: i64::try_from(id).unwrap_or(i64::MAX) };
    let one = |block: Block| api::ContainerMemory {
        memory_type: block.resource,
        size: block.size,
        topology: Some(api::TopologyInfo { nodes: block.numa_affinity.into_iter().map(node).collect() }),
    };
    blocks.into_iter().map(one).collect()
}

fn numbers(cpus: &CpuSet) -> Vec<i64> {
    cpus.iter().filter_map(|cpu| i64::try_from(cpu).ok()).collect()
}

#[tonic::async_trait]
impl<F: Fn() -> Vec<Arc<Pod>> + Send + Sync + 'static> PodResourcesLister for Lister<F> {
    async fn list(
        &self,
        _: Request<api::ListPodResourcesRequest>,
    ) -> Result<Response<api::ListPodResourcesResponse>, Status> {
        self.asked(Question::List)?;
        let pod_resources = (self.active)().iter().map(|pod| self.of_pod(pod)).collect();
        Ok(Response::new(api::ListPodResourcesResponse { pod_resources }))
    }

    async fn get_allocatable_resources(
        &self,
        _: Request<api::AllocatableResourcesRequest>,
    ) -> Result<Response<api::AllocatableResourcesResponse>, Status> {
        self.asked(Question::Allocatable)?;
        let (devices, cpu_ids) = (self.devices.all_listed(), numbers(&self.placement.allocatable()));
        let memory = memory(self.placement.memory().allocatable());
        Ok(Response::new(api::AllocatableResourcesResponse { devices, cpu_ids, memory }))
    }

    async fn get(
        &self,
        request: Request<api::GetPodResourcesRequest>,
    ) -> Result<Response<api::GetPodResourcesResponse>, Status> {
        self.asked(Question::Get)?;
        let api::GetPodResourcesRequest { pod_name, pod_namespace } = request.into_inner();
        let found = (self.active)().into_iter().find(|p| p.name() == pod_name && p.namespace() == pod_namespace);
        let missing = || Status::unknown(format!("pod {pod_name} in namespace {pod_namespace} not found"));
        let pod: Arc<Pod> = found.ok_or_else(missing).inspect_err(|_| self.devices.counts().failed(Question::Get))?;
        let pod_resources = Some(self.of_pod(&pod));
        Ok(Response::new(api::GetPodResourcesResponse { pod_resources }))
    }
}
