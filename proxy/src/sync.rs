//! The loop of one family: changes in the informers → a new plan → the back end. Changes that come
//! together are applied together, at most once per `minSyncPeriod` after a first burst.
//!
//! Upstream: `pkg/proxy/runner`, and what its proxiers' `syncProxyRules` have in common.

use crate::backend::{Backend, BackendError, Extent};
use crate::caches::{BY_SERVICE, Caches};
use crate::conntrack;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::model::{Family, Fate, NodeFacts, Plan, Planner};
use crate::pending::{Batch, Pending};
use crate::service_health::ServiceHealth;
use client::ObjectKey;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Pause before a failed sync is tried again; it doubles up to `syncPeriod`.
const RETRY: Duration = Duration::from_secs(1);
/// After this long everything is written anew, whatever is thought to be there.
const FULL_PERIOD: Duration = Duration::from_secs(3600);

/// How long the first sync waits for the ranges of cluster IPs.
const RANGES: Duration = Duration::from_secs(1);

/// How often rules are written.
#[derive(Clone, Copy, Debug)]
pub struct Periods {
    /// `minSyncPeriod`: least time between two syncs.
    pub least: Duration,
    /// `syncPeriod`: time between two looks at whether the rules are still there.
    pub most: Duration,
}

/// The rules of one family, kept in step with the caches.
pub struct Syncer {
    /// The family.
    pub family: Family,
    /// What it reads.
    pub caches: Caches,
    /// What has changed in it.
    pub pending: Arc<Pending>,
    /// This node's name.
    pub node_name: String,
    /// The plan.
    pub planner: Planner,
    /// The kernel.
    pub backend: Box<dyn Backend>,
    /// The plan that the kernel has.
    pub applied: Plan,
    /// Told of every sync.
    pub health: Arc<Health>,
    /// Servers for load balancers.
    pub service_health: ServiceHealth,
    /// Counts.
    pub metrics: Metrics,
}

impl std::fmt::Debug for Syncer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Syncer").field("family", &self.family).finish_non_exhaustive()
    }
}

impl Syncer {
    /// Syncs whenever something is pending, until dropped.
    pub async fn run(mut self, periods: Periods) {
        // Whoever has not begun is not late.
        self.health.updated(self.family);
        self.caches.services.synced().await;
        self.caches.slices.synced().await;
        // Rules can do without the ranges, should they be kept from us.
        let _later = tokio::time::timeout(RANGES, self.caches.service_cidrs.synced()).await;
        self.pending.everything();
        let mut throttle = Throttle::new(periods.least);
        let mut maintenance = tokio::time::interval(periods.most);
        maintenance.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last_full = Instant::now();
        let mut retry = None;
        loop {
            tokio::select! {
                () = self.pending.wait() => {}
                () = pause(retry) => self.pending.everything(),
                _ = maintenance.tick() => {
                    if self.maintain().await && last_full.elapsed() < FULL_PERIOD {
                        continue;
                    }
                }
            }
            if last_full.elapsed() >= FULL_PERIOD {
                self.backend.forget();
            }
            throttle.wait().await;
            match self.sync().await {
                Ok(extent) => {
                    retry = None;
                    if extent == Extent::Full {
                        last_full = Instant::now();
                    }
                }
                Err(error) => {
                    tracing::error!(family = self.family.as_str(), error = %chain(&error), "cannot apply rules");
                    retry = Some(retry.map_or(RETRY, |last: Duration| last * 2).min(periods.most));
                }
            }
        }
    }

    /// Whether the rules are as they were applied.
    async fn maintain(&mut self) -> bool {
        match self.backend.maintain().await {
            Ok(intact) => intact,
            Err(error) => {
                tracing::warn!(family = self.family.as_str(), error = %chain(&error), "cannot tidy up rules");
                false
            }
        }
    }

    async fn sync(&mut self) -> Result<Extent, BackendError> {
        let started = Instant::now();
        let batch = self.pending.take();
        self.replan(&batch);
        let wanted = self.planner.plan();
        let outcome = self.backend.apply(wanted).await;
        let extent = *outcome.as_ref().unwrap_or(&Extent::Full);
        self.metrics.synced(self.family, started.elapsed(), extent, outcome.is_ok());
        if outcome.is_err() {
            // What was taken has still to be told of.
            self.pending.put_back(batch);
            return outcome;
        }
        self.health.updated(self.family);
        let now = SystemTime::now();
        for trigger in batch.triggers {
            // Clocks differ: what changed in the future changed now.
            self.metrics.programmed(self.family, now.duration_since(trigger).unwrap_or_default());
        }
        if extent != Extent::Nothing {
            // Entries go after the rules, or traffic would renew them at once.
            conntrack::reconcile(self.family, &self.applied, wanted, &self.metrics).await;
            count_without_endpoints(self.family, wanted, &self.metrics);
            tracing::debug!(family = self.family.as_str(), ?extent, ports = wanted.ports.len(), took = ?started.elapsed(), "rules applied");
        }
        self.service_health.sync(wanted);
        self.applied = wanted.clone();
        outcome
    }

    fn replan(&mut self, batch: &Batch) {
        let node = self.caches.node.get("", &self.node_name);
        let zone = node.and_then(|n| n.metadata.labels.as_ref()?.get(crate::caches::ZONE).cloned());
        let facts = NodeFacts { name: self.node_name.clone(), zone: zone.unwrap_or_default() };
        let moved = self.planner.set_node(facts);
        let cidrs = self.caches.service_cidrs.list();
        let cidrs = cidrs.iter().filter_map(|c| c.spec.as_ref()?.cidrs.as_ref()).flatten();
        self.planner.set_service_cidrs(cidrs.filter_map(|cidr| cidr.parse().ok()));
        if moved || batch.everything {
            let known = self.planner.plan().ports.keys();
            let mut keys: Vec<_> =
                known.map(|name| ObjectKey { namespace: name.namespace.clone(), name: name.service.clone() }).collect();
            keys.extend(self.caches.services.list().iter().map(|service| ObjectKey::of(&**service)));
            keys.sort();
            keys.dedup();
            keys.iter().for_each(|key| self.replan_one(key));
        } else {
            batch.services.iter().for_each(|key| self.replan_one(key));
        }
    }

    fn replan_one(&mut self, key: &ObjectKey) {
        let service = self.caches.services.get(&key.namespace, &key.name);
        let slices = self.caches.slices.by_index(BY_SERVICE, &key.to_string());
        self.planner.update(key, service.as_deref(), &slices);
    }
}

fn count_without_endpoints(family: Family, plan: &Plan, metrics: &Metrics) {
    let ports = || plan.ports.values();
    let internal = ports().filter(|port| port.internal() == Fate::Dropped).count();
    let external = ports().filter(|port| port.external() == Fate::Dropped).count();
    metrics.no_local_endpoints(family, internal, external);
}

/// For ever without a pause.
async fn pause(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
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
}
