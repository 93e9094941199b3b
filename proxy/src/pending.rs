//! What has changed since the last sync.

use crate::health::Health;
use crate::metrics::Metrics;
use crate::model::Family;
use client::ObjectKey;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::Notify;

/// So many times of changes are remembered; a flood of them needs no more to be measured.
const TRIGGERS_AT_MOST: usize = 10_000;

/// Changes that wait for a sync of one family.
#[derive(Debug)]
pub struct Pending {
    family: Family,
    health: Arc<Health>,
    metrics: Metrics,
    batch: Mutex<Batch>,
    changed: Notify,
}

/// Changes that are applied together.
#[derive(Debug, Default)]
pub struct Batch {
    /// Services that changed, or whose endpoints did.
    pub services: HashSet<ObjectKey>,
    /// Every Service has to be looked at.
    pub everything: bool,
    /// When what led to these changes happened.
    pub triggers: Vec<SystemTime>,
    changes: [usize; 2],
}

impl Pending {
    /// Nothing is pending.
    pub fn new(family: Family, health: Arc<Health>, metrics: Metrics) -> Self {
        Self { family, health, metrics, batch: Mutex::default(), changed: Notify::new() }
    }

    /// A Service changed.
    pub fn service(&self, key: ObjectKey) {
        self.change(|batch| {
            batch.services.insert(key);
            batch.changes[0] += 1;
        });
    }

    /// The endpoints of a Service changed, because of something at this time, if that is known.
    pub fn endpoints(&self, key: ObjectKey, trigger: Option<SystemTime>) {
        self.change(|batch| {
            batch.services.insert(key);
            batch.changes[1] += 1;
            batch.triggers.extend(trigger);
            batch.triggers.truncate(TRIGGERS_AT_MOST);
        });
    }

    /// Something changed that every Service depends on.
    pub fn everything(&self) {
        self.change(|batch| batch.everything = true);
    }

    /// Something else than Services changed.
    pub fn other(&self) {
        self.change(|_| {});
    }

    /// Waits for a change.
    pub async fn wait(&self) {
        self.changed.notified().await;
    }

    /// All changes so far.
    pub fn take(&self) -> Batch {
        self.metrics.pending(0, 0);
        std::mem::take(&mut *self.batch.lock())
    }

    /// Changes that could not be applied.
    pub fn put_back(&self, batch: Batch) {
        let mut now = self.batch.lock();
        now.services.extend(batch.services);
        now.everything |= batch.everything;
        now.triggers.splice(0..0, batch.triggers);
        now.triggers.truncate(TRIGGERS_AT_MOST);
    }

    fn change(&self, change: impl FnOnce(&mut Batch)) {
        {
            let mut batch = self.batch.lock();
            change(&mut batch);
            self.metrics.pending(batch.changes[0], batch.changes[1]);
        }
        self.health.queued(self.family);
        self.metrics.queued(self.family);
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn key(name: &str) -> ObjectKey {
        ObjectKey { namespace: "n".into(), name: name.into() }
    }

    #[tokio::test]
    async fn changes_are_taken_together_and_survive_a_failure() {
        let health = Arc::new(Health::new(Duration::from_secs(30)));
        let pending = Pending::new(Family::V4, health, Metrics::default());
        pending.service(key("a"));
        pending.endpoints(key("a"), Some(SystemTime::UNIX_EPOCH));
        pending.endpoints(key("b"), None);
        pending.wait().await;
        let batch = pending.take();
        assert_eq!((batch.services.len(), batch.triggers.len(), batch.everything), (2, 1, false));
        assert!(pending.take().services.is_empty());
        pending.service(key("c"));
        pending.put_back(batch);
        assert_eq!(pending.take().services.len(), 3);
    }
}
