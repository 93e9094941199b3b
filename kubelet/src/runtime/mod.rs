//! The container runtime. Invariant: only this module knows CRI and containerd; everybody else sees
//! [`PodRecord`]s and asks for changes by [`Runtime`].
//!
//! Upstream: `pkg/kubelet/kuberuntime`.

pub mod config;
pub mod connect;
pub mod error;
pub mod images;
pub mod labels;
pub mod record;
pub mod sandbox;
pub mod security;
pub mod stats;
pub mod streams;
pub mod views;

pub use connect::Endpoint;
pub use error::RuntimeError;
pub use record::{ContainerRecord, ContainerState, PodRecord, SandboxRecord};

use crate::config::CgroupDriver;
use crate::metrics::Metrics;
use crate::resources::memory::Extra;
use k8s_openapi::api::core::v1::Container;
use proto::{cri, snapshots};
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tonic::transport::Channel;
use tonic::{Response, Status};

type RuntimeClient = cri::runtime_service_client::RuntimeServiceClient<Channel>;
type ImageClient = cri::image_service_client::ImageServiceClient<Channel>;
type SnapshotClient = snapshots::snapshots_client::SnapshotsClient<Channel>;

/// The largest answer taken from the runtime: a list of all containers of a full node.
const MAX_MESSAGE: usize = 64 << 20;

/// A connection to the runtime. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Runtime {
    runtime: RuntimeClient,
    images: ImageClient,
    snapshots: SnapshotClient,
    timeout: Duration,
    metrics: Metrics,
}

/// Who answers at the other end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeVersion {
    pub name: String,
    pub version: String,
}

/// Whether the runtime says that it, and its network, can take pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeHealth {
    /// Pods can run.
    Ready,
    /// The text for the node's Ready condition.
    NotReady(String),
}

/// What an `ExecSync` gave back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOutcome {
    pub exit_code: i32,
    pub output: Vec<u8>,
}

impl Runtime {
    /// A connection that is made on first use and again after a failure.
    pub fn new(endpoint: &Endpoint, image_endpoint: &Endpoint, timeout: Duration) -> Self {
        Self {
            runtime: RuntimeClient::new(endpoint.channel())
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE),
            images: ImageClient::new(image_endpoint.channel()).max_decoding_message_size(MAX_MESSAGE),
            snapshots: SnapshotClient::new(image_endpoint.channel()),
            timeout,
            metrics: Metrics::default(),
        }
    }

    /// What is counted of its calls, and of what they are made for.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Awaits one call with a time limit, and counts it.
    async fn call<T>(
        &self,
        patience: Duration,
        name: &'static str,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, RuntimeError> {
        let began = Instant::now();
        let answer = error::call(patience, name, answer).await;
        self.metrics.operation(name, began, answer.is_err());
        answer
    }

    /// Name and version of the runtime.
    pub async fn version(&self) -> Result<RuntimeVersion, RuntimeError> {
        let mut client = self.runtime.clone();
        let request = cri::VersionRequest { version: "0.1.0".into() };
        let answer = self.call(self.timeout, "Version", client.version(request)).await?;
        Ok(RuntimeVersion { name: answer.runtime_name, version: answer.runtime_version })
    }

    /// How the runtime makes control groups; `None` if it does not say.
    pub async fn cgroup_driver(&self) -> Result<Option<CgroupDriver>, RuntimeError> {
        let mut client = self.runtime.clone();
        match self.call(self.timeout, "RuntimeConfig", client.runtime_config(cri::RuntimeConfigRequest {})).await {
            Ok(answer) => Ok(answer.linux.map(|linux| match linux.cgroup_driver() {
                cri::CgroupDriver::Systemd => CgroupDriver::Systemd,
                cri::CgroupDriver::Cgroupfs => CgroupDriver::Cgroupfs,
            })),
            Err(e) if e.is_unimplemented() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether runtime and network are ready.
    pub async fn health(&self) -> Result<RuntimeHealth, RuntimeError> {
        let mut client = self.runtime.clone();
        let answer = self.call(self.timeout, "Status", client.status(cri::StatusRequest { verbose: false })).await?;
        let conditions = answer.status.unwrap_or_default().conditions;
        Ok(record::health(&conditions))
    }

    /// Every sandbox and container that a kubelet made, by pod UID, without details: cheap enough
    /// to ask each second.
    pub async fn relist(&self) -> Result<HashMap<String, record::Outline>, RuntimeError> {
        let (mut a, mut b) = (self.runtime.clone(), self.runtime.clone());
        let (sandboxes, containers) = tokio::try_join!(
            self.call(self.timeout, "ListPodSandbox", a.list_pod_sandbox(cri::ListPodSandboxRequest { filter: None })),
            self.call(self.timeout, "ListContainers", b.list_containers(cri::ListContainersRequest { filter: None })),
        )?;
        Ok(record::outlines(&sandboxes.items, &containers.containers))
    }

    /// The running containers' ids and log files, relative to the folder of all logs.
    pub async fn running_logs(&self) -> Result<Vec<(String, PathBuf)>, RuntimeError> {
        let mut client = self.runtime.clone();
        let state = cri::ContainerStateValue { state: cri::ContainerState::ContainerRunning.into() };
        let filter = cri::ContainerFilter { state: Some(state), ..Default::default() };
        let request = cri::ListContainersRequest { filter: Some(filter) };
        let answer = self.call(self.timeout, "ListContainers", client.list_containers(request)).await?;
        Ok(answer.containers.iter().filter_map(|c| Some((c.id.clone(), record::log_file(c)?))).collect())
    }

    /// All that the runtime knows of one pod, newest first.
    pub async fn pod(&self, uid: &str) -> Result<PodRecord, RuntimeError> {
        let selector = HashMap::from([(labels::POD_UID.to_owned(), uid.to_owned())]);
        let (mut a, mut b) = (self.runtime.clone(), self.runtime.clone());
        let pods = cri::PodSandboxFilter { label_selector: selector.clone(), ..Default::default() };
        let containers = cri::ContainerFilter { label_selector: selector, ..Default::default() };
        let (sandboxes, containers) = tokio::try_join!(
            self.call(
                self.timeout,
                "ListPodSandbox",
                a.list_pod_sandbox(cri::ListPodSandboxRequest { filter: Some(pods) })
            ),
            self.call(
                self.timeout,
                "ListContainers",
                b.list_containers(cri::ListContainersRequest { filter: Some(containers) })
            ),
        )?;
        let mut pod = PodRecord::default();
        for sandbox in &sandboxes.items {
            pod.sandboxes.extend(self.sandbox_status(&sandbox.id).await?);
        }
        for container in &containers.containers {
            pod.containers.extend(self.container_status(&container.id, &container.pod_sandbox_id).await?);
        }
        pod.sort();
        Ok(pod)
    }

    async fn sandbox_status(&self, id: &str) -> Result<Option<SandboxRecord>, RuntimeError> {
        let mut client = self.runtime.clone();
        let request = cri::PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: false };
        match self.call(self.timeout, "PodSandboxStatus", client.pod_sandbox_status(request)).await {
            Ok(answer) => Ok(answer.status.map(record::sandbox)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    async fn container_status(&self, id: &str, sandbox: &str) -> Result<Option<ContainerRecord>, RuntimeError> {
        let mut client = self.runtime.clone();
        let request = cri::ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
        match self.call(self.timeout, "ContainerStatus", client.container_status(request)).await {
            Ok(answer) => Ok(answer.status.map(|s| record::container(s, sandbox))),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether a container's process runs; not if the runtime cannot say.
    pub async fn is_running(&self, id: &str) -> bool {
        let status = self.container_status(id, "").await;
        status.is_ok_and(|s| s.is_some_and(|c| c.state == ContainerState::Running))
    }

    /// Makes a sandbox; its id.
    pub async fn run_sandbox(&self, config: cri::PodSandboxConfig, handler: &str) -> Result<String, RuntimeError> {
        let mut client = self.runtime.clone();
        let request = cri::RunPodSandboxRequest { config: Some(config), runtime_handler: handler.to_owned() };
        // Network plug-ins may be slow: upstream gives them twice the time.
        let began = Instant::now();
        let made = self.call(self.timeout * 2, "RunPodSandbox", client.run_pod_sandbox(request)).await;
        self.metrics.pods.sandbox(handler, began, made.is_err());
        Ok(made?.pod_sandbox_id)
    }

    /// Stops what runs in a sandbox and takes its network away.
    pub async fn stop_sandbox(&self, id: &str) -> Result<(), RuntimeError> {
        let mut client = self.runtime.clone();
        let request = cri::StopPodSandboxRequest { pod_sandbox_id: id.to_owned() };
        self.call(self.timeout, "StopPodSandbox", client.stop_pod_sandbox(request))
            .await
            .or_else(gone_is_fine)
            .map(drop)
    }

    /// Forgets a stopped sandbox and the containers in it.
    pub async fn remove_sandbox(&self, id: &str) -> Result<(), RuntimeError> {
        let mut client = self.runtime.clone();
        let request = cri::RemovePodSandboxRequest { pod_sandbox_id: id.to_owned() };
        self.call(self.timeout, "RemovePodSandbox", client.remove_pod_sandbox(request))
            .await
            .or_else(gone_is_fine)
            .map(drop)
    }

    /// Makes a container in a sandbox; its id.
    pub async fn create_container(
        &self,
        sandbox: &str,
        config: cri::ContainerConfig,
        sandbox_config: cri::PodSandboxConfig,
    ) -> Result<String, RuntimeError> {
        let mut client = self.runtime.clone();
        let request = cri::CreateContainerRequest {
            pod_sandbox_id: sandbox.to_owned(),
            config: Some(config),
            sandbox_config: Some(sandbox_config),
        };
        Ok(self.call(self.timeout, "CreateContainer", client.create_container(request)).await?.container_id)
    }

    /// Starts a container that was made.
    pub async fn start_container(&self, id: &str) -> Result<(), RuntimeError> {
        let mut client = self.runtime.clone();
        let request = cri::StartContainerRequest { container_id: id.to_owned() };
        self.call(self.timeout, "StartContainer", client.start_container(request)).await.map(drop)
    }

    /// Asks a container to end and kills it after `grace` seconds; returns when it has ended.
    pub async fn stop_container(&self, id: &str, grace: i64) -> Result<(), RuntimeError> {
        let mut client = self.runtime.clone();
        let request = cri::StopContainerRequest { container_id: id.to_owned(), timeout: grace };
        let patience = self.timeout + Duration::from_secs(u64::try_from(grace).unwrap_or(0));
        self.call(patience, "StopContainer", client.stop_container(request)).await.or_else(gone_is_fine).map(drop)
    }

    /// Forgets a container that has ended.
    pub async fn remove_container(&self, id: &str) -> Result<(), RuntimeError> {
        let mut client = self.runtime.clone();
        let request = cri::RemoveContainerRequest { container_id: id.to_owned() };
        self.call(self.timeout, "RemoveContainer", client.remove_container(request))
            .await
            .or_else(gone_is_fine)
            .map(drop)
    }

    /// Gives a running container what it asks for now.
    pub async fn update_resources(
        &self,
        id: &str,
        container: &Container,
        enforce_quota: bool,
        extra: Extra,
    ) -> Result<(), RuntimeError> {
        let mut client = self.runtime.clone();
        let linux = Some(config::changed_resources(container, enforce_quota, extra));
        let request = cri::UpdateContainerResourcesRequest { container_id: id.to_owned(), linux, ..Default::default() };
        let answer = client.update_container_resources(request);
        self.call(self.timeout, "UpdateContainerResources", answer).await.map(drop)
    }

    /// Moves a running container to these processors.
    pub async fn update_cpuset(&self, id: &str, cpus: &str) -> Result<(), RuntimeError> {
        let mut client = self.runtime.clone();
        let linux = Some(cri::LinuxContainerResources { cpuset_cpus: cpus.to_owned(), ..Default::default() });
        let request = cri::UpdateContainerResourcesRequest { container_id: id.to_owned(), linux, ..Default::default() };
        let answer = client.update_container_resources(request);
        self.call(self.timeout, "UpdateContainerResources", answer).await.map(drop)
    }

    /// Tells the runtime that the log file was moved away.
    pub async fn reopen_log(&self, id: &str) -> Result<(), RuntimeError> {
        let mut client = self.runtime.clone();
        let request = cri::ReopenContainerLogRequest { container_id: id.to_owned() };
        self.call(self.timeout, "ReopenContainerLog", client.reopen_container_log(request)).await.map(drop)
    }

    /// Runs a command in a container and waits for it. `Err(Timeout)` if it takes too long.
    pub async fn exec_sync(&self, id: &str, command: &[String], limit: Duration) -> Result<ExecOutcome, RuntimeError> {
        let mut client = self.runtime.clone();
        let request = cri::ExecSyncRequest {
            container_id: id.to_owned(),
            cmd: command.to_vec(),
            timeout: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        };
        let patience = if limit.is_zero() { Duration::from_secs(3600) } else { limit + self.timeout };
        let answer = self.call(patience, "ExecSync", client.exec_sync(request)).await?;
        let mut output = answer.stdout;
        output.extend(answer.stderr);
        Ok(ExecOutcome { exit_code: answer.exit_code, output })
    }
}

fn gone_is_fine<T: Default>(error: RuntimeError) -> Result<T, RuntimeError> {
    if error.is_not_found() { Ok(T::default()) } else { Err(error) }
}
