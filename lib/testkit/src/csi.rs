//! A storage driver for tests: speaks csi.v1 and says on a second socket that it is there, as a driver and its
//! registrar do. It remembers what it was asked for and fails where a test wants that.
//!
//! Without a folder for its volumes it mounts nothing: a volume is an empty folder at its target. With one, each volume
//! is a folder in there, bound to the target.

mod node;
mod registrar;

use crate::socket;
use anyhow::Context;
use parking_lot::{Mutex, MutexGuard};
use proto::csi::node_server::NodeServer;
use proto::csi::node_service_capability::rpc::Type as Capability;
use proto::csi::{
    NodeExpandVolumeRequest, NodeGetVolumeStatsRequest, NodePublishVolumeRequest, NodeStageVolumeRequest,
    NodeUnpublishVolumeRequest, NodeUnstageVolumeRequest,
};
use proto::pluginregistration::registration_server::RegistrationServer;
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::UnixListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Status;
use tonic::codegen::Service as _;

/// What the driver is and can do.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// As `spec.driver` of volumes has it.
    pub name: String,
    /// What it calls the node.
    pub node_id: String,
    /// How many volumes the node may have; 0 leaves it open.
    pub limit: i64,
    /// Where the node is.
    pub topology: HashMap<String, String>,
    /// What it can do beside mounting.
    pub capabilities: Vec<Capability>,
    /// Where its volumes' folders are; without one nothing is mounted.
    pub volumes: Option<PathBuf>,
}

/// A call that the driver has got.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "named as the calls")]
pub enum Call {
    Stage(NodeStageVolumeRequest),
    Unstage(NodeUnstageVolumeRequest),
    Publish(NodePublishVolumeRequest),
    Unpublish(NodeUnpublishVolumeRequest),
    Stats(NodeGetVolumeStatsRequest),
    Expand(NodeExpandVolumeRequest),
}

impl Call {
    /// Its name, for [`State::failures`] too.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stage(_) => "stage",
            Self::Unstage(_) => "unstage",
            Self::Publish(_) => "publish",
            Self::Unpublish(_) => "unpublish",
            Self::Stats(_) => "stats",
            Self::Expand(_) => "expand",
        }
    }
}

/// What the driver remembers.
#[derive(Debug, Default)]
pub struct State {
    /// All calls in order, failed ones included.
    pub calls: Vec<Call>,
    /// The answers to the next calls of a name, before it does what it should.
    pub failures: HashMap<&'static str, VecDeque<Status>>,
    /// What the kubelet said of the registration: an error, or nothing.
    pub registrations: Vec<Result<(), String>>,
}

impl State {
    /// The names of all calls but those for figures.
    pub fn names(&self) -> Vec<&'static str> {
        self.calls.iter().map(Call::name).filter(|name| *name != "stats").collect()
    }
}

/// A driver that serves until it is dropped. Its sockets stay.
#[derive(Debug)]
pub struct FakeCsi {
    service: Service,
    _stop: DropGuard,
}

#[derive(Clone, Debug)]
struct Service {
    options: Arc<Options>,
    endpoint: PathBuf,
    state: Arc<Mutex<State>>,
}

impl FakeCsi {
    /// Starts on `endpoint`, and says so on `registration`, a socket in the kubelet's `plugins_registry`.
    pub fn start(options: Options, endpoint: &Path, registration: &Path) -> anyhow::Result<Self> {
        let service = Service { options: Arc::new(options), endpoint: endpoint.to_owned(), state: Arc::default() };
        let stop = CancellationToken::new();
        for socket in [endpoint, registration] {
            let folder = socket.parent().unwrap_or(Path::new("/"));
            std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
            if socket.exists() {
                std::fs::remove_file(socket).with_context(|| format!("remove {}", socket.display()))?;
            }
            let listener = UnixListener::bind(socket).with_context(|| format!("bind {}", socket.display()))?;
            let server = serve(listener, service.clone());
            #[expect(clippy::disallowed_methods, reason = "a test helper; ends with the guard")]
            tokio::spawn(stop.clone().run_until_cancelled_owned(server));
        }
        Ok(Self { service, _stop: stop.drop_guard() })
    }

    /// What it remembers; a test may look and change.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.service.state.lock()
    }

    /// The next call of this name fails so.
    pub fn fail(&self, call: &'static str, status: Status) {
        self.state().failures.entry(call).or_default().push_back(status);
    }
}

/// Accepts for ever; the path says which service is meant.
async fn serve(listener: UnixListener, service: Service) {
    let answer = move |request: hyper::Request<hyper::body::Incoming>| {
        let service = service.clone();
        async move {
            if request.uri().path().starts_with("/pluginregistration.Registration/") {
                RegistrationServer::new(service).call(request).await
            } else {
                NodeServer::new(service).call(request).await
            }
        }
    };
    socket::serve(listener, answer).await;
}
