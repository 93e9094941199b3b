//! The store: writes through etcd transactions, reads from the watch cache.

use crate::backend::Backend;
use crate::backend::etcd::Etcd;
use crate::backend::lease::Reuse;
use crate::backend::memory::Memory;
use crate::cache::{Cache, Life};
use crate::core::Core;
use crate::encryption::{Encrypting, Encryption};
use crate::freshness::{Revisions, revisions, wait_for};
use crate::list::Listing;
use crate::past::Past;
use crate::query::{ListPage, ListQuery, Match, Selection, WatchQuery};
use crate::write::{Closure, Decide, Decision, Writer};
use crate::{Object, StorageError, Watch, cache, compactor, feed, metrics};
use apimachinery::Value;
use apimachinery::resources::ResourceInfo;
use component::Supervisor;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long [`Store::open`] tries to reach etcd.
const OPEN_DEADLINE: Duration = Duration::from_secs(60);
/// How long requests wait for the first state of a resource that was added.
const LOAD_DEADLINE: Duration = Duration::from_secs(30);
const OPEN_PAUSE: Duration = Duration::from_millis(100);

/// How to reach etcd, from `--etcd-*` and `--storage-media-type`.
#[derive(Clone, Debug, Default)]
pub struct StoreConfig {
    /// `--etcd-servers`.
    pub servers: Vec<String>,
    /// `--etcd-prefix`, `/registry` by default.
    pub prefix: String,
    /// PEM of `--etcd-cafile`.
    pub ca: Option<Vec<u8>>,
    /// PEM of `--etcd-certfile` and `--etcd-keyfile`.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// `--storage-media-type` is protobuf (upstream's default) and not JSON.
    pub protobuf: bool,
    /// `--etcd-compaction-interval`; zero compacts never.
    pub compaction_interval: Duration,
    /// `--encryption-provider-config`.
    pub encryption: Option<Arc<Encryption>>,
    /// `--etcd-servers-overrides`: resources that lie in other etcd clusters.
    pub overrides: Vec<Override>,
}

/// A resource that lies in another etcd cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Its API group, empty for core.
    pub group: String,
    /// Its plural name.
    pub resource: String,
    /// The servers of its cluster.
    pub servers: Vec<String>,
}

impl Override {
    fn is_about(&self, resource: &ResourceInfo) -> bool {
        self.group == resource.group && self.resource == resource.plural
    }
}

impl StoreConfig {
    fn prefix(&self) -> &str {
        if self.prefix.is_empty() { "/registry" } else { &self.prefix }
    }
}

/// What an update does with the current object.
#[derive(Debug)]
pub enum Change {
    /// Write this tree (its `resourceVersion` is ignored). Equal bytes are not written again.
    Put(Value),
    /// Write this tree with a lease of this many seconds.
    PutWithTtl(Value, u64),
    /// Delete the object; the tree, if given, is its last state in the watch event.
    Delete(Option<Value>),
    /// Leave it as it is.
    Keep,
}

/// All objects of one etcd cluster. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) core: Arc<Core>,
    revisions: Revisions,
    leases: Arc<tokio::sync::Mutex<Reuse>>,
    adding: Arc<tokio::sync::Mutex<()>>,
    is_warm: Arc<AtomicBool>,
    past: Arc<Past>,
    /// Resources of other etcd clusters, each with the store of its cluster.
    elsewhere: Arc<[(Override, Store)]>,
}

impl Store {
    /// Connects to etcd, trying again until it answers (at most a minute), and fills the caches
    /// of these resources. Its tasks run on the supervisor.
    pub async fn open(
        config: StoreConfig,
        resources: &[Arc<ResourceInfo>],
        supervisor: Supervisor,
    ) -> Result<Self, StorageError> {
        let (here, elsewhere): (Vec<_>, Vec<_>) = resources
            .iter()
            .cloned()
            .partition(|resource| !config.overrides.iter().any(|other| other.is_about(resource)));
        let mut store = Self::open_one(&config, &here, &supervisor).await?;
        let mut clusters: Vec<(Vec<String>, Store)> = Vec::new();
        let mut routes = Vec::new();
        for other in &config.overrides {
            let mut servers = other.servers.clone();
            servers.sort();
            let known = clusters.iter().find(|(cluster, _)| *cluster == servers).map(|(_, store)| store.clone());
            let cluster = match known {
                Some(store) => store,
                None => {
                    let of_cluster = |resource: &&Arc<ResourceInfo>| {
                        config.overrides.iter().any(|o| o.is_about(resource) && same_servers(&o.servers, &servers))
                    };
                    let there: Vec<Arc<ResourceInfo>> = elsewhere.iter().filter(of_cluster).cloned().collect();
                    let config = StoreConfig { servers: servers.clone(), overrides: Vec::new(), ..config.clone() };
                    let store = Self::open_one(&config, &there, &supervisor).await?;
                    clusters.push((servers, store.clone()));
                    store
                }
            };
            routes.push((other.clone(), cluster));
        }
        store.elsewhere = routes.into();
        Ok(store)
    }

    async fn open_one(
        config: &StoreConfig,
        resources: &[Arc<ResourceInfo>],
        supervisor: &Supervisor,
    ) -> Result<Self, StorageError> {
        let etcd: Arc<dyn Backend> = Arc::new(Etcd::new(config).await?);
        if let Some(encryption) = &config.encryption {
            encryption.follow_services(supervisor).await;
        }
        let backend: Arc<dyn Backend> = match &config.encryption {
            Some(encryption) => Arc::new(Encrypting::new(etcd, encryption.clone(), config.prefix())),
            None => etcd,
        };
        Self::over(backend, config, resources, supervisor).await
    }

    /// The store of the cluster that a resource lies in.
    fn of(&self, resource: &ResourceInfo) -> &Self {
        let elsewhere = self.elsewhere.iter().find(|(other, _)| other.is_about(resource));
        elsewhere.map_or(self, |(_, store)| store)
    }

    /// A store whose data are in memory and end with it: for tests of what stands on a store.
    pub async fn in_memory(resources: &[Arc<ResourceInfo>], supervisor: Supervisor) -> Result<Self, StorageError> {
        let backend: Arc<dyn Backend> = Arc::new(Memory::new(&supervisor));
        Self::over(backend, &StoreConfig { protobuf: true, ..StoreConfig::default() }, resources, &supervisor).await
    }

    pub(crate) async fn over(
        backend: Arc<dyn Backend>,
        config: &StoreConfig,
        resources: &[Arc<ResourceInfo>],
        supervisor: &Supervisor,
    ) -> Result<Self, StorageError> {
        let (core, chores) = Core::new(backend, config.prefix(), config.protobuf);
        let core = Arc::new(core);
        for resource in resources.iter().filter(|resource| resource.is_stored()) {
            core.ensure_cache(resource);
        }
        let (revisions, answer) = revisions(core.clone());
        supervisor.spawn_until_stop("etcd revisions", answer);
        let store = Self {
            core,
            revisions,
            leases: Arc::default(),
            adding: Arc::default(),
            is_warm: Arc::default(),
            past: Arc::default(),
            elsewhere: Arc::from([]),
        };
        let revision = store.load().await?;
        store.is_warm.store(true, Ordering::Release);
        supervisor.spawn_until_stop("crowds of watchers", feed::wake(chores.crowds));
        supervisor.spawn_until_stop("sealed resources", feed::unseal(store.core.clone(), chores.sealed));
        supervisor.spawn_until_stop("etcd watch", feed::run(store.core.clone(), revision));
        supervisor.spawn_until_stop("watch bookmarks", bookmarks(store.core.clone()));
        if !config.compaction_interval.is_zero() {
            let compaction = compactor::run(store.core.clone(), config.compaction_interval);
            supervisor.spawn_until_stop("etcd compaction", compaction);
        }
        Ok(store)
    }

    async fn load(&self) -> Result<u64, StorageError> {
        let start = Instant::now();
        loop {
            match feed::load(&self.core).await {
                Ok(revision) => return Ok(revision),
                Err(error) if start.elapsed() > OPEN_DEADLINE => return Err(error),
                Err(error) => tracing::warn!(%error, "etcd does not answer, trying again"),
            }
            tokio::time::sleep(OPEN_PAUSE).await;
        }
    }

    /// One object. `Match::MostRecent` reads consistently; `Any` whatever the cache has.
    pub async fn get(
        &self,
        resource: &Arc<ResourceInfo>,
        key: &str,
        at: Match,
    ) -> Result<Option<Arc<Object>>, StorageError> {
        let this = self.of(resource);
        let cache = this.cache(resource).await?;
        let revision = match at {
            Match::Any => 0,
            Match::MostRecent => this.revisions.current().await?,
            Match::NotOlderThan(revision) | Match::Exact(revision) => revision,
        };
        match wait_for(&this.core, revision).await {
            Ok(()) => Ok(cache.get(key)),
            // The watch is behind; etcd itself is not.
            Err(_) if at == Match::MostRecent => this.get_from_etcd(&cache, key).await,
            Err(error) => Err(error),
        }
    }

    async fn get_from_etcd(&self, cache: &Cache, key: &str) -> Result<Option<Arc<Object>>, StorageError> {
        let kv = self.core.read(cache, key).await?;
        kv.map(|kv| self.core.object(cache, key, &kv.value, kv.mod_revision)).transpose()
    }

    /// One object as far as this server knows, without waiting; what it wrote itself it knows at
    /// once. For admission, authorization and the like.
    pub fn cached(&self, resource: &Arc<ResourceInfo>, key: &str) -> Option<Arc<Object>> {
        let this = self.of(resource);
        let cache = this.core.cache(resource).ok()?;
        this.core.newest(&cache, key)
    }

    /// All objects of a resource (in a namespace) from the cache, without waiting.
    pub fn cached_list(&self, resource: &Arc<ResourceInfo>, namespace: Option<&str>) -> Vec<Arc<Object>> {
        self.cached_matching(resource, &Selection { namespace: namespace.map(str::to_owned), ..Selection::default() })
    }

    /// The selected objects of a resource from the cache, without waiting; its indexes are used.
    pub fn cached_matching(&self, resource: &Arc<ResourceInfo>, selection: &Selection) -> Vec<Arc<Object>> {
        let Ok(cache) = self.of(resource).core.cache(resource) else { return Vec::new() };
        if cache.len() == 0 {
            return Vec::new();
        }
        let span = cache::Span::all(cache.prefix(), selection);
        cache.select(selection, &span, 0).0
    }

    /// How many objects of a resource there are, as far as this server knows.
    pub fn count(&self, resource: &Arc<ResourceInfo>) -> usize {
        self.of(resource).core.cache(resource).map(|cache| cache.len()).unwrap_or_default()
    }

    /// A list.
    pub async fn list(&self, resource: &Arc<ResourceInfo>, query: &ListQuery) -> Result<ListPage, StorageError> {
        let this = self.of(resource);
        let cache = this.cache(resource).await?;
        Listing { core: &this.core, revisions: &this.revisions, cache: &cache, query }.run().await
    }

    /// A watch.
    pub async fn watch(&self, resource: &Arc<ResourceInfo>, query: &WatchQuery) -> Result<Watch, StorageError> {
        let this = self.of(resource);
        let cache = this.cache(resource).await?;
        match query.from {
            Some(revision) if revision > 0 && !query.send_initial_events => {
                let watch = || Watch::from_revision(this.core.clone(), cache.clone(), query, revision);
                return match watch() {
                    Err(StorageError::Expired { .. }) if this.past.reach(&this.core, &cache, revision).await => watch(),
                    watch => watch,
                };
            }
            Some(revision) => wait_for(&this.core, revision).await?,
            None => wait_for(&this.core, this.revisions.current().await?).await?,
        }
        Ok(Watch::from_state(this.core.clone(), cache, query))
    }

    /// Writes a new object, with a lease of `ttl` seconds if given.
    pub async fn create(
        &self,
        resource: &Arc<ResourceInfo>,
        key: &str,
        value: Value,
        ttl: Option<u64>,
    ) -> Result<Arc<Object>, StorageError> {
        let this = self.of(resource);
        let cache = this.cache(resource).await?;
        this.writer(&cache, key).create(value, ttl).await
    }

    /// `guaranteed_update`: calls `change` with the cached object first; when etcd says that it
    /// was not current (or `change` fails on it), reads and tries again. `expected` makes a
    /// stale revision a [`StorageError::Conflict`] instead. Returns the object after the change
    /// (for `Delete`, its last state with the deletion's revision) and whether it was written.
    pub async fn update<E, F>(
        &self,
        resource: &Arc<ResourceInfo>,
        key: &str,
        expected: Option<u64>,
        change: F,
    ) -> Result<(Arc<Object>, bool), E>
    where
        E: From<StorageError>,
        F: AsyncFnMut(&Arc<Object>) -> Result<Change, E>,
    {
        let this = self.of(resource);
        let cache = this.cache(resource).await?;
        this.writer(&cache, key).update(expected, &mut Closure(change)).await
    }

    /// [`Self::update`] with a decision that is not a closure; its future is `Send`.
    pub async fn decide<E: From<StorageError> + Send>(
        &self,
        resource: &Arc<ResourceInfo>,
        key: &str,
        expected: Option<u64>,
        decision: &mut (impl Decide<E> + ?Sized),
    ) -> Result<(Arc<Object>, bool), E> {
        let this = self.of(resource);
        let cache = this.cache(resource).await?;
        this.writer(&cache, key).update(expected, &mut Decision(decision)).await
    }

    fn writer<'a>(&'a self, cache: &'a Cache, key: &'a str) -> Writer<'a> {
        Writer { core: &self.core, leases: &self.leases, cache, key }
    }

    /// etcd answers a linearizable read: `/healthz/etcd`.
    pub async fn healthy(&self) -> Result<(), StorageError> {
        self.revisions.current().await.map(drop)
    }

    /// How many etcd clusters there are, as `componentstatuses` counts them: one, and one for each
    /// of `--etcd-servers-overrides`.
    pub fn clusters(&self) -> usize {
        1 + self.elsewhere.len()
    }

    /// Those of these clusters that are not the first, each once however many overrides name it.
    pub fn other_clusters(&self) -> Vec<usize> {
        let is_first = |at: &usize| {
            let (before, from) = self.elsewhere.split_at(*at);
            let mut servers = from.first().map(|(other, _)| other.servers.clone()).unwrap_or_default();
            servers.sort();
            !before.iter().any(|(earlier, _)| same_servers(&earlier.servers, &servers))
        };
        (0..self.elsewhere.len()).filter(is_first).map(|at| at + 1).collect()
    }

    /// Whether one of these clusters answers.
    pub async fn answers(&self, cluster: usize) -> Result<(), StorageError> {
        match cluster.checked_sub(1).and_then(|at| self.elsewhere.get(at)) {
            Some((_, store)) => store.revisions.current().await.map(drop),
            None => self.healthy().await,
        }
    }

    /// Every cache has its first state: part of `/readyz`.
    pub fn is_warm(&self) -> bool {
        self.is_warm.load(Ordering::Acquire) && self.core.caches().iter().all(|cache| cache.sealed().is_none())
    }

    /// Everything up to this revision is in the caches.
    pub fn revision(&self) -> u64 {
        self.core.observed()
    }

    /// Registers `etcd_request_duration_seconds`, `apiserver_storage_objects` and their like.
    pub fn register_metrics(&self, registry: &mut Registry) {
        metrics::register(&self.core, registry);
    }

    /// The cache of a resource, once its first state is in.
    async fn cache(&self, resource: &ResourceInfo) -> Result<Arc<Cache>, StorageError> {
        let cache = self.core.cache(resource)?;
        if let Some(why) = cache.sealed() {
            return Err(why);
        }
        if cache.life() == Life::Loading {
            let loaded = tokio::time::timeout(LOAD_DEADLINE, cache.ready()).await;
            loaded.map_err(|_| StorageError::Timeout)?;
        }
        Ok(cache)
    }

    /// Gives a resource another definition: its objects are read anew, its watches end.
    pub async fn replace_resource(&self, resource: &Arc<ResourceInfo>) -> Result<(), StorageError> {
        let _one_at_a_time = self.adding.lock().await;
        let cache = self.core.replace_cache(resource);
        feed::load_one(&self.core, &cache).await
    }

    /// Forgets a resource that was added; its watches end. What lies in etcd stays there.
    pub fn remove_resource(&self, resource: &Arc<ResourceInfo>) {
        self.core.remove_cache(resource);
    }

    /// Adds a resource at run time (a custom resource); its cache fills before this returns.
    /// A resource that is there takes over the new fields and kind.
    pub async fn add_resource(&self, resource: &Arc<ResourceInfo>) -> Result<(), StorageError> {
        let _one_at_a_time = self.adding.lock().await;
        let cache = self.core.ensure_cache(resource);
        match cache.is_ready() {
            true => Ok(()),
            false => feed::load_one(&self.core, &cache).await,
        }
    }
}

fn same_servers(servers: &[String], sorted: &[String]) -> bool {
    let mut servers = servers.to_vec();
    servers.sort();
    servers == sorted
}

/// Has each watcher send a bookmark once a minute, spread over the minute.
async fn bookmarks(core: Arc<Core>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for tick in 0.. {
        ticks.tick().await;
        core.caches().iter().for_each(|cache| cache.bookmark(tick));
    }
}
