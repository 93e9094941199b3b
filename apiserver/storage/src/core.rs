//! What all parts of a store share.

use crate::StorageError;
use crate::backend::{Backend, Kv, Range, prefix_end};
use crate::cache::Cache;
use crate::encode;
use crate::metrics::Metrics;
use crate::object::Object;
use crate::own::OwnWrites;
use apimachinery::resources::ResourceInfo;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Objects in the first page of a bulk read.
const FIRST_PAGE: u64 = 500;
/// Pages grow until they hold about this many bytes.
const PAGE_BYTES: usize = 8 << 20;
const MAX_PAGE: u64 = 20_000;

/// The shared core of a [`crate::Store`].
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) backend: Arc<dyn Backend>,
    /// Prefix of all keys with slashes: `/registry/`.
    prefix: String,
    protobuf: bool,
    caches: RwLock<HashMap<Box<str>, Arc<Cache>>>,
    pub(crate) own: OwnWrites,
    /// Everything up to this revision is applied to all caches.
    pub(crate) observed: watch::Sender<u64>,
    compacted: AtomicU64,
    pub(crate) metrics: Metrics,
    crowds: mpsc::UnboundedSender<Crowd>,
    sealed: mpsc::UnboundedSender<Arc<Cache>>,
}

/// What a core leaves to tasks of the feed.
#[derive(Debug)]
pub(crate) struct Chores {
    /// Watchers to be woken later.
    pub(crate) crowds: mpsc::UnboundedReceiver<Crowd>,
    /// Caches whose first state cannot be read at present.
    pub(crate) sealed: mpsc::UnboundedReceiver<Arc<Cache>>,
}

/// Watchers of a cache that are to be woken for what was held back, and when. A cache is on its way
/// at most once.
pub(crate) type Crowd = (Instant, Arc<Cache>);

impl Core {
    /// With the chores that somebody must do.
    pub(crate) fn new(backend: Arc<dyn Backend>, prefix: &str, protobuf: bool) -> (Self, Chores) {
        let (crowds, held) = mpsc::unbounded_channel();
        let (sealed, unread) = mpsc::unbounded_channel();
        let core = Self {
            backend,
            prefix: format!("/{}/", prefix.trim_matches('/')).replace("//", "/"),
            protobuf,
            caches: RwLock::default(),
            own: OwnWrites::default(),
            observed: watch::Sender::new(0),
            compacted: AtomicU64::new(0),
            metrics: Metrics::default(),
            crowds,
            sealed,
        };
        (core, Chores { crowds: held, sealed: unread })
    }

    /// Has the watchers of a cache woken later.
    pub(crate) fn wake_later(&self, cache: &Arc<Cache>, later: Option<Instant>) {
        if let Some(later) = later {
            // Nobody is left to be woken when the task has ended.
            let _ = self.crowds.send((later, cache.clone()));
        }
    }

    /// Has a cache that waits for its first state read when that is possible again.
    pub(crate) fn seal(&self, cache: &Arc<Cache>, why: StorageError) {
        let text = why.to_string();
        if cache.seal(why) {
            tracing::error!(error = text, "objects cannot be read at present");
            // Nobody reads anything when the task has ended.
            let _ = self.sealed.send(cache.clone());
        }
    }

    /// Gives a resource of which something cannot be read at present an empty cache; watches end.
    pub(crate) fn seal_anew(&self, cache: &Arc<Cache>, why: StorageError) {
        let empty = Arc::new(cache.anew());
        {
            let mut caches = self.caches.write();
            let current = caches.get_mut(cache.prefix().trim_end_matches('/'));
            match current.filter(|current| Arc::ptr_eq(current, cache)) {
                Some(current) => *current = empty.clone(),
                // It has another one already.
                None => return,
            }
        }
        cache.close();
        self.seal(&empty, why);
    }

    /// Whether this is the cache of its resource.
    pub(crate) fn is_current(&self, cache: &Arc<Cache>) -> bool {
        let current = self.caches.read().get(cache.prefix().trim_end_matches('/')).cloned();
        current.is_some_and(|current| Arc::ptr_eq(&current, cache))
    }

    /// The cache of a resource.
    pub(crate) fn cache(&self, resource: &ResourceInfo) -> Result<Arc<Cache>, StorageError> {
        let cache = self.caches.read().get(&*resource.storage_prefix).cloned();
        cache.ok_or_else(|| StorageError::Unknown { prefix: resource.storage_prefix.clone().into_owned() })
    }

    /// Makes sure that a resource has a cache.
    pub(crate) fn ensure_cache(&self, resource: &ResourceInfo) -> Arc<Cache> {
        let mut caches = self.caches.write();
        match caches.get(&*resource.storage_prefix) {
            Some(cache) => {
                cache.adopt(resource);
                cache.clone()
            }
            None => {
                let cache = Arc::new(Cache::new(resource, self.protobuf));
                caches.insert((&*resource.storage_prefix).into(), cache.clone());
                cache
            }
        }
    }

    /// Gives a resource a new cache; the old one is closed.
    pub(crate) fn replace_cache(&self, resource: &ResourceInfo) -> Arc<Cache> {
        let cache = Arc::new(Cache::new(resource, self.protobuf));
        let old = self.caches.write().insert((&*resource.storage_prefix).into(), cache.clone());
        old.into_iter().for_each(|old| old.close());
        cache
    }

    /// Forgets a resource; its watches end.
    pub(crate) fn remove_cache(&self, resource: &ResourceInfo) {
        let old = self.caches.write().remove(&*resource.storage_prefix);
        old.into_iter().for_each(|old| old.close());
    }

    pub(crate) fn caches(&self) -> Vec<Arc<Cache>> {
        self.caches.read().values().cloned().collect()
    }

    /// The key in etcd of a key below the prefix.
    pub(crate) fn full_key(&self, key: &str) -> Vec<u8> {
        [self.prefix.as_bytes(), key.as_bytes()].concat()
    }

    /// The key below the prefix of a key in etcd, and the cache it belongs to.
    pub(crate) fn place<'a>(&self, full_key: &'a [u8]) -> Option<(&'a str, Arc<Cache>)> {
        let key = std::str::from_utf8(full_key.strip_prefix(self.prefix.as_bytes())?).ok()?;
        let mut slashes = memchr::memchr_iter(b'/', key.as_bytes());
        let first = slashes.next()?;
        let caches = self.caches.read();
        // `services/specs` and `<group>/<resource>` before `pods`.
        let longer = slashes.next().and_then(|second| caches.get(&key[..second]));
        let cache = longer.or_else(|| caches.get(&key[..first]))?;
        Some((key, cache.clone()))
    }

    /// Everything up to this revision is applied to all caches.
    pub(crate) fn observed(&self) -> u64 {
        *self.observed.borrow()
    }

    /// The oldest revision that etcd still has, as far as known.
    pub(crate) fn compacted(&self) -> u64 {
        self.compacted.load(Ordering::Acquire)
    }

    pub(crate) fn set_compacted(&self, revision: u64) {
        if self.compacted.fetch_max(revision, Ordering::AcqRel) < revision {
            self.caches().iter().for_each(|cache| cache.compact(revision));
        }
    }

    /// The newest state of an object that this server knows, its own writes included.
    pub(crate) fn newest(&self, cache: &Cache, key: &str) -> Option<Arc<Object>> {
        let cached = cache.get(key);
        cached.into_iter().chain(self.own.newest(key)).max_by_key(|object| object.revision())
    }

    /// The object that these bytes are: the cached one if it is at this revision.
    pub(crate) fn object(
        &self,
        cache: &Cache,
        key: &str,
        value: &[u8],
        revision: u64,
    ) -> Result<Arc<Object>, StorageError> {
        match self.newest(cache, key) {
            Some(cached) if cached.revision() == revision => Ok(cached),
            _ => Ok(Arc::new(encode::decode(&cache.form(), key, value, revision)?)),
        }
    }

    /// Reads one key from etcd, linearizably.
    pub(crate) async fn read(&self, cache: &Cache, key: &str) -> Result<Option<Kv>, StorageError> {
        let full_key = self.full_key(key);
        self.metrics.time("get", cache.resource(), self.backend.get(&full_key)).await
    }

    /// Reads all keys below `below` (empty: all of the prefix) at one revision and hands them
    /// out in pages. Returns the revision.
    pub(crate) async fn read_all(&self, below: &str, mut take: impl FnMut(Vec<Kv>)) -> Result<u64, StorageError> {
        let mut start = self.full_key(below);
        let end = prefix_end(&start);
        let (mut revision, mut limit) = (0, FIRST_PAGE);
        loop {
            let range = Range { start: start.clone(), end: end.clone(), revision, limit };
            let page = self.backend.range(range).await?;
            if revision == 0 {
                revision = page.revision;
            }
            let is_last = page.count <= page.kvs.len() as u64;
            let bytes = page.kvs.iter().map(|kv| kv.value.len()).sum::<usize>();
            let Some(last) = page.kvs.last() else { return Ok(revision) };
            start = [&last.key[..], &[0]].concat();
            take(page.kvs);
            if is_last {
                return Ok(revision);
            }
            limit = if bytes * 2 < PAGE_BYTES { (limit * 2).min(MAX_PAGE) } else { limit };
        }
    }
}
