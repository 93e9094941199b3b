//! The runtime service.

use super::Service;
use super::state::{FakeContainer, FakeSandbox, State, now};
use futures::stream::Empty;
use proto::cri::runtime_service_server::RuntimeService;
use proto::cri::{self, ContainerState, PodSandboxState};
use std::collections::HashMap;
use tonic::{Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;

fn ok<T>(value: T) -> Answer<T> {
    Ok(Response::new(value))
}

fn not_found(id: &str) -> Status {
    Status::not_found(format!("{id} not found"))
}

fn unimplemented<T>() -> Answer<T> {
    Err(Status::unimplemented("not in this runtime"))
}

fn selected(labels: &HashMap<String, String>, selector: &HashMap<String, String>) -> bool {
    selector.iter().all(|(k, v)| labels.get(k) == Some(v))
}

#[tonic::async_trait]
impl RuntimeService for Service {
    type GetContainerEventsStream = Empty<Result<cri::ContainerEventResponse, Status>>;

    async fn version(&self, _: Request<cri::VersionRequest>) -> Answer<cri::VersionResponse> {
        let (name, version) = ("fake".to_owned(), "1.0.0".to_owned());
        ok(cri::VersionResponse { runtime_name: name, runtime_version: version, ..Default::default() })
    }

    async fn status(&self, _: Request<cri::StatusRequest>) -> Answer<cri::StatusResponse> {
        self.state.lock().check("Status")?;
        let condition =
            |kind: &str| cri::RuntimeCondition { r#type: kind.to_owned(), status: true, ..Default::default() };
        let conditions = vec![condition("RuntimeReady"), condition("NetworkReady")];
        ok(cri::StatusResponse { status: Some(cri::RuntimeStatus { conditions }), ..Default::default() })
    }

    async fn run_pod_sandbox(&self, request: Request<cri::RunPodSandboxRequest>) -> Answer<cri::RunPodSandboxResponse> {
        let config = request.into_inner().config.unwrap_or_default();
        let mut state = self.state.lock();
        state.check("RunPodSandbox")?;
        let (id, created_at) = state.new_id("s");
        state.calls.push(("RunPodSandbox", config.metadata.clone().unwrap_or_default().name));
        let ip = format!("10.0.0.{}", state.sandboxes.len() + 1);
        state.sandboxes.insert(id.clone(), FakeSandbox { config, ready: true, ip, created_at });
        ok(cri::RunPodSandboxResponse { pod_sandbox_id: id })
    }

    async fn stop_pod_sandbox(
        &self,
        request: Request<cri::StopPodSandboxRequest>,
    ) -> Answer<cri::StopPodSandboxResponse> {
        let id = request.into_inner().pod_sandbox_id;
        let mut state = self.state.lock();
        state.check("StopPodSandbox")?;
        state.containers.values_mut().filter(|c| c.sandbox == id).for_each(|c| c.end(137));
        state.sandboxes.get_mut(&id).ok_or_else(|| not_found(&id))?.ready = false;
        ok(cri::StopPodSandboxResponse {})
    }

    async fn remove_pod_sandbox(
        &self,
        request: Request<cri::RemovePodSandboxRequest>,
    ) -> Answer<cri::RemovePodSandboxResponse> {
        let id = request.into_inner().pod_sandbox_id;
        let mut state = self.state.lock();
        state.containers.retain(|_, c| c.sandbox != id);
        state.sandboxes.remove(&id).ok_or_else(|| not_found(&id))?;
        ok(cri::RemovePodSandboxResponse {})
    }

    async fn pod_sandbox_status(
        &self,
        request: Request<cri::PodSandboxStatusRequest>,
    ) -> Answer<cri::PodSandboxStatusResponse> {
        let id = request.into_inner().pod_sandbox_id;
        let state = self.state.lock();
        let sandbox = state.sandboxes.get(&id).ok_or_else(|| not_found(&id))?;
        ok(cri::PodSandboxStatusResponse { status: Some(sandbox_status(&id, sandbox)), ..Default::default() })
    }

    async fn list_pod_sandbox(
        &self,
        request: Request<cri::ListPodSandboxRequest>,
    ) -> Answer<cri::ListPodSandboxResponse> {
        let selector = request.into_inner().filter.unwrap_or_default().label_selector;
        let state = self.state.lock();
        state.check("ListPodSandbox")?;
        let wanted = state.sandboxes.iter().filter(|(_, s)| selected(&s.config.labels, &selector));
        let items = wanted.map(|(id, s)| cri::PodSandbox {
            id: id.clone(),
            metadata: s.config.metadata.clone(),
            state: sandbox_state(s),
            created_at: s.created_at,
            labels: s.config.labels.clone(),
            ..Default::default()
        });
        ok(cri::ListPodSandboxResponse { items: items.collect() })
    }

    async fn create_container(
        &self,
        request: Request<cri::CreateContainerRequest>,
    ) -> Answer<cri::CreateContainerResponse> {
        let request = request.into_inner();
        let mut state = self.state.lock();
        state.check("CreateContainer")?;
        let sandbox = request.pod_sandbox_id;
        if !state.sandboxes.contains_key(&sandbox) {
            return Err(not_found(&sandbox));
        }
        let (id, created_at) = state.new_id("c");
        let container = FakeContainer {
            sandbox,
            config: request.config.unwrap_or_default(),
            state: ContainerState::ContainerCreated,
            created_at,
            started_at: 0,
            finished_at: 0,
            exit_code: 0,
        };
        state.calls.push(("CreateContainer", container.name().to_owned()));
        state.containers.insert(id.clone(), container);
        ok(cri::CreateContainerResponse { container_id: id })
    }

    async fn start_container(
        &self,
        request: Request<cri::StartContainerRequest>,
    ) -> Answer<cri::StartContainerResponse> {
        let id = request.into_inner().container_id;
        let mut state = self.state.lock();
        state.check("StartContainer")?;
        let container = find(&mut state, &id)?;
        (container.state, container.started_at) = (ContainerState::ContainerRunning, now());
        let name = container.name().to_owned();
        state.calls.push(("StartContainer", name));
        ok(cri::StartContainerResponse {})
    }

    async fn stop_container(&self, request: Request<cri::StopContainerRequest>) -> Answer<cri::StopContainerResponse> {
        let request = request.into_inner();
        let mut state = self.state.lock();
        state.check("StopContainer")?;
        let container = find(&mut state, &request.container_id)?;
        container.end(if request.timeout == 0 { 137 } else { 143 });
        let name = container.name().to_owned();
        state.calls.push(("StopContainer", name));
        ok(cri::StopContainerResponse {})
    }

    async fn remove_container(
        &self,
        request: Request<cri::RemoveContainerRequest>,
    ) -> Answer<cri::RemoveContainerResponse> {
        let id = request.into_inner().container_id;
        self.state.lock().containers.remove(&id).ok_or_else(|| not_found(&id))?;
        ok(cri::RemoveContainerResponse {})
    }

    async fn list_containers(
        &self,
        request: Request<cri::ListContainersRequest>,
    ) -> Answer<cri::ListContainersResponse> {
        let selector = request.into_inner().filter.unwrap_or_default().label_selector;
        let state = self.state.lock();
        let wanted = state.containers.iter().filter(|(_, c)| selected(&c.config.labels, &selector));
        let containers = wanted.map(|(id, c)| cri::Container {
            id: id.clone(),
            pod_sandbox_id: c.sandbox.clone(),
            metadata: c.config.metadata.clone(),
            image: c.config.image.clone(),
            state: c.state.into(),
            created_at: c.created_at,
            labels: c.config.labels.clone(),
            annotations: c.config.annotations.clone(),
            ..Default::default()
        });
        ok(cri::ListContainersResponse { containers: containers.collect() })
    }

    async fn container_status(
        &self,
        request: Request<cri::ContainerStatusRequest>,
    ) -> Answer<cri::ContainerStatusResponse> {
        let id = request.into_inner().container_id;
        let mut state = self.state.lock();
        let status = container_status(&id, find(&mut state, &id)?);
        ok(cri::ContainerStatusResponse { status: Some(status), ..Default::default() })
    }

    async fn exec_sync(&self, request: Request<cri::ExecSyncRequest>) -> Answer<cri::ExecSyncResponse> {
        let request = request.into_inner();
        let mut state = self.state.lock();
        let words = request.cmd.join(" ");
        state.calls.push(("ExecSync", words.clone()));
        let exit_code = state.commands.get(&words).copied().unwrap_or(0);
        ok(cri::ExecSyncResponse { exit_code, ..Default::default() })
    }

    async fn runtime_config(&self, _: Request<cri::RuntimeConfigRequest>) -> Answer<cri::RuntimeConfigResponse> {
        unimplemented()
    }

    async fn update_runtime_config(
        &self,
        _: Request<cri::UpdateRuntimeConfigRequest>,
    ) -> Answer<cri::UpdateRuntimeConfigResponse> {
        ok(cri::UpdateRuntimeConfigResponse {})
    }

    async fn update_container_resources(
        &self,
        request: Request<cri::UpdateContainerResourcesRequest>,
    ) -> Answer<cri::UpdateContainerResourcesResponse> {
        let request = request.into_inner();
        let mut state = self.state.lock();
        state.check("UpdateContainerResources")?;
        let container = find(&mut state, &request.container_id)?;
        container.config.linux.get_or_insert_default().resources = request.linux;
        let name = container.name().to_owned();
        state.calls.push(("UpdateContainerResources", name));
        ok(cri::UpdateContainerResourcesResponse {})
    }

    async fn reopen_container_log(
        &self,
        request: Request<cri::ReopenContainerLogRequest>,
    ) -> Answer<cri::ReopenContainerLogResponse> {
        let id = request.into_inner().container_id;
        let mut state = self.state.lock();
        state.check("ReopenContainerLog")?;
        let container = find(&mut state, &id)?;
        let (name, sandbox, log) =
            (container.name().to_owned(), container.sandbox.clone(), container.config.log_path.clone());
        let folder = state.sandboxes.get(&sandbox).ok_or_else(|| not_found(&sandbox))?.config.log_directory.clone();
        let opened = std::fs::File::create(std::path::Path::new(&folder).join(log));
        opened.map_err(|e| Status::internal(e.to_string()))?;
        state.calls.push(("ReopenContainerLog", name));
        ok(cri::ReopenContainerLogResponse {})
    }

    async fn exec(&self, _: Request<cri::ExecRequest>) -> Answer<cri::ExecResponse> {
        unimplemented()
    }

    async fn attach(&self, _: Request<cri::AttachRequest>) -> Answer<cri::AttachResponse> {
        unimplemented()
    }

    async fn port_forward(&self, _: Request<cri::PortForwardRequest>) -> Answer<cri::PortForwardResponse> {
        unimplemented()
    }

    async fn container_stats(&self, _: Request<cri::ContainerStatsRequest>) -> Answer<cri::ContainerStatsResponse> {
        unimplemented()
    }

    async fn list_container_stats(
        &self,
        _: Request<cri::ListContainerStatsRequest>,
    ) -> Answer<cri::ListContainerStatsResponse> {
        unimplemented()
    }

    async fn get_container_events(&self, _: Request<cri::GetEventsRequest>) -> Answer<Self::GetContainerEventsStream> {
        unimplemented()
    }
}

fn find<'a>(state: &'a mut State, id: &str) -> Result<&'a mut FakeContainer, Status> {
    state.containers.get_mut(id).ok_or_else(|| not_found(id))
}

fn sandbox_state(s: &FakeSandbox) -> i32 {
    if s.ready { PodSandboxState::SandboxReady.into() } else { PodSandboxState::SandboxNotready.into() }
}

fn sandbox_status(id: &str, s: &FakeSandbox) -> cri::PodSandboxStatus {
    cri::PodSandboxStatus {
        id: id.to_owned(),
        metadata: s.config.metadata.clone(),
        state: sandbox_state(s),
        created_at: s.created_at,
        network: Some(cri::PodSandboxNetworkStatus { ip: s.ip.clone(), ..Default::default() }),
        labels: s.config.labels.clone(),
        ..Default::default()
    }
}

fn container_status(id: &str, c: &FakeContainer) -> cri::ContainerStatus {
    cri::ContainerStatus {
        id: id.to_owned(),
        metadata: c.config.metadata.clone(),
        state: c.state.into(),
        created_at: c.created_at,
        started_at: c.started_at,
        finished_at: c.finished_at,
        exit_code: c.exit_code,
        image: c.config.image.clone(),
        image_ref: c.config.image.clone().unwrap_or_default().image,
        labels: c.config.labels.clone(),
        annotations: c.config.annotations.clone(),
        mounts: c.config.mounts.clone(),
        log_path: c.config.log_path.clone(),
        ..Default::default()
    }
}
