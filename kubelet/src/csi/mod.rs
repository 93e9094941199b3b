//! Volumes of storage drivers (CSI).
//!
//! [`Csi`] is the handle. A volume is attached (by the controller manager), staged once for the node, and published
//! for each pod; it is taken back in the other order. What has been asked of drivers lies on the disk ([`data`]), so
//! that it does not matter whether this kubelet or one before it asked.
//! Upstream: `pkg/volume/csi`, `pkg/kubelet/volumemanager`.

mod attach;
pub mod data;
pub mod driver;
mod expand;
pub mod in_use;
pub mod metrics;
mod mount;
pub mod names;
pub mod node_info;
pub mod registration;
pub mod source;
mod stats;
mod unmount;

pub use driver::DriverError;
pub use in_use::InUse;
pub use mount::Wish;
pub(crate) use mount::link;

use crate::backoff::Backoff;
use crate::cluster::cache::Cache;
use crate::cluster::storage::Storage;
use crate::cluster::{Cluster, ClusterError};
use crate::events::Events;
use crate::volumes::VolumeError;
use crate::volumes::tokens::Tokens;
use driver::Driver;
use metrics::{Calls, StorageWork};
use parking_lot::Mutex;
use registration::Registered;
use source::{Source, Traits};
use stats::{Measured, Place};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long what a driver says of itself counts.
const TRAITS_TTL: Duration = Duration::from_secs(5);
/// `durationBeforeRetry` of a volume, at first and at most.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(122);

/// Mounts and unmounts volumes of drivers. Cheap to clone.
#[derive(Clone)]
pub struct Csi(Arc<Shared>);

struct Shared {
    root: PathBuf,
    node: String,
    cluster: Arc<dyn Cluster>,
    storage: Arc<dyn Storage>,
    events: Events,
    tokens: Tokens,
    drivers: Mutex<BTreeMap<String, Registered>>,
    traits: Cache<Traits>,
    in_use: InUse,
    /// One thing at a time is done to a volume, by its unique name.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    state: Mutex<State>,
    /// Something was mounted: it wants to be measured.
    mounted: tokio::sync::Notify,
    calls: Calls,
    work: StorageWork,
}

/// A pod's UID and what it has: the volume's name in its specification or on the node.
type Key = (String, String);

struct State {
    /// What this kubelet has staged, by unique name.
    staged: HashSet<String>,
    /// What this kubelet has published.
    published: HashMap<Key, Place>,
    measured: HashMap<Key, Measured>,
    /// The pods that want a volume, mounted or not, by its unique name.
    wanted: BTreeMap<String, BTreeSet<String>>,
    failed: Backoff<Key>,
    failures: HashMap<Key, (Instant, String)>,
    /// Sizes that a driver has refused for good, by unique name.
    infeasible: HashMap<String, i64>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            staged: HashSet::new(),
            published: HashMap::new(),
            measured: HashMap::new(),
            wanted: BTreeMap::new(),
            failed: Backoff::new(FIRST_BACKOFF, LONGEST_BACKOFF),
            failures: HashMap::new(),
            infeasible: HashMap::new(),
        }
    }
}

impl Csi {
    /// Volumes below `root` (`--root-dir`) on a node. What lies there already is in use.
    pub fn new(
        root: PathBuf,
        node: String,
        cluster: Arc<dyn Cluster>,
        storage: Arc<dyn Storage>,
        events: Events,
    ) -> Self {
        let in_use = InUse::default();
        let found = data::found(&root).into_iter().map(|found| found.data);
        let persistent = found.filter(|data| data.volume_lifecycle_mode != source::Lifecycle::Ephemeral.name());
        for data in persistent.chain(data::staged(&root).into_iter().map(|(_, data)| data)) {
            in_use.add(&data.unique());
        }
        Self(Arc::new(Shared {
            root,
            node,
            tokens: Tokens::new(cluster.clone()),
            cluster,
            storage,
            events,
            drivers: Mutex::default(),
            traits: Cache::new(TRAITS_TTL),
            in_use,
            turns: Mutex::default(),
            state: Mutex::default(),
            mounted: tokio::sync::Notify::new(),
            calls: Calls::default(),
            work: StorageWork::default(),
        }))
    }

    /// What is counted of the work on volumes.
    pub fn work(&self) -> &StorageWork {
        &self.0.work
    }

    /// What is counted of the calls of drivers.
    pub fn calls(&self) -> &Calls {
        &self.0.calls
    }

    /// What the node's status says of volumes in use.
    pub fn in_use(&self) -> InUse {
        self.0.in_use.clone()
    }

    async fn connect(&self, driver: &str) -> Result<Driver, DriverError> {
        let socket = self.0.drivers.lock().get(driver).map(|registered| registered.socket.clone());
        let socket = socket.ok_or_else(|| DriverError::NotRegistered(driver.to_owned()))?;
        Driver::connect(&socket, driver, self.0.calls.clone()).await
    }

    /// What a driver says of itself.
    async fn traits(&self, driver: &str) -> Result<Arc<Traits>, ClusterError> {
        let fetch = async { Ok(Traits::of(self.0.storage.driver(driver).await?.as_ref())) };
        self.0.traits.get("", driver, fetch).await
    }

    async fn secret(
        &self,
        name: Option<&source::SecretName>,
        field: &'static str,
    ) -> Result<HashMap<String, String>, VolumeError> {
        let Some((namespace, name)) = name else { return Ok(HashMap::new()) };
        let secret = self.0.cluster.secret(namespace, name).await.map_err(|e| {
            let text = format!(
                "fetching {field} {namespace}/{name} failed: kubernetes.io/csi: failed to find the secret \
                 {name} in the namespace {namespace} with error: {e}"
            );
            VolumeError::Csi(text)
        })?;
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        Ok(secret.data.iter().flatten().map(|(key, value)| (key.clone(), text(&value.0))).collect())
    }

    fn turn(&self, unique: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.turns.lock();
        turns.retain(|name, turn| name == unique || Arc::strong_count(turn) > 1);
        turns.entry(unique.to_owned()).or_default().clone()
    }

    /// Whether a pod has the volume or is going to.
    fn is_used(&self, unique: &str) -> bool {
        self.0.state.lock().wanted.contains_key(unique)
            || data::found(&self.0.root).iter().any(|found| found.data.unique() == unique)
    }

    fn want(&self, uid: &str, source: &Source) {
        self.0.state.lock().wanted.entry(source.unique()).or_default().insert(uid.to_owned());
    }

    /// What is left of the delay after a failure.
    fn held_back(&self, key: &Key) -> Option<VolumeError> {
        let state = self.0.state.lock();
        let (at, why) = state.failures.get(key)?;
        let (_, wait) = state.failed.waiting(key, *at, now())?;
        Some(VolumeError::Later { why: why.clone(), wait })
    }

    fn note(&self, key: Key, failure: Option<&VolumeError>) {
        let mut state = self.0.state.lock();
        match failure {
            None => {
                state.failed.forget(&key);
                state.failures.remove(&key);
            }
            Some(VolumeError::Later { .. }) => {}
            Some(error) => {
                let at = now();
                state.failed.next(key.clone(), at);
                state.failures.insert(key, (at, error.to_string()));
            }
        }
    }
}

/// By the clock that tests can move.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
