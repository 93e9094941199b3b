//! The store: writes through etcd transactions, reads from the watch cache.

use crate::{ListPage, ListQuery, Object, StorageError, Watch, WatchQuery};
use apimachinery::Value;
use apimachinery::resources::ResourceInfo;
use std::sync::Arc;
use std::time::Duration;

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
pub struct Store {}

impl Store {
    /// One object. `Match::MostRecent` reads consistently; `Any` whatever the cache has.
    pub async fn get(
        &self,
        _resource: &Arc<ResourceInfo>,
        _key: &str,
        _at: crate::Match,
    ) -> Result<Option<Arc<Object>>, StorageError> {
        unimplemented!()
    }

    /// One object from the cache, without waiting. For admission, authorization and the like.
    pub fn cached(&self, _resource: &Arc<ResourceInfo>, _key: &str) -> Option<Arc<Object>> {
        unimplemented!()
    }

    /// All objects of a resource (in a namespace) from the cache, without waiting.
    pub fn cached_list(&self, _resource: &Arc<ResourceInfo>, _namespace: Option<&str>) -> Vec<Arc<Object>> {
        unimplemented!()
    }

    /// A list.
    pub async fn list(&self, _resource: &Arc<ResourceInfo>, _query: &ListQuery) -> Result<ListPage, StorageError> {
        unimplemented!()
    }

    /// A watch.
    pub async fn watch(&self, _resource: &Arc<ResourceInfo>, _query: &WatchQuery) -> Result<Watch, StorageError> {
        unimplemented!()
    }

    /// Writes a new object, with a lease of `ttl` seconds if given.
    pub async fn create(
        &self,
        _resource: &Arc<ResourceInfo>,
        _key: &str,
        _value: Value,
        _ttl: Option<u64>,
    ) -> Result<Arc<Object>, StorageError> {
        unimplemented!()
    }

    /// `guaranteed_update`: calls `change` with the cached object first; when etcd says that it
    /// was not current (or `change` fails on it), reads and tries again. `expected` makes a
    /// stale revision a [`StorageError::Conflict`] instead. Returns the object after the change
    /// (for `Delete`, its last state with the deletion's revision) and whether it was written.
    pub async fn update<E, F>(
        &self,
        _resource: &Arc<ResourceInfo>,
        _key: &str,
        _expected: Option<u64>,
        _change: F,
    ) -> Result<(Arc<Object>, bool), E>
    where
        E: From<StorageError>,
        F: AsyncFnMut(&Arc<Object>) -> Result<Change, E>,
    {
        unimplemented!()
    }

    /// etcd answers a linearizable read: `/healthz/etcd`.
    pub async fn healthy(&self) -> Result<(), StorageError> {
        unimplemented!()
    }

    /// Every cache has its first state: part of `/readyz`.
    pub fn is_warm(&self) -> bool {
        unimplemented!()
    }

    /// Adds a resource at run time (a custom resource); its cache fills before this returns.
    pub async fn add_resource(&self, _resource: &Arc<ResourceInfo>) -> Result<(), StorageError> {
        unimplemented!()
    }
}
