//! The driver's node service.

use super::{Call, Service};
use proto::csi::node_server::Node;
use proto::csi::node_service_capability::{self, Rpc};
use proto::csi::volume_usage::Unit;
use proto::csi::*;
use std::path::Path;
use tonic::{Request, Response, Status};

impl Service {
    /// Notes the call; its failure where a test wants one.
    fn note(&self, call: Call) -> Result<(), Status> {
        let mut state = self.state.lock();
        let failure = state.failures.get_mut(call.name()).and_then(std::collections::VecDeque::pop_front);
        state.calls.push(call);
        failure.map_or(Ok(()), Err)
    }

    /// The folder of a volume, if this driver has volumes.
    fn folder(&self, id: &str) -> Result<Option<std::path::PathBuf>, Status> {
        if id.is_empty() || id.contains('/') || id.starts_with('.') {
            return Err(Status::invalid_argument("that is no volume"));
        }
        Ok(self.options.volumes.as_ref().map(|volumes| volumes.join(id)))
    }
}

fn internal(e: impl std::fmt::Display) -> Status {
    Status::internal(e.to_string())
}

/// Runs `mount` or `umount`.
async fn run(program: &str, arguments: &[&Path]) -> Result<(), Status> {
    let done = tokio::process::Command::new(program).args(arguments).output().await.map_err(internal)?;
    match done.status.success() {
        true => Ok(()),
        false => Err(internal(String::from_utf8_lossy(&done.stderr))),
    }
}

/// Whether something is mounted there.
fn is_mounted(path: &Path) -> bool {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().any(|line| line.split(' ').nth(4).is_some_and(|point| Path::new(point) == path))
}

#[tonic::async_trait]
impl Node for Service {
    async fn node_stage_volume(
        &self,
        request: Request<NodeStageVolumeRequest>,
    ) -> Result<Response<NodeStageVolumeResponse>, Status> {
        let request = request.into_inner();
        let folder = self.folder(&request.volume_id);
        self.note(Call::Stage(request))?;
        if let Some(folder) = folder? {
            std::fs::create_dir_all(folder).map_err(internal)?;
        }
        Ok(Response::new(NodeStageVolumeResponse {}))
    }

    async fn node_unstage_volume(
        &self,
        request: Request<NodeUnstageVolumeRequest>,
    ) -> Result<Response<NodeUnstageVolumeResponse>, Status> {
        self.note(Call::Unstage(request.into_inner()))?;
        Ok(Response::new(NodeUnstageVolumeResponse {}))
    }

    async fn node_publish_volume(
        &self,
        request: Request<NodePublishVolumeRequest>,
    ) -> Result<Response<NodePublishVolumeResponse>, Status> {
        let request = request.into_inner();
        self.note(Call::Publish(request.clone()))?;
        let target = Path::new(&request.target_path);
        if matches!(&request.volume_capability, Some(c) if matches!(c.access_type, Some(volume_capability::AccessType::Block(_))))
        {
            std::fs::write(target, "").map_err(internal)?;
            return Ok(Response::new(NodePublishVolumeResponse {}));
        }
        std::fs::create_dir_all(target).map_err(internal)?;
        if let Some(folder) = self.folder(&request.volume_id)?.filter(|_| !is_mounted(target)) {
            std::fs::create_dir_all(&folder).map_err(internal)?;
            run("mount", &[Path::new("--bind"), &folder, target]).await?;
            if request.readonly {
                run("mount", &[Path::new("-o"), Path::new("remount,bind,ro"), target]).await?;
            }
        }
        Ok(Response::new(NodePublishVolumeResponse {}))
    }

    async fn node_unpublish_volume(
        &self,
        request: Request<NodeUnpublishVolumeRequest>,
    ) -> Result<Response<NodeUnpublishVolumeResponse>, Status> {
        let request = request.into_inner();
        self.note(Call::Unpublish(request.clone()))?;
        let target = Path::new(&request.target_path);
        if is_mounted(target) {
            run("umount", &[target]).await?;
        }
        let done = if target.is_dir() { std::fs::remove_dir(target) } else { std::fs::remove_file(target) };
        match done {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(internal(e)),
            _ => Ok(Response::new(NodeUnpublishVolumeResponse {})),
        }
    }

    async fn node_get_volume_stats(
        &self,
        request: Request<NodeGetVolumeStatsRequest>,
    ) -> Result<Response<NodeGetVolumeStatsResponse>, Status> {
        self.note(Call::Stats(request.into_inner()))?;
        let usage = |unit: Unit, total| VolumeUsage { available: total / 2, total, used: total / 4, unit: unit.into() };
        let usage = vec![usage(Unit::Bytes, 4000), usage(Unit::Inodes, 400)];
        Ok(Response::new(NodeGetVolumeStatsResponse { usage, volume_condition: None }))
    }

    async fn node_expand_volume(
        &self,
        request: Request<NodeExpandVolumeRequest>,
    ) -> Result<Response<NodeExpandVolumeResponse>, Status> {
        let request = request.into_inner();
        let capacity_bytes = request.capacity_range.map_or(0, |range| range.required_bytes);
        self.note(Call::Expand(request))?;
        Ok(Response::new(NodeExpandVolumeResponse { capacity_bytes }))
    }

    async fn node_get_capabilities(
        &self,
        _: Request<NodeGetCapabilitiesRequest>,
    ) -> Result<Response<NodeGetCapabilitiesResponse>, Status> {
        let able = self.options.capabilities.iter().map(|able| NodeServiceCapability {
            r#type: Some(node_service_capability::Type::Rpc(Rpc { r#type: (*able).into() })),
        });
        Ok(Response::new(NodeGetCapabilitiesResponse { capabilities: able.collect() }))
    }

    async fn node_get_info(&self, _: Request<NodeGetInfoRequest>) -> Result<Response<NodeGetInfoResponse>, Status> {
        let topology = &self.options.topology;
        Ok(Response::new(NodeGetInfoResponse {
            node_id: self.options.node_id.clone(),
            max_volumes_per_node: self.options.limit,
            accessible_topology: (!topology.is_empty()).then(|| Topology { segments: topology.clone() }),
        }))
    }
}
