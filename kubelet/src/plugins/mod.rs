//! Plugins of the kubelet that come by themselves: their sockets are found, asked what they are, and handed to the
//! part of the kubelet that they belong to.
//!
//! Upstream: `pkg/kubelet/pluginmanager`.

pub mod changes;
pub mod socket;
pub mod watcher;

use crate::csi::{Csi, registration as csi};
use crate::devices::{ConnectError, Devices, registration as devices};
use proto::pluginregistration::PluginInfo;
use std::path::{Path, PathBuf};

const DEVICES: &str = "DevicePlugin";
const STORAGE: &str = "CSIPlugin";

/// Who takes plugins. Cheap to clone.
#[derive(Clone)]
pub struct Takers {
    pub devices: Devices,
    pub csi: Csi,
}

/// A plugin that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It offers this resource.
    Device(String),
    /// It is this storage driver, at this socket.
    Storage { driver: String, socket: PathBuf },
}

/// Why a plugin was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("RegisterPlugin error -- no handler registered for plugin type: {kind} at socket {}", socket.display())]
    Kind { kind: String, socket: PathBuf },
    #[error(
        "RegisterPlugin error -- plugin validation failed with err: manager version, {version}, is not among plugin \
         supported versions {offered:?}"
    )]
    Version { version: &'static str, offered: Vec<String> },
    #[error("RegisterPlugin error -- plugin registration failed with err: {0}")]
    Device(ConnectError),
    #[error(transparent)]
    Storage(#[from] csi::RegisterError),
}

impl Takers {
    /// Hands a plugin, found at `path`, to whom it belongs.
    pub async fn take(&self, path: &Path, info: &PluginInfo) -> Result<Taken, Refusal> {
        let endpoint = if info.endpoint.is_empty() { path } else { Path::new(&info.endpoint) };
        match info.r#type.as_str() {
            DEVICES => {
                if !info.supported_versions.iter().any(|v| v == devices::VERSION) {
                    let offered = info.supported_versions.clone();
                    return Err(Refusal::Version { version: devices::VERSION, offered });
                }
                self.devices.connect(&info.name, endpoint).await.map_err(Refusal::Device)?;
                Ok(Taken::Device(info.name.clone()))
            }
            STORAGE => {
                self.csi.register(&info.name, endpoint, &info.supported_versions).await?;
                Ok(Taken::Storage { driver: info.name.clone(), socket: endpoint.to_owned() })
            }
            kind => Err(Refusal::Kind { kind: kind.to_owned(), socket: path.to_owned() }),
        }
    }

    /// A plugin is gone.
    pub async fn lose(&self, taken: &Taken) {
        match taken {
            Taken::Device(resource) => self.devices.disconnect(resource),
            Taken::Storage { driver, socket } => self.csi.unregister(driver, socket).await,
        }
    }
}
