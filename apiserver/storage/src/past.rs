//! What happened before this server's start, read from etcd when a watcher asks for it.
//!
//! The cache knows events from its first load on. After a restart every watcher comes back with a
//! revision from before that. What etcd has not compacted is read once, for all resources, and put
//! before the events that are there; so watchers go on where they were instead of listing anew.
//!
//! See `docs/adr/0002-history-before-the-start.md`.

use crate::StorageError;
use crate::backend::{Kv, PastEvent};
use crate::cache::{Cache, Recorded};
use crate::core::Core;
use crate::encode;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Revisions that are read at once, at most: some minutes of a busy cluster.
const MOST_REVISIONS: u64 = 50_000;
/// Bytes that are read at once, at most.
const MOST_BYTES: usize = 64 << 20;

/// What is known of the past so far.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// Before this revision there is nothing to be had. Held while somebody reads.
    oldest: Mutex<u64>,
}

impl Past {
    /// Sees to it that a cache knows all events after a revision. `false` if they are not to be had.
    pub(crate) async fn reach(&self, core: &Core, cache: &Cache, revision: u64) -> bool {
        let mut oldest = self.oldest.lock().await;
        // Somebody else has read it meanwhile.
        if is_known(cache, revision) {
            return true;
        }
        let until = cache.recent(|recent| recent.floor());
        if revision < *oldest || revision < core.compacted() || until.saturating_sub(revision) > MOST_REVISIONS {
            return false;
        }
        match core.backend.past(revision + 1, until, MOST_BYTES).await {
            Ok(past) => {
                tracing::info!(revision, until, events = past.len(), "read events from before the start");
                if let Err(error) = add(core, past, revision, until) {
                    tracing::warn!(%error, revision, until, "cannot read events from before the start");
                }
                is_known(cache, revision)
            }
            Err(StorageError::Expired { .. }) => {
                *oldest = (*oldest).max(revision + 1);
                false
            }
            Err(error) => {
                tracing::warn!(%error, revision, until, "cannot read events from before the start");
                false
            }
        }
    }
}

fn is_known(cache: &Cache, revision: u64) -> bool {
    cache.recent(|recent| recent.after(revision).is_some())
}

/// Hands out events to all caches, also those that none of them concerns: they know now that there
/// were none.
fn add(core: &Core, past: Vec<PastEvent>, from: u64, until: u64) -> Result<(), StorageError> {
    let mut by_cache: HashMap<Box<str>, Vec<Recorded>> = HashMap::new();
    for event in &past {
        let Some((key, cache)) = core.place(&event.event.key) else { continue };
        if let Some(recorded) = recorded(&cache, key, event)? {
            by_cache.entry(cache.prefix().into()).or_default().push(recorded);
        }
    }
    for cache in core.caches().iter().filter(|cache| cache.is_ready()) {
        cache.prepend(by_cache.remove(cache.prefix()).unwrap_or_default(), from, until);
    }
    Ok(())
}

/// An event as the cache would have recorded it. What cannot be read is as good as gone; what cannot
/// be decrypted at present is an error.
fn recorded(
    cache: &Cache,
    key: &str,
    PastEvent { event, before }: &PastEvent,
) -> Result<Option<Recorded>, StorageError> {
    let object = |value: &[u8], revision| match encode::decode(&cache.form(), key, value, revision) {
        Ok(object) => Ok(Some(Arc::new(object))),
        Err(error @ StorageError::Sealed { .. }) => Err(error),
        Err(_) => Ok(None),
    };
    let before = before.as_ref().map(|Kv { value, mod_revision, .. }| object(value, *mod_revision));
    let after = event.value.as_ref().map(|value| object(value, event.revision));
    let (before, after) = (before.transpose()?.flatten(), after.transpose()?.flatten());
    Ok((before.is_some() || after.is_some()).then(|| Recorded::new(event.revision, before, after)))
}
