//! One plugin: the connection to its socket.
//!
//! Upstream: `pkg/kubelet/cm/devicemanager/plugin/v1beta1/client.go`.

use crate::plugins::socket;
use proto::deviceplugin as api;
use proto::deviceplugin::device_plugin_client::DevicePluginClient;
use std::path::Path;
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Request, Status};

const CONNECT: Duration = Duration::from_secs(10);
const PRE_START: Duration = Duration::from_secs(30);
/// Upstream's kubelet waits for ever, and admits no pod meanwhile.
const ALLOCATE: Duration = Duration::from_secs(120);

/// Why a plugin did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    #[error("failed to dial device plugin: {0}")]
    Connect(tonic::transport::Error),
    #[error("failed to get device plugin options: {}", rpc(.0))]
    Options(Status),
    #[error("{}", rpc(.0))]
    Allocate(Status),
    #[error("no containers return in allocation response")]
    NoAnswer,
    #[error("device plugin GetPreferredAllocation rpc failed with err: {}", rpc(.0))]
    Preferred(Status),
    #[error("device plugin PreStartContainer rpc failed with err: {}", rpc(.0))]
    PreStart(Status),
}

/// A status as upstream's client prints it.
fn rpc(status: &Status) -> String {
    format!("rpc error: code = {:?} desc = {}", status.code(), status.message())
}

/// Calls of one plugin. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Plugin {
    client: DevicePluginClient<Channel>,
    options: api::DevicePluginOptions,
}

impl Plugin {
    /// Connects and asks what the plugin can do. Its messages have at most 4 MiB.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn connect(path: &Path) -> Result<Self, PluginError> {
        let channel = socket::channel(path).await.map_err(PluginError::Connect)?;
        let mut client = DevicePluginClient::new(channel);
        let options = client.get_device_plugin_options(limited(api::Empty {}, CONNECT)).await;
        let options = options.map_err(PluginError::Options)?.into_inner();
        Ok(Self { client, options })
    }

    /// All devices, every time that one of them changes.
    ///
    /// # Errors
    /// The plugin is gone.
    pub async fn watch(&self) -> Result<tonic::Streaming<api::ListAndWatchResponse>, Status> {
        Ok(self.client.clone().list_and_watch(api::Empty {}).await?.into_inner())
    }

    /// What the container needs to have the devices.
    ///
    /// # Errors
    /// The plugin refuses, or is gone.
    pub async fn allocate(&self, ids: Vec<String>) -> Result<api::ContainerAllocateResponse, PluginError> {
        let request =
            api::AllocateRequest { container_requests: vec![api::ContainerAllocateRequest { devices_ids: ids }] };
        let answer = self.client.clone().allocate(limited(request, ALLOCATE)).await.map_err(PluginError::Allocate)?;
        answer.into_inner().container_responses.into_iter().next().ok_or(PluginError::NoAnswer)
    }

    /// Which of the available devices the plugin would choose; none if it does not care.
    ///
    /// # Errors
    /// The plugin is gone.
    pub async fn preferred(
        &self,
        available: Vec<String>,
        must_include: Vec<String>,
        size: usize,
    ) -> Result<Vec<String>, PluginError> {
        if !self.options.get_preferred_allocation_available {
            return Ok(Vec::new());
        }
        let request = api::PreferredAllocationRequest {
            container_requests: vec![api::ContainerPreferredAllocationRequest {
                available_device_i_ds: available,
                must_include_device_i_ds: must_include,
                allocation_size: i32::try_from(size).unwrap_or(i32::MAX),
            }],
        };
        let answer = self.client.clone().get_preferred_allocation(limited(request, ALLOCATE)).await;
        let answer = answer.map_err(PluginError::Preferred)?.into_inner();
        Ok(answer.container_responses.into_iter().next().map(|r| r.device_i_ds).unwrap_or_default())
    }

    /// Whether the plugin wants to know of every start.
    pub fn wants_starts(&self) -> bool {
        self.options.pre_start_required
    }

    /// Tells it that a container with these devices is about to start.
    ///
    /// # Errors
    /// The plugin refuses, or is gone.
    pub async fn pre_start(&self, ids: Vec<String>) -> Result<(), PluginError> {
        let request = api::PreStartContainerRequest { devices_ids: ids };
        let answer = self.client.clone().pre_start_container(limited(request, PRE_START)).await;
        answer.map(|_| ()).map_err(PluginError::PreStart)
    }
}

fn limited<T>(message: T, limit: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}
