//! The nftables back end: plan → chains, sets and maps of a table of its own (pure) → `nft -f -`,
//! what changed only, in one transaction.
//!
//! A packet to a Service is one look-up in a map, whatever the number of Services. What the kernel
//! has is kept in memory; one port's rules are rendered again from its old plan to find what differs.
//!
//! Upstream: `pkg/proxy/nftables/proxier.go`; table, chains, sets and maps have its names.

mod base;
mod elements;
mod kernel;
mod names;
mod port;
mod transaction;

pub use kernel::cleanup;

use crate::backend::{Backend, BackendError, Extent, Settings, node_addresses};
use crate::metrics::Metrics;
use crate::model::{Plan, PortPlan};
use component::program::ProgramError;
use elements::Elements;
use futures::future::BoxFuture;
use port::Rules;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use transaction::Transaction;

/// Before Linux 6.2 a chain counts as used for a moment after the last element that points to it is gone.
const CHAIN_IN_USE: Duration = Duration::from_secs(1);

/// The kernel's rules of one family.
#[derive(Debug)]
pub struct Nftables {
    settings: Settings,
    metrics: Metrics,
    applied: Option<Applied>,
    /// Emptied chains that nobody needs, and since when.
    stale: BTreeMap<String, Instant>,
    /// Whether this process has made the base chains.
    has_base: bool,
}

/// What was written last.
#[derive(Debug, Default)]
struct Applied {
    plan: Plan,
    elements: Elements,
}

impl Nftables {
    /// Rules as `settings` say; nothing is known of the kernel's state yet.
    pub fn new(settings: Settings, metrics: Metrics) -> Self {
        Self { settings, metrics, applied: None, stale: BTreeMap::new(), has_base: false }
    }

    async fn write(&mut self, plan: &Plan) -> Result<Extent, BackendError> {
        let family = self.settings.family;
        let mut transaction = Transaction::new(family);
        // Whatever fails below, the kernel's state is unknown then.
        let (mut applied, found) = match self.applied.take() {
            Some(applied) => (applied, None),
            None => (Applied::default(), Some(kernel::found(family).await?)),
        };
        if found.is_some() {
            let addresses = self.settings.node_ports.select(|| node_addresses(family));
            let text = base::text(&self.settings, addresses.as_deref(), &plan.service_cidrs, !self.has_base);
            transaction.base(&text);
        } else if applied.plan.service_cidrs != plan.service_cidrs {
            transaction.base(&base::cluster_ips_check(family, &plan.service_cidrs));
        }
        for change in plan.changes(&applied.plan) {
            let owner = Arc::new(change.name.clone());
            let [mut old, mut new] = [change.old, change.new].map(|port| self.rules(port));
            let [before, after] = [&mut old, &mut new].map(|rules| std::mem::take(&mut rules.elements));
            applied.elements.replace(&owner, before, after);
            transaction.port(&old, new);
        }
        applied.plan = plan.clone();
        transaction.elements(applied.elements.take_changes());
        let extent = match &found {
            Some(found) => {
                transaction.remove_all_but_written(found);
                Extent::Full
            }
            None if transaction.is_empty() => Extent::Nothing,
            None => Extent::Partial,
        };
        self.note_stale(&transaction);
        if extent != Extent::Nothing {
            kernel::apply(&transaction.text()).await?;
        }
        self.has_base = true;
        self.applied = Some(applied);
        Ok(extent)
    }

    fn rules(&self, port: Option<&Arc<PortPlan>>) -> Rules {
        port.map(|port| port::render(&self.settings, port)).unwrap_or_default()
    }

    fn note_stale(&mut self, transaction: &Transaction) {
        let now = Instant::now();
        self.stale.extend(transaction.emptied().map(|chain| (chain.to_owned(), now)));
        self.stale.retain(|chain, _| !transaction.writes(chain));
    }

    async fn remove_stale(&mut self) -> Result<(), ProgramError> {
        let due: Vec<_> =
            self.stale.iter().filter(|(_, since)| since.elapsed() > CHAIN_IN_USE).map(|(c, _)| c.clone()).collect();
        if due.is_empty() {
            return Ok(());
        }
        self.stale.retain(|chain, _| !due.contains(chain));
        let outcome = kernel::apply(&transaction::delete_chains(self.settings.family, &due)).await;
        if outcome.is_err() {
            // Who knows what is there: find out.
            self.metrics.nftables_cleanup_failure(self.settings.family);
            self.forget();
        }
        outcome
    }
}

impl Backend for Nftables {
    fn apply<'a>(&'a mut self, plan: &'a Plan) -> BoxFuture<'a, Result<Extent, BackendError>> {
        Box::pin(async move {
            let outcome = self.write(plan).await;
            if outcome.is_err() {
                self.stale.clear();
                self.metrics.nftables_failure(self.settings.family);
            }
            outcome
        })
    }

    fn forget(&mut self) {
        self.applied = None;
    }

    fn maintain(&mut self) -> BoxFuture<'_, Result<bool, BackendError>> {
        Box::pin(async move {
            if self.applied.is_some() && !kernel::is_there(self.settings.family).await {
                tracing::info!(
                    family = self.settings.family.as_str(),
                    "somebody removed the table; writing everything anew"
                );
                self.stale.clear();
                self.forget();
                return Ok(false);
            }
            self.remove_stale().await?;
            Ok(true)
        })
    }
}

#[cfg(test)]
#[path = "nftables/tests.rs"]
mod tests;
