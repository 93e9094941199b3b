//! Plugins of the kubelet that come by themselves: their sockets are found, asked what they are, and handed to the
//! part of the kubelet that they belong to.
//!
//! Each type of plugins has a [`Handler`]; the wiring says which there are.
//! Upstream: `pkg/kubelet/pluginmanager`.

pub mod changes;
pub mod socket;
pub mod watcher;

use async_trait::async_trait;
use proto::pluginregistration::PluginInfo;
use std::path::Path;

/// Who uses plugins, one for each type.
pub type Handlers = Vec<Box<dyn Handler>>;

/// Who uses plugins of one type.
#[async_trait]
pub trait Handler: Send + Sync {
    /// The type.
    fn kind(&self) -> &'static str;
    /// A plugin is there, and serves on the endpoint.
    ///
    /// # Errors
    /// It is not taken, and nothing of it is left.
    async fn take(&self, info: &PluginInfo, endpoint: &Path) -> Result<(), HandlerError>;
    /// The plugin of that name at the endpoint is gone.
    async fn let_go(&self, name: &str, endpoint: &Path);
}

/// Why a plugin is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandlerError {
    /// It is not one that this kubelet can use.
    #[error("plugin validation failed with err: {0}")]
    Invalid(String),
    /// It could be, but something is in the way.
    #[error("plugin registration failed with err: {0}")]
    Refused(String),
}
