//! Where plugins say that they are there; others are found by the watcher of plugins.
//!
//! Upstream: `pkg/kubelet/cm/devicemanager/plugin/v1beta1/server.go`.

use super::Devices;
use crate::plugins::{Handler, HandlerError, socket};
use async_trait::async_trait;
use proto::deviceplugin as api;
use proto::deviceplugin::registration_server::{Registration, RegistrationServer};
use proto::pluginregistration::PluginInfo;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use tokio::net::UnixListener;
use tonic::{Request, Response, Status};

/// The version of the contract.
pub const VERSION: &str = "v1beta1";
/// The type by which device plugins register where the watcher finds them.
const KIND: &str = "DevicePlugin";
const SOCKET: &str = "kubelet.sock";

/// Whether another kubelet serves in this folder. What it left when it ended does not answer.
pub fn is_taken(folder: &Path) -> bool {
    UnixStream::connect(folder.join(SOCKET)).is_ok()
}

/// Takes the folder: sockets of plugins from before are removed, which tells the plugins to
/// register again.
///
/// # Errors
/// The folder cannot be made or written.
pub fn listen(folder: &Path) -> io::Result<UnixListener> {
    std::fs::DirBuilder::new().recursive(true).mode(0o750).create(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_socket() {
            std::fs::remove_file(entry.path())?;
        }
    }
    UnixListener::bind(folder.join(SOCKET))
}

/// Serves registrations for ever; give it to the supervisor.
pub async fn serve(listener: UnixListener, devices: Devices) {
    socket::serve(listener, RegistrationServer::new(Service(devices))).await;
    tracing::error!("device plugins cannot register any more");
}

struct Service(Devices);

#[tonic::async_trait]
impl Registration for Service {
    async fn register(&self, request: Request<api::RegisterRequest>) -> Result<Response<api::Empty>, Status> {
        let request = request.into_inner();
        tracing::info!(resource = request.resource_name, "a device plugin registers");
        self.0.counts().registered(&request.resource_name);
        let supported = [VERSION];
        if request.version != VERSION {
            let text = format!(
                "requested API version {:?} is not supported by kubelet. Supported version is {supported:?}",
                request.version
            );
            return Err(Status::unknown(text));
        }
        let socket = self.0.folder().join(&request.endpoint);
        let done = self.0.connect(&request.resource_name, &socket).await;
        done.map(|()| Response::new(api::Empty {})).map_err(|e| Status::unknown(e.to_string()))
    }
}

#[async_trait]
impl Handler for Devices {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn take(&self, info: &PluginInfo, endpoint: &Path) -> Result<(), HandlerError> {
        if !info.supported_versions.iter().any(|version| version == VERSION) {
            let versions = &info.supported_versions;
            let why = format!("manager version, {VERSION}, is not among plugin supported versions {versions:?}");
            return Err(HandlerError::Invalid(why));
        }
        self.counts().registered(&info.name);
        self.connect(&info.name, endpoint).await.map_err(|error| HandlerError::Refused(error.to_string()))
    }

    async fn let_go(&self, name: &str, _: &Path) {
        self.disconnect(name);
    }
}
