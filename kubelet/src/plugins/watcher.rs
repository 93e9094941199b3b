//! Finds plugins by their sockets below `plugins_registry`, and registers each with who handles its type.
//!
//! Upstream: `pkg/kubelet/pluginmanager`.

use super::changes::Changes;
use super::{Handler, HandlerError, Handlers, socket};
use crate::backoff::Backoff;
use proto::pluginregistration::registration_client::RegistrationClient;
use proto::pluginregistration::{InfoRequest, PluginInfo, RegistrationStatus};
use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tonic::{Request, Status};

const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const GET_INFO: Duration = Duration::from_secs(1);
const NOTIFY: Duration = Duration::from_secs(5);
const LONGEST_BACKOFF: Duration = Duration::from_secs(122);
const DEEPEST: usize = 4;
const MOST: usize = 1000;

/// Which file it is: a plugin that came back has another one.
type Identity = (u64, i64, i64);

/// Why a plugin is not registered.
#[derive(Debug, thiserror::Error)]
enum RegisterError {
    #[error("RegisterPlugin error -- dial failed at socket {}", .0.display())]
    Dial(PathBuf, #[source] tonic::transport::Error),
    #[error("RegisterPlugin error -- failed to get plugin info using RPC GetInfo at socket {}", .0.display())]
    Info(PathBuf, #[source] Status),
    #[error("RegisterPlugin error -- no handler registered for plugin type: {kind} at socket {}", socket.display())]
    Kind { kind: String, socket: PathBuf },
    #[error("RegisterPlugin error -- {0}")]
    Handler(#[from] HandlerError),
    #[error("RegisterPlugin error -- failed to tell the plugin at socket {}", .0.display())]
    Notify(PathBuf, #[source] Status),
}

/// Watches for ever; give it to the supervisor.
pub async fn run(folder: PathBuf, handlers: Handlers) {
    if let Err(error) = std::fs::create_dir_all(&folder) {
        tracing::error!(%error, folder = %folder.display(), "plugins cannot be watched");
        return;
    }
    let mut watcher = Watcher {
        folder,
        handlers,
        known: BTreeMap::new(),
        failed: Backoff::new(FIRST_BACKOFF, LONGEST_BACKOFF),
        last: BTreeMap::new(),
    };
    let mut changes = Changes::default();
    loop {
        watcher.look(&mut changes).await;
        match watcher.next_try() {
            // In time or by a change: both mean to look again.
            Some(left) => drop(tokio::time::timeout(left, changes.next()).await),
            None => changes.next().await,
        }
    }
}

/// A plugin that is registered.
struct Known {
    /// Its handler, by its place.
    handler: usize,
    name: String,
    endpoint: PathBuf,
}

struct Watcher {
    folder: PathBuf,
    handlers: Handlers,
    /// The plugins that are registered.
    known: BTreeMap<PathBuf, (Identity, Known)>,
    failed: Backoff<PathBuf>,
    /// When a socket was tried without success.
    last: BTreeMap<PathBuf, Instant>,
}

impl Watcher {
    async fn look(&mut self, changes: &mut Changes) {
        let mut found = BTreeMap::new();
        sockets(&self.folder, DEEPEST, changes, &mut found);
        let gone = |(path, (identity, _)): &(&PathBuf, &(Identity, Known))| found.get(*path) != Some(identity);
        let gone: Vec<PathBuf> = self.known.iter().filter(gone).map(|(path, _)| path.clone()).collect();
        for path in gone {
            if let Some((_, known)) = self.known.remove(&path) {
                self.handlers[known.handler].let_go(&known.name, &known.endpoint).await;
            }
        }
        self.last.retain(|path, _| found.contains_key(path));
        for (path, identity) in found {
            if !self.known.contains_key(&path) && self.held_back(&path).is_none() {
                self.register(path, identity).await;
            }
        }
    }

    /// For how long a socket that failed is left alone.
    fn held_back(&self, path: &PathBuf) -> Option<Duration> {
        let at = self.last.get(path)?;
        self.failed.waiting(path, *at, Instant::now()).map(|(_, left)| left)
    }

    /// When the next of the sockets that failed is to be tried again; `None` if there is none.
    fn next_try(&self) -> Option<Duration> {
        self.last.keys().map(|path| self.held_back(path).unwrap_or_default()).min()
    }

    async fn register(&mut self, path: PathBuf, identity: Identity) {
        match register(&path, &self.handlers).await {
            Ok(known) => {
                self.last.remove(&path);
                self.known.insert(path, (identity, known));
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a plugin is not registered");
                let now = Instant::now();
                self.failed.next(path.clone(), now);
                self.last.insert(path, now);
            }
        }
    }
}

async fn register(path: &Path, handlers: &[Box<dyn Handler>]) -> Result<Known, RegisterError> {
    let owned = || path.to_owned();
    let channel = socket::channel(path).await.map_err(|e| RegisterError::Dial(owned(), e))?;
    let mut client = RegistrationClient::new(channel);
    let mut request = Request::new(InfoRequest {});
    request.set_timeout(GET_INFO);
    let info = client.get_info(request).await.map_err(|e| RegisterError::Info(owned(), e))?.into_inner();
    let done = take(path, &info, handlers).await;
    let error = done.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let mut told = Request::new(RegistrationStatus { plugin_registered: done.is_ok(), error });
    told.set_timeout(NOTIFY);
    let told = client.notify_registration_status(told).await;
    let known = done?;
    if let Err(e) = told {
        handlers[known.handler].let_go(&known.name, &known.endpoint).await;
        return Err(RegisterError::Notify(owned(), e));
    }
    Ok(known)
}

async fn take(path: &Path, info: &PluginInfo, handlers: &[Box<dyn Handler>]) -> Result<Known, RegisterError> {
    let Some(handler) = handlers.iter().position(|handler| handler.kind() == info.r#type) else {
        return Err(RegisterError::Kind { kind: info.r#type.clone(), socket: path.to_owned() });
    };
    let endpoint = if info.endpoint.is_empty() { path } else { Path::new(&info.endpoint) };
    handlers[handler].take(info, endpoint).await?;
    Ok(Known { handler, name: info.name.clone(), endpoint: endpoint.to_owned() })
}

/// The sockets below a folder. What cannot be read is passed over.
fn sockets(folder: &Path, depth: usize, changes: &mut Changes, out: &mut BTreeMap<PathBuf, Identity>) {
    changes.watch(folder);
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let Ok(about) = entry.metadata() else { continue };
        if hidden || out.len() >= MOST {
            continue;
        }
        if about.is_dir() && depth > 0 {
            sockets(&entry.path(), depth - 1, changes, out);
        } else if about.file_type().is_socket() {
            out.insert(entry.path(), (about.ino(), about.ctime(), about.ctime_nsec()));
        }
    }
}
