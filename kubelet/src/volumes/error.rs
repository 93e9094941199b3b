//! Why a volume is not there.

use crate::cluster::ClusterError;
use crate::csi::DriverError;
use crate::env::fields::FieldError;
use crate::runtime::RuntimeError;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A volume could not be set up or taken down.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    #[error("{step} failed for volume \"{volume}\" : {source}")]
    Step { step: &'static str, volume: String, source: Box<VolumeError> },
    /// Nothing has failed that is not told already: it is to be tried again after a while.
    #[error("{why}")]
    Later { why: String, wait: Duration },
    #[error(
        "Unable to attach or mount volumes: unmounted volumes=[{}], unattached volumes=[], failed to process \
         volumes=[]: context deadline exceeded", .0.join(" ")
    )]
    Overdue(Vec<String>),
    #[error(transparent)]
    Driver(#[from] DriverError),
    #[error("{0}")]
    Csi(String),
    #[error("{0}")]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error("references non-existent {kind} key: {key}")]
    NoKey { kind: &'static str, key: String },
    #[error("hostPath type check failed: {path} is not {wanted}")]
    HostPathType { path: String, wanted: &'static str },
    #[error("no volume plugin matched for volume {0}")]
    Unsupported(String),
    #[error("error processing PVC {claim}: {why}")]
    Claim { claim: String, why: String },
    #[error("path {0:?} does not exist")]
    NoPath(String),
    #[error("path {0:?} is no block device")]
    NoDevice(String),
    #[error("{0}")]
    Mode(String),
    #[error("invalid path {0:?} in a volume")]
    BadPath(String),
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("a task of the volume manager ended early")]
    Interrupted,
}

impl VolumeError {
    pub(crate) fn io(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io { action, path: path.to_owned(), source: source.into() }
    }

    /// Says what failed and for which volume, unless that is said already.
    pub(crate) fn of_step(self, step: &'static str, volume: &str) -> Self {
        match self {
            Self::Step { .. } | Self::Later { .. } | Self::Overdue(_) => self,
            other => Self::Step { step, volume: volume.to_owned(), source: Box::new(other) },
        }
    }
}
