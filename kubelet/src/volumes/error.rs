//! Why a volume is not there.

use crate::cluster::ClusterError;
use crate::env::fields::FieldError;
use crate::runtime::RuntimeError;
use std::io;
use std::path::{Path, PathBuf};

/// A volume could not be set up or taken down.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    #[error("MountVolume.SetUp failed for volume \"{volume}\" : {source}")]
    Volume { volume: String, source: Box<VolumeError> },
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
    #[error("invalid path {0:?} in a volume")]
    BadPath(String),
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("a task of the volume manager ended early")]
    Interrupted,
}

impl VolumeError {
    pub(super) fn io(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io { action, path: path.to_owned(), source: source.into() }
    }

    pub(super) fn of_volume(self, name: &str) -> Self {
        Self::Volume { volume: name.to_owned(), source: Box::new(self) }
    }
}
