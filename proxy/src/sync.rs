//! The loop: changes in the informers → a new plan → the kernel. Changes that come together are
//! applied together, at most once per `minSyncPeriod` after a first burst.

use crate::conntrack;
use crate::iptables::{self, Iptables};
use crate::model::{Family, NodeFacts, Plan, plan};
use client::Informer;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Index of slices by `namespace/service`.
pub const BY_SERVICE: &str = "service";
/// Pause before a failed sync is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What the loop reads.
#[derive(Clone, Debug)]
pub struct Caches {
    /// All Services.
    pub services: Informer<Service>,
    /// All EndpointSlices, indexed by [`BY_SERVICE`].
    pub slices: Informer<EndpointSlice>,
    /// This node's object.
    pub node: Informer<Node>,
}

/// Times of the last change and the last sync, in milliseconds since the epoch, for `/healthz`.
#[derive(Debug, Default)]
pub struct Progress {
    queued: AtomicI64,
    synced: AtomicI64,
}

impl Progress {
    /// Notes a change that waits for a sync.
    pub fn queue(&self) {
        let now = now_millis();
        // The oldest change that waits counts.
        if self.queued.load(Ordering::Relaxed) <= self.synced.load(Ordering::Relaxed) {
            self.queued.store(now, Ordering::Relaxed);
        }
    }

    fn done(&self, started: i64) {
        self.synced.store(started, Ordering::Relaxed);
    }

    /// Whether a change has waited longer than twice this period, or nothing was ever synced.
    pub fn is_stuck(&self, period: Duration) -> bool {
        let (queued, synced) = (self.queued.load(Ordering::Relaxed), self.synced.load(Ordering::Relaxed));
        synced == 0 || queued > synced && now_millis() - queued > 2 * period.as_millis() as i64
    }

    /// When the rules were last right, in milliseconds since the epoch; 0 is never.
    pub fn last_synced(&self) -> i64 {
        self.synced.load(Ordering::Relaxed)
    }
}

fn now_millis() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// The rules of one family, kept in step with the caches.
#[derive(Debug)]
pub struct Syncer {
    /// What it reads.
    pub caches: Caches,
    /// This node's name.
    pub node_name: String,
    /// How the rules are made.
    pub options: iptables::Options,
    /// The kernel.
    pub kernel: Iptables,
    /// The plan that the kernel has.
    pub applied: Plan,
    /// Told of every sync.
    pub progress: Arc<Progress>,
}

impl Syncer {
    /// Syncs whenever `changed` is notified, and every `period` in any case, until dropped.
    pub async fn run(mut self, changed: Arc<Notify>, min_period: Duration, period: Duration) {
        self.caches.services.synced().await;
        self.caches.slices.synced().await;
        let mut throttle = Throttle::new(min_period);
        loop {
            let next = match self.sync().await {
                Ok(()) => period,
                Err(error) => {
                    tracing::error!(error = %chain(&error), "cannot apply rules");
                    RETRY
                }
            };
            // A periodic sync writes everything anew, which repairs what others broke.
            if tokio::time::timeout(next, changed.notified()).await.is_err() && next == period {
                self.kernel.forget();
            }
            throttle.wait().await;
        }
    }

    async fn sync(&mut self) -> Result<(), iptables::ApplyError> {
        let started = now_millis();
        let wanted = self.plan();
        let written = self.kernel.apply(iptables::render(&self.options, &wanted)).await?;
        // Entries go after the rules, or traffic would renew them at once.
        let stale = conntrack::stale(&self.applied, &wanted);
        conntrack::remove(&stale).await;
        tracing::debug!(rules = written, stale = stale.len(), ports = wanted.ports.len(), "rules applied");
        self.applied = wanted;
        self.progress.done(started);
        Ok(())
    }

    fn plan(&self) -> Plan {
        let node = self.caches.node.get("", &self.node_name);
        let zone = node.and_then(|n| n.metadata.labels.as_ref()?.get("topology.kubernetes.io/zone").cloned());
        let facts = NodeFacts { name: self.node_name.clone(), zone: zone.unwrap_or_default() };
        let services = self.caches.services.list();
        plan(self.options.family, &facts, services.iter().map(|s| &**s), |service| {
            let metadata = &service.metadata;
            let key = format!(
                "{}/{}",
                metadata.namespace.as_deref().unwrap_or_default(),
                metadata.name.as_deref().unwrap_or_default()
            );
            self.caches.slices.by_index(BY_SERVICE, &key)
        })
    }
}

/// The families that rules are kept for: the bind address' own.
pub fn families(bind_address: std::net::IpAddr) -> Vec<Family> {
    match bind_address {
        std::net::IpAddr::V4(_) => vec![Family::V4],
        std::net::IpAddr::V6(_) => vec![Family::V6],
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Lets two syncs through at once and then one per period.
#[derive(Debug)]
struct Throttle {
    period: Duration,
    /// When the next token is due; up to one is saved.
    next: Instant,
}

impl Throttle {
    fn new(period: Duration) -> Self {
        Self { period, next: Instant::now() }
    }

    async fn wait(&mut self) {
        let now = Instant::now();
        let earliest = now.checked_sub(self.period).unwrap_or(now);
        self.next = self.next.max(earliest);
        if self.next > now {
            tokio::time::sleep_until(self.next).await;
        }
        self.next += self.period;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_then_one_per_period() {
        let mut throttle = Throttle::new(Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(10)).await;
        let start = Instant::now();
        let mut times = Vec::new();
        for _ in 0..4 {
            throttle.wait().await;
            times.push(start.elapsed().as_secs());
        }
        assert_eq!(times, [0, 0, 1, 2]);
    }

    #[test]
    fn progress_is_stuck_until_the_first_sync() {
        let progress = Progress::default();
        assert!(progress.is_stuck(Duration::from_secs(30)));
        progress.done(now_millis());
        assert!(!progress.is_stuck(Duration::from_secs(30)));
        progress.queue();
        assert!(!progress.is_stuck(Duration::from_secs(30)));
    }
}
