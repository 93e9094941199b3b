//! Indexed, shared, read-only caches of one kind, fed by `kube::runtime::watcher`.
//!
//! Invariant: handlers see every change in order, and never before the cache shows it.
//!
//! Upstream: `client-go/tools/cache`.

mod feed;
mod lean;
mod store;

use parking_lot::{Mutex, RwLock};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio::sync::watch;

/// How long [`Informer::seen`] waits at most: a write that left the scope of the cache never
/// shows up in it, and its waiter must not hang.
const SEEN_AT_MOST: Duration = Duration::from_secs(10);

/// Namespace and name; the namespace is empty for cluster-scoped objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub struct ObjectKey {
    pub namespace: String,
    pub name: String,
}

impl ObjectKey {
    /// The key of a typed object.
    pub fn of<K: kube::Resource>(object: &K) -> Self {
        let meta = object.meta();
        Self { namespace: meta.namespace.clone().unwrap_or_default(), name: meta.name.clone().unwrap_or_default() }
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

/// A change, as handlers see it.
#[derive(Clone, Debug)]
pub enum Change<K> {
    /// New, or seen for the first time.
    Added(Arc<K>),
    /// Changed: old, new.
    Updated(Arc<K>, Arc<K>),
    /// Gone: its last known state.
    Deleted(Arc<K>),
}

impl<K> Change<K> {
    /// The newest state of the object.
    pub fn object(&self) -> &Arc<K> {
        match self {
            Self::Added(object) | Self::Updated(_, object) | Self::Deleted(object) => object,
        }
    }
}

type Trim<K> = Box<dyn Fn(&mut K) + Send + Sync>;
type Handler<K> = Box<dyn Fn(&Change<K>) + Send + Sync>;

/// The reading side of a cache. Cheap to clone.
#[derive(Debug)]
pub struct Informer<K> {
    shared: Arc<Shared<K>>,
}

impl<K> Clone for Informer<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

/// What reader and feed share.
struct Shared<K> {
    store: RwLock<Store<K>>,
    /// Held while a change goes to the store and to the handlers: this makes the order one.
    handlers: Mutex<Vec<Handler<K>>>,
    synced: watch::Sender<bool>,
    /// The highest resource version that the stream has shown.
    reached: watch::Sender<u64>,
}

impl<K> std::fmt::Debug for Shared<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Informer").field("synced", &*self.synced.borrow()).finish_non_exhaustive()
    }
}

/// What an informer lists and watches.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Only this namespace.
    pub namespace: Option<String>,
    /// Only objects with these labels.
    pub label_selector: Option<String>,
    /// Only objects with these fields, such as `spec.nodeName=n1`.
    pub field_selector: Option<String>,
}

/// Builds an informer before it runs.
pub struct Builder<K> {
    client: kube::Client,
    scope: Scope,
    trim: Vec<Trim<K>>,
    store: Store<K>,
    handlers: Vec<Handler<K>>,
}

impl<K> std::fmt::Debug for Builder<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// Bounds a cached kind fulfils; implemented for every typed Kubernetes object.
pub trait Cached:
    kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + Sync + 'static
{
}
impl<K> Cached for K where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + Sync + 'static
{
}

impl<K: Cached> Builder<K> {
    /// An informer of `K` in `scope`.
    pub fn new(client: kube::Client, scope: Scope) -> Self {
        Self { client, scope, trim: Vec::new(), store: Store::default(), handlers: Vec::new() }
    }

    /// Drops what the component does not use from each object on ingest (managedFields are not even read).
    pub fn trim(mut self, trim: impl Fn(&mut K) + Send + Sync + 'static) -> Self {
        self.trim.push(Box::new(trim));
        self
    }

    /// Adds an index: `keys` gives the index values of an object.
    pub fn index(mut self, name: &'static str, keys: impl Fn(&K) -> Vec<String> + Send + Sync + 'static) -> Self {
        self.store.add_index(name, Box::new(keys));
        self
    }

    /// Adds a handler, called in order for every change. It must not block, and must not call
    /// [`Informer::subscribe`].
    pub fn on_change(mut self, handler: impl Fn(&Change<K>) + Send + Sync + 'static) -> Self {
        self.handlers.push(Box::new(handler));
        self
    }

    /// The reader, and the future that keeps it current until dropped; give it to the supervisor.
    pub fn build(self) -> (Informer<K>, impl Future<Output = ()> + Send + 'static) {
        let shared = Arc::new(Shared {
            store: RwLock::new(self.store),
            handlers: Mutex::new(self.handlers),
            synced: watch::Sender::new(false),
            reached: watch::Sender::new(0),
        });
        let feed = feed::run(self.client, self.scope, self.trim, Arc::clone(&shared));
        (Informer { shared }, feed)
    }
}

impl<K: Cached> Informer<K> {
    /// Waits for the first complete list.
    pub async fn synced(&self) {
        let mut synced = self.shared.synced.subscribe();
        // The sender lives in `shared`, which this handle keeps.
        let _done = synced.wait_for(|synced| *synced).await;
    }

    /// Whether the first list is complete.
    pub fn is_synced(&self) -> bool {
        *self.shared.synced.borrow()
    }

    /// One object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.shared.store.read().get(namespace, name)
    }

    /// All objects.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.shared.store.read().list()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.shared.store.read().len()
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All objects of a namespace (indexed).
    pub fn list_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        self.shared.store.read().list_namespace(namespace)
    }

    /// All objects with this value in the named index; none if there is no such index.
    pub fn by_index(&self, index: &'static str, value: &str) -> Vec<Arc<K>> {
        self.shared.store.read().by_index(index, value)
    }

    /// Adds a handler after construction; it first sees everything cached as `Added`.
    pub fn subscribe(&self, handler: impl Fn(&Change<K>) + Send + Sync + 'static) {
        let mut handlers = self.shared.handlers.lock();
        let cached = self.list();
        for object in cached {
            handler(&Change::Added(object));
        }
        handlers.push(Box::new(handler));
    }

    /// Waits until the cache has reached `resource_version` of an object we wrote. Gives up after
    /// 10 s: the write may have left the cache's scope.
    pub async fn seen(&self, key: &ObjectKey, resource_version: &str) {
        let Ok(wanted) = resource_version.parse::<u64>() else { return };
        let mut reached = self.shared.reached.subscribe();
        let arrived = reached.wait_for(|reached| *reached >= wanted || self.has(key, wanted));
        if tokio::time::timeout(SEEN_AT_MOST, arrived).await.is_err() {
            tracing::debug!(kind = %K::kind(&()), %key, resource_version, "own write not seen in time");
        }
    }

    fn has(&self, key: &ObjectKey, wanted: u64) -> bool {
        self.get(&key.namespace, &key.name).is_some_and(|object| store::version(&*object) >= wanted)
    }
}

impl<K: Cached> Shared<K> {
    /// Takes a new or changed object in and tells the handlers.
    fn apply(&self, object: K) {
        let version = store::version(&object);
        let handlers = self.handlers.lock();
        let change = self.store.write().apply(Arc::new(object));
        if let Some(change) = change {
            handlers.iter().for_each(|handler| handler(&change));
        }
        drop(handlers);
        self.reach(version);
    }

    /// Takes an object out and tells the handlers.
    fn delete(&self, object: &K) {
        let handlers = self.handlers.lock();
        let gone = self.store.write().remove(&ObjectKey::of(object));
        if let Some(gone) = gone {
            let change = Change::Deleted(gone);
            handlers.iter().for_each(|handler| handler(&change));
        }
        drop(handlers);
        self.reach(store::version(object));
    }

    /// A new list begins: what it does not show is gone at its end.
    fn list_begins(&self) {
        self.store.write().begin_list();
    }

    fn list_ends(&self) {
        let handlers = self.handlers.lock();
        let gone = self.store.write().end_list();
        for object in gone {
            let change = Change::Deleted(object);
            handlers.iter().for_each(|handler| handler(&change));
        }
        drop(handlers);
        self.synced.send_replace(true);
    }

    fn reach(&self, version: u64) {
        self.reached.send_if_modified(|reached| {
            let newer = version > *reached;
            *reached = (*reached).max(version);
            newer
        });
    }
}

#[cfg(test)]
#[path = "informer/tests.rs"]
mod tests;
