//! The one task that reads etcd's watch and feeds all caches, in revision order.

use crate::StorageError;
use crate::backend::{Events, Kv, Range, RawEvent, prefix_end};
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
/// Pause between attempts to read what could not be decrypted.
const SEALED_PAUSE: Duration = Duration::from_secs(1);

/// Reads the whole prefix into all caches that are there. Returns the revision.
pub(crate) async fn load(core: &Core) -> Result<u64, StorageError> {
    let (mut objects, revision) = read(core).await?;
    for cache in core.caches() {
        match objects.remove(cache.prefix()).unwrap_or_default() {
            Found { sealed: Some(why), .. } => core.seal(&cache, why),
            Found { objects, sealed: None } => {
                let deferred = cache.load(objects, revision);
                apply(core, deferred);
            }
        }
    }
    core.observed.send_replace(revision);
    Ok(revision)
}

/// Reads one resource into its new cache while the watch goes on. What cannot be decrypted at
/// present is left for later.
pub(crate) async fn load_one(core: &Core, cache: &Arc<Cache>) -> Result<(), StorageError> {
    let _alone = cache.loading.lock().await;
    match cache.is_ready() {
        true => Ok(()),
        false => load_alone(core, cache).await,
    }
}

async fn load_alone(core: &Core, cache: &Arc<Cache>) -> Result<(), StorageError> {
    cache.forget_deferred();
    let mut found = Found::default();
    let take = |kvs: Vec<Kv>| kvs.iter().for_each(|kv| found.add(decode(core, kv)));
    let revision = core.read_all(cache.prefix(), take).await?;
    match found.sealed {
        Some(why) => core.seal(cache, why),
        None => {
            let deferred = cache.load(found.objects, revision);
            apply(core, deferred);
        }
    }
    Ok(())
}

/// Reads the caches that could not be read before, until they can be.
pub(crate) async fn unseal(core: Arc<Core>, mut sealed: mpsc::UnboundedReceiver<Arc<Cache>>) {
    let mut waiting: Vec<Arc<Cache>> = Vec::new();
    loop {
        tokio::select! {
            cache = sealed.recv() => match cache {
                Some(cache) => waiting.push(cache),
                None => return,
            },
            () = tokio::time::sleep(SEALED_PAUSE), if !waiting.is_empty() => {
                for cache in &waiting {
                    if let Err(error) = try_again(&core, cache).await {
                        tracing::warn!(%error, "cannot read objects, trying again");
                    }
                }
                waiting.retain(|cache| cache.sealed().is_some() && core.is_current(cache));
            }
        }
    }
}

/// Reads a cache if its first object can be read.
async fn try_again(core: &Core, cache: &Arc<Cache>) -> Result<(), StorageError> {
    let _alone = cache.loading.lock().await;
    let start = core.full_key(cache.prefix());
    let end = prefix_end(&start);
    // What was kept until now is in what will be read later.
    cache.forget_deferred();
    let page = core.backend.range(Range { start, end, revision: 0, limit: 1 }).await?;
    match page.kvs.first().map(|kv| decode(core, kv)) {
        Some(Decoded::Sealed(..)) => Ok(()),
        _ if cache.is_ready() => Ok(()),
        _ => load_alone(core, cache).await,
    }
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
        let found = objects.remove(cache.prefix()).unwrap_or_default();
        if let Some(why) = found.sealed {
            core.seal_anew(cache, why);
            continue;
        }
        let later = cache.replace(found.objects, listed);
        core.wake_later(cache, later);
    }
    core.set_compacted(*revision);
    *revision = listed;
    core.observed.send_replace(listed);
    Ok(())
}

/// What was read for a cache.
#[derive(Debug, Default)]
struct Found {
    objects: Vec<Arc<Object>>,
    /// Why something of it cannot be read at present.
    sealed: Option<StorageError>,
}

impl Found {
    fn add(&mut self, decoded: Decoded) {
        match decoded {
            Decoded::Object(_, object) => self.objects.push(object),
            Decoded::Sealed(_, why) => drop(self.sealed.get_or_insert(why)),
            Decoded::Nothing => {}
        }
    }
}

/// A value of etcd and the cache that it belongs to.
#[derive(Debug)]
enum Decoded {
    Object(Arc<Cache>, Arc<Object>),
    /// It cannot be decrypted at present.
    Sealed(Arc<Cache>, StorageError),
    /// It belongs to none, or makes no sense, which is said.
    Nothing,
}

/// All objects by the prefix of their cache.
async fn read(core: &Core) -> Result<(HashMap<Box<str>, Found>, u64), StorageError> {
    let mut objects: HashMap<Box<str>, Found> = HashMap::new();
    let take = |kvs: Vec<Kv>| {
        for decoded in kvs.iter().map(|kv| decode(core, kv)) {
            let (Decoded::Object(cache, _) | Decoded::Sealed(cache, _)) = &decoded else { continue };
            let found = objects.entry(cache.prefix().into()).or_default();
            found.add(decoded);
        }
    };
    let revision = core.read_all("", take).await?;
    Ok((objects, revision))
}

fn decode(core: &Core, kv: &Kv) -> Decoded {
    let Some((key, cache)) = core.place(&kv.key) else { return Decoded::Nothing };
    match core.object(&cache, key, &kv.value, kv.mod_revision) {
        Ok(object) => Decoded::Object(cache, object),
        Err(error @ StorageError::Sealed { .. }) => Decoded::Sealed(cache, error),
        Err(error) => {
            tracing::error!(%error, "skipping an object");
            Decoded::Nothing
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
            Err(error @ StorageError::Sealed { .. }) => {
                core.seal_anew(&cache, error);
                return None;
            }
            Err(error) => {
                // What cannot be read is as good as gone.
                tracing::error!(%error, "dropping an object");
                Change::Delete(None)
            }
        },
    };
    Some((cache, Incoming { key: key.into(), revision, change }))
}
