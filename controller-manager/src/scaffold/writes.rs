//! Read-your-writes: a key is held back until the caches have seen what was last written for it,
//! so that no controller acts on its own stale view.
//!
//! Upstream: `controller.ControllerExpectations`, `util/consistency`.

use client::informer::{Cached, Informer, ObjectKey};
use futures::FutureExt as _;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A write that has not arrived after this time left the cache's scope, or was lost with the
/// watch; acting on a stale view is then better than not acting.
const AT_MOST: Duration = Duration::from_secs(30);

type Arrived = Box<dyn Fn() -> bool + Send + Sync>;

/// The writes of one controller that its caches have not shown yet. Cheap to clone.
#[derive(Clone, Default)]
pub struct Writes {
    pending: Arc<Mutex<HashMap<ObjectKey, Vec<Pending>>>>,
}

struct Pending {
    until: Instant,
    arrived: Arrived,
}

impl std::fmt::Debug for Writes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writes").field("keys", &self.pending.lock().len()).finish()
    }
}

impl Writes {
    /// `object` is what the apiserver answered to a create or an update made for `key`.
    pub fn wrote<K: Cached>(&self, key: &ObjectKey, cache: &Informer<K>, object: &K) {
        let Some(version) = object.meta().resource_version.clone() else { return };
        let (cache, written) = (cache.clone(), ObjectKey::of(object));
        // `seen` is ready at once when the cache is there already.
        self.expect(key, Box::new(move || cache.seen(&written, &version).now_or_never().is_some()));
    }

    /// A delete of `object` was accepted, made for `key`.
    pub fn deleted<K: Cached>(&self, key: &ObjectKey, cache: &Informer<K>, object: &K) {
        let (cache, gone, uid) = (cache.clone(), ObjectKey::of(object), object.meta().uid.clone());
        self.expect(
            key,
            Box::new(move || {
                cache
                    .get(&gone.namespace, &gone.name)
                    .is_none_or(|cached| cached.meta().uid != uid || cached.meta().deletion_timestamp.is_some())
            }),
        );
    }

    fn expect(&self, key: &ObjectKey, arrived: Arrived) {
        let pending = Pending { until: Instant::now() + AT_MOST, arrived };
        self.pending.lock().entry(key.clone()).or_default().push(pending);
    }

    /// Whether the caches have seen all writes made for `key`.
    pub fn settled(&self, key: &ObjectKey) -> bool {
        let Some(mut waiting) = self.pending.lock().remove(key) else { return true };
        let now = Instant::now();
        waiting.retain(|pending| pending.until > now && !(pending.arrived)());
        if waiting.is_empty() {
            return true;
        }
        self.pending.lock().entry(key.clone()).or_default().extend(waiting);
        false
    }

    /// The object of this key is gone: nothing to wait for.
    pub fn forget(&self, key: &ObjectKey) {
        self.pending.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn key() -> ObjectKey {
        ObjectKey { namespace: "n".into(), name: "a".into() }
    }

    #[test]
    fn a_key_waits_for_each_of_its_writes() {
        let writes = Writes::default();
        let (first, second) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        for flag in [&first, &second] {
            let flag = Arc::clone(flag);
            writes.expect(&key(), Box::new(move || flag.load(Ordering::Relaxed)));
        }
        assert!(!writes.settled(&key()));
        first.store(true, Ordering::Relaxed);
        assert!(!writes.settled(&key()));
        second.store(true, Ordering::Relaxed);
        assert!(writes.settled(&key()));
        assert!(writes.pending.lock().is_empty());
    }

    #[test]
    fn a_lost_write_holds_no_key_forever() {
        let writes = Writes::default();
        writes.expect(&key(), Box::new(|| false));
        assert!(!writes.settled(&key()));
        writes.pending.lock().values_mut().flatten().for_each(|pending| pending.until = Instant::now());
        assert!(writes.settled(&key()));
    }
}
