//! Writes: one etcd transaction each, guarded by the mod revision.
//!
//! Upstream: `apiserver/pkg/storage/etcd3/store.go`.

use crate::backend::{Kv, Op, Outcome, Write};
use crate::cache::Cache;
use crate::core::Core;
use crate::encode::Draft;
use crate::object::Object;
use crate::own::OwnWrite;
use crate::store::Change;
use crate::{StorageError, backend::lease::Reuse};
use apimachinery::Value;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Instant;

/// Attempts of an update that meets a newer object each time.
const ATTEMPTS: usize = 64;

/// Decides on a change of an object: what [`crate::Store::update`] takes as a closure, for callers
/// whose futures must be `Send`, which cannot be shown of an async closure that borrows.
#[async_trait]
pub trait Decide<E>: Send {
    /// The change of this state. Called again with a newer one if this was not current.
    async fn decide(&mut self, current: &Arc<Object>) -> Result<Change, E>;
}

/// Either form of a decision.
pub(crate) trait Changer<E> {
    async fn change(&mut self, current: &Arc<Object>) -> Result<Change, E>;
}

/// A closure as a [`Changer`].
pub(crate) struct Closure<F>(pub(crate) F);

impl<E, F: AsyncFnMut(&Arc<Object>) -> Result<Change, E>> Changer<E> for Closure<F> {
    async fn change(&mut self, current: &Arc<Object>) -> Result<Change, E> {
        (self.0)(current).await
    }
}

/// A [`Decide`] as a [`Changer`].
pub(crate) struct Decision<'a, D: ?Sized>(pub(crate) &'a mut D);

impl<E, D: Decide<E> + ?Sized> Changer<E> for Decision<'_, D> {
    async fn change(&mut self, current: &Arc<Object>) -> Result<Change, E> {
        self.0.decide(current).await
    }
}

/// Writes one object's key.
pub(crate) struct Writer<'a> {
    pub(crate) core: &'a Core,
    pub(crate) leases: &'a tokio::sync::Mutex<Reuse>,
    pub(crate) cache: &'a Cache,
    pub(crate) key: &'a str,
}

/// The object that an update starts from.
struct Current {
    object: Arc<Object>,
    source: Source,
}

/// Where it comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The cache: it may be old.
    Cache,
    /// etcd, just now.
    Etcd,
}

/// How one attempt ended.
enum Attempt {
    Done(Arc<Object>, bool),
    /// Something newer is there.
    Stale(Option<Kv>),
}

impl Writer<'_> {
    pub(crate) async fn create(&self, mut value: Value, ttl: Option<u64>) -> Result<Arc<Object>, StorageError> {
        let lease = self.lease(ttl).await?;
        let draft = Draft::new(&self.cache.form(), self.key, &mut value);
        let stored = draft.stored(&value);
        match self.put(draft, stored, lease, 0).await? {
            Attempt::Done(object, _) => Ok(object),
            Attempt::Stale(_) => Err(StorageError::Exists { key: self.key.to_owned() }),
        }
    }

    pub(crate) async fn update<E: From<StorageError>>(
        &self,
        expected: Option<u64>,
        change: &mut impl Changer<E>,
    ) -> Result<(Arc<Object>, bool), E> {
        let mut current = self.expected(self.known().await?, expected).await?;
        for _ in 0..ATTEMPTS {
            let change = match change.change(&current.object).await {
                Ok(change) => change,
                Err(error) => {
                    current = self.newer(&current).await?.ok_or(error)?;
                    continue;
                }
            };
            match self.attempt(&current, change).await? {
                Attempt::Done(object, is_written) => return Ok((object, is_written)),
                Attempt::Stale(None) => return Err(self.gone(expected).into()),
                Attempt::Stale(Some(kv)) => current = self.expected(self.current_of(&kv)?, expected).await?,
            }
        }
        Err(self.conflict(current.object.revision(), 0).into())
    }

    /// Makes sure that the object is at the expected revision, if there is one.
    async fn expected(&self, mut current: Current, expected: Option<u64>) -> Result<Current, StorageError> {
        let Some(expected) = expected else { return Ok(current) };
        if expected != current.object.revision() && current.source == Source::Cache {
            current = self.read().await?;
        }
        match current.object.revision() {
            actual if actual == expected => Ok(current),
            actual => Err(self.conflict(expected, actual)),
        }
    }

    /// A newer object than one from the cache, if there is one.
    async fn newer(&self, current: &Current) -> Result<Option<Current>, StorageError> {
        if current.source == Source::Etcd {
            return Ok(None);
        }
        let fresh = self.read().await?;
        Ok(Some(fresh).filter(|fresh| fresh.object.revision() != current.object.revision()))
    }

    /// Carries a change out.
    async fn attempt(&self, current: &Current, change: Change) -> Result<Attempt, StorageError> {
        let (mut value, ttl) = match change {
            Change::Keep => return self.keep(current).await,
            Change::Delete(last_state) => return self.delete(current, last_state).await,
            Change::Put(value) => (value, None),
            Change::PutWithTtl(value, ttl) => (value, Some(ttl)),
        };
        let draft = Draft::new(&self.cache.form(), self.key, &mut value);
        if ttl.is_none() && current.object.is_stored_as_written() && current.object.is_encoded_as(&draft.json) {
            return self.keep(current).await;
        }
        let lease = self.lease(ttl).await?;
        let stored = draft.stored(&value);
        self.put(draft, stored, lease, current.object.revision()).await
    }

    /// Nothing to write, unless the decision was made on an old object.
    async fn keep(&self, current: &Current) -> Result<Attempt, StorageError> {
        if current.source == Source::Cache {
            let kv = self.core.read(self.cache, self.key).await?;
            if kv.as_ref().is_none_or(|kv| kv.mod_revision != current.object.revision()) {
                return Ok(Attempt::Stale(kv));
            }
        }
        Ok(Attempt::Done(current.object.clone(), false))
    }

    async fn put(&self, draft: Draft, stored: Vec<u8>, lease: i64, expected: u64) -> Result<Attempt, StorageError> {
        let write = OwnWrite::put(draft, stored);
        let value = write.stored.as_deref().unwrap_or_default();
        self.commit(write.clone(), Op::Put { value, lease }, expected).await
    }

    async fn delete(&self, current: &Current, last_state: Option<Value>) -> Result<Attempt, StorageError> {
        let write = match last_state {
            None => OwnWrite::delete(current.object.clone()),
            Some(mut value) => OwnWrite::delete_as(Draft::new(current.object.form(), self.key, &mut value)),
        };
        self.commit(write, Op::Delete, current.object.revision()).await
    }

    async fn commit(&self, write: Arc<OwnWrite>, op: Op<'_>, expected: u64) -> Result<Attempt, StorageError> {
        let sent = self.core.own.announce(self.key, write);
        let key = self.core.full_key(self.key);
        let operation = match op {
            Op::Put { .. } if expected == 0 => "create",
            Op::Put { .. } => "update",
            Op::Delete => "delete",
        };
        let commit = self.core.backend.commit(Write { key: &key, expected, op });
        match self.core.metrics.time(operation, self.cache.resource(), commit).await? {
            Outcome::Done(revision) => Ok(Attempt::Done(sent.done(revision, self.core.observed() >= revision), true)),
            Outcome::Refused(kv) => Ok(Attempt::Stale(kv)),
        }
    }

    /// The object as far as this server knows, or else from etcd.
    async fn known(&self) -> Result<Current, StorageError> {
        match self.core.newest(self.cache, self.key) {
            Some(object) => Ok(Current { object, source: Source::Cache }),
            None => self.read().await,
        }
    }

    async fn read(&self) -> Result<Current, StorageError> {
        match self.core.read(self.cache, self.key).await? {
            Some(kv) => self.current_of(&kv),
            None => Err(StorageError::NotFound { key: self.key.to_owned() }),
        }
    }

    fn current_of(&self, kv: &Kv) -> Result<Current, StorageError> {
        let object = self.core.object(self.cache, self.key, &kv.value, kv.mod_revision)?;
        Ok(Current { object, source: Source::Etcd })
    }

    async fn lease(&self, ttl: Option<u64>) -> Result<i64, StorageError> {
        let Some(ttl) = ttl.filter(|ttl| *ttl > 0) else { return Ok(0) };
        let mut leases = self.leases.lock().await;
        if let Some(id) = leases.find(ttl, Instant::now()) {
            return Ok(id);
        }
        let (seconds, now) = (Reuse::seconds(ttl), Instant::now());
        let id = self.core.backend.grant(seconds).await?;
        leases.keep(id, seconds, now);
        Ok(id)
    }

    fn conflict(&self, expected: u64, actual: u64) -> StorageError {
        StorageError::Conflict { key: self.key.to_owned(), expected, actual }
    }

    fn gone(&self, expected: Option<u64>) -> StorageError {
        match expected {
            Some(expected) => self.conflict(expected, 0),
            None => StorageError::NotFound { key: self.key.to_owned() },
        }
    }
}
