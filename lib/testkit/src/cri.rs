//! A container runtime in memory: speaks CRI on a Unix socket, keeps sandboxes and containers as
//! records, and lets a test end, kill or break them.
//!
//! What no caller of the kubelet needs (statistics, events, streams) answers `Unimplemented`, as
//! an old runtime would.

mod images;
mod runtime;
mod state;

pub use state::{FakeContainer, FakeSandbox, State};

use crate::socket;
use anyhow::Context;
use parking_lot::{Mutex, MutexGuard};
use proto::cri::image_service_server::ImageServiceServer;
use proto::cri::runtime_service_server::RuntimeServiceServer;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::codegen::Service as _;

/// A runtime that serves until it is dropped.
#[derive(Debug)]
pub struct FakeCri {
    service: Service,
    folder: TempDir,
    _stop: DropGuard,
}

/// Both services over one state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Service {
    state: Arc<Mutex<State>>,
}

/// Accepts for ever; the path says which service is meant.
async fn serve(listener: UnixListener, service: Service) {
    let answer = move |request: hyper::Request<hyper::body::Incoming>| {
        let service = service.clone();
        async move {
            if request.uri().path().starts_with("/runtime.v1.ImageService/") {
                ImageServiceServer::new(service).call(request).await
            } else {
                RuntimeServiceServer::new(service).call(request).await
            }
        }
    };
    socket::serve(listener, answer).await;
}

impl FakeCri {
    /// Starts on a socket in a folder of its own.
    pub async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let listener = UnixListener::bind(folder.path().join("cri.sock")).context("bind the fake runtime's socket")?;
        let service = Service::default();
        let stop = CancellationToken::new();
        let server = serve(listener, service.clone());
        #[expect(clippy::disallowed_methods, reason = "a test helper; ends with the guard")]
        tokio::spawn(stop.clone().run_until_cancelled_owned(server));
        Ok(Self { service, folder, _stop: stop.drop_guard() })
    }

    /// For `containerRuntimeEndpoint`.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.folder.path().join("cri.sock").display())
    }

    /// A folder that goes with the runtime.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// What it holds; a test may look and change.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.service.state.lock()
    }
}
