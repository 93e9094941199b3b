//! Indexed, shared, read-only caches of one kind, fed by `kube::runtime::watcher`.
//!
//! Invariant: handlers see every change in order, and never before the cache shows it.

use std::future::Future;
use std::sync::Arc;

/// Namespace and name; the namespace is empty for cluster-scoped objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub struct ObjectKey {
    pub namespace: String,
    pub name: String,
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

/// The reading side of a cache. Cheap to clone.
#[derive(Debug)]
pub struct Informer<K> {
    _kind: std::marker::PhantomData<fn() -> K>,
}

impl<K> Clone for Informer<K> {
    fn clone(&self) -> Self {
        Self { _kind: std::marker::PhantomData }
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
#[derive(Debug)]
pub struct Builder<K> {
    _kind: std::marker::PhantomData<fn() -> K>,
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
    pub fn new(_client: kube::Client, _scope: Scope) -> Self {
        unimplemented!()
    }

    /// Drops what the component does not use from each object on ingest (managedFields always go).
    pub fn trim(self, _trim: impl Fn(&mut K) + Send + Sync + 'static) -> Self {
        self
    }

    /// Adds an index: `keys` gives the index values of an object.
    pub fn index(self, _name: &'static str, _keys: impl Fn(&K) -> Vec<String> + Send + Sync + 'static) -> Self {
        self
    }

    /// Adds a handler, called in order for every change. It must not block.
    pub fn on_change(self, _handler: impl Fn(&Change<K>) + Send + Sync + 'static) -> Self {
        self
    }

    /// The reader, and the future that keeps it current until dropped; give it to the supervisor.
    pub fn build(self) -> (Informer<K>, impl Future<Output = ()> + Send + 'static) {
        (Informer { _kind: std::marker::PhantomData }, async {})
    }
}

impl<K: Cached> Informer<K> {
    /// Waits for the first complete list.
    pub async fn synced(&self) {}

    /// Whether the first list is complete.
    pub fn is_synced(&self) -> bool {
        unimplemented!()
    }

    /// One object.
    pub fn get(&self, _namespace: &str, _name: &str) -> Option<Arc<K>> {
        unimplemented!()
    }

    /// All objects.
    pub fn list(&self) -> Vec<Arc<K>> {
        unimplemented!()
    }

    /// All objects of a namespace (indexed).
    pub fn list_namespace(&self, _namespace: &str) -> Vec<Arc<K>> {
        unimplemented!()
    }

    /// All objects with this value in the named index.
    pub fn by_index(&self, _index: &'static str, _value: &str) -> Vec<Arc<K>> {
        unimplemented!()
    }

    /// Adds a handler after construction; it first sees everything cached as `Added`.
    pub fn subscribe(&self, _handler: impl Fn(&Change<K>) + Send + Sync + 'static) {}

    /// Waits until the cache has reached `resource_version` of an object we wrote.
    pub async fn seen(&self, _key: &ObjectKey, _resource_version: &str) {}
}
