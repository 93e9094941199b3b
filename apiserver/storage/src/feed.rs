//! The one task that reads etcd's watch and feeds all caches, in revision order.

use crate::StorageError;
use crate::backend::{Events, Kv, RawEvent};
use crate::cache::{Cache, Change, Incoming};
use crate::core::{Core, Crowd};
use crate::object::Object;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Pauses between attempts to watch.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Reads the whole prefix into all caches that are there. Returns the revision.
pub(crate) async fn load(core: &Core) -> Result<u64, StorageError> {
    let (mut objects, revision) = read(core).await?;
    for cache in core.caches() {
        let of_cache = objects.remove(cache.prefix()).unwrap_or_default();
        let deferred = cache.load(of_cache, revision);
        apply(core, deferred);
    }
    core.observed.send_replace(revision);
    Ok(revision)
}

/// Reads one resource into its new cache while the watch goes on.
pub(crate) async fn load_one(core: &Core, cache: &Cache) -> Result<(), StorageError> {
    let mut objects = Vec::new();
    let take = |kvs: Vec<Kv>| objects.extend(kvs.into_iter().filter_map(|kv| decode(core, &kv).map(|(_, o)| o)));
    let revision = core.read_all(cache.prefix(), take).await?;
    let deferred = cache.load(objects, revision);
    apply(core, deferred);
    Ok(())
}

/// Watches from after `revision` on, for ever.
pub(crate) async fn run(core: Arc<Core>, mut revision: u64) {
    let mut pause = FIRST_PAUSE;
    loop {
        let before = revision;
        let error = match follow(&core, &mut revision).await {
            Err(StorageError::Expired { .. }) => relist(&core, &mut revision).await.err(),
            Err(error) => Some(error),
            Ok(()) => None,
        };
        if let Some(error) = error {
            tracing::warn!(%error, revision, "etcd watch ended, resuming");
        }
        pause = if revision > before { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        tokio::time::sleep(pause).await;
    }
}

/// Wakes the watchers that were left to their work, each crowd when its time has come.
pub(crate) async fn wake(mut crowds: mpsc::UnboundedReceiver<Crowd>) {
    while let Some((later, cache)) = crowds.recv().await {
        tokio::time::sleep_until(later).await;
        cache.release();
    }
}

/// Applies events until the watch ends with an error.
async fn follow(core: &Core, revision: &mut u64) -> Result<(), StorageError> {
    let mut events: Box<dyn Events> = core.backend.watch(*revision + 1).await?;
    loop {
        let batch = events.next().await?;
        let Some(last) = batch.last().map(|event| event.revision) else { continue };
        apply(core, batch);
        *revision = last;
        core.observed.send_replace(last);
    }
}

/// Reads everything anew after the watch fell behind a compaction; the differences become
/// events.
pub(crate) async fn relist(core: &Core, revision: &mut u64) -> Result<(), StorageError> {
    let (mut objects, listed) = read(core).await?;
    core.own.forget_until(listed);
    for cache in core.caches().iter().filter(|cache| cache.is_ready()) {
        let later = cache.replace(objects.remove(cache.prefix()).unwrap_or_default(), listed);
        core.wake_later(cache, later);
    }
    core.set_compacted(*revision);
    *revision = listed;
    core.observed.send_replace(listed);
    Ok(())
}

/// All objects by the prefix of their cache.
async fn read(core: &Core) -> Result<(HashMap<Box<str>, Vec<Arc<Object>>>, u64), StorageError> {
    let mut objects: HashMap<Box<str>, Vec<Arc<Object>>> = HashMap::new();
    let take = |kvs: Vec<Kv>| {
        for (cache, object) in kvs.iter().filter_map(|kv| decode(core, kv)) {
            objects.entry(cache.prefix().into()).or_default().push(object);
        }
    };
    let revision = core.read_all("", take).await?;
    Ok((objects, revision))
}

/// Decodes what belongs to a cache. What cannot be read is left out, and said so.
fn decode(core: &Core, kv: &Kv) -> Option<(Arc<Cache>, Arc<Object>)> {
    let (key, cache) = core.place(&kv.key)?;
    match core.object(&cache, key, &kv.value, kv.mod_revision) {
        Ok(object) => Some((cache, object)),
        Err(error) => {
            tracing::error!(%error, "skipping an object");
            None
        }
    }
}

/// Applies events to the caches they belong to.
fn apply(core: &Core, events: Vec<RawEvent>) {
    let mut by_cache: Vec<(Arc<Cache>, Vec<Incoming>)> = Vec::new();
    for event in events {
        let Some((cache, incoming)) = incoming(core, event) else { continue };
        match by_cache.iter_mut().find(|(other, _)| Arc::ptr_eq(other, &cache)) {
            Some((_, changes)) => changes.push(incoming),
            None => by_cache.push((cache, vec![incoming])),
        }
    }
    for (cache, changes) in by_cache {
        let later = cache.apply(changes);
        core.wake_later(&cache, later);
    }
}

fn incoming(core: &Core, event: RawEvent) -> Option<(Arc<Cache>, Incoming)> {
    let (_, cache) = core.place(&event.key)?;
    let RawEvent { key, revision, value } = cache.defer(event)?;
    let (key, _) = core.place(&key)?;
    let own = core.own.take(key, value.as_deref(), revision);
    let change = match (value, own) {
        (None, last_state) => Change::Delete(last_state),
        (Some(_), Some(object)) => Change::Put(object),
        (Some(value), None) => match crate::encode::decode(&cache.form(), key, &value, revision) {
            Ok(object) => Change::Put(Arc::new(object)),
            Err(error) => {
                // What cannot be read is as good as gone.
                tracing::error!(%error, "dropping an object");
                Change::Delete(None)
            }
        },
    };
    Some((cache, Incoming { key: key.into(), revision, change }))
}
