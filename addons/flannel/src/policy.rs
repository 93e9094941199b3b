//! Network policies of this node's pods, enforced where packets are forwarded.
//!
//! Traffic between the node and its own pods is not forwarded and always passes, probes included; so do
//! answers, and whatever a pod sends to itself. Upstream: `kubernetes-sigs/kube-network-policies`, which
//! flannel runs beside itself.

mod nft;
mod plan;
mod pod;
mod ruleset;

pub use nft::Filter;
pub use plan::{Cluster, plan};
pub use pod::Pod;
pub use ruleset::Ruleset;

use crate::config::Family;
use client::Informer;
use client::informer::{Builder, Change, Scope};
use component::Supervisor;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Pause before something that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often the rules are looked at when nothing changes.
const PERIOD: Duration = Duration::from_secs(10);
/// Least time between two updates: changes that come together are written together.
const GATHER: Duration = Duration::from_millis(100);
/// How much longer than an update took the next one waits at least: a large cluster changes all the time.
const REST: u32 = 9;

/// Starts to enforce the policies of this node's pods.
pub fn start(client: &kube::Client, node_name: &str, families: &[Family], supervisor: &Supervisor) {
    let changed = Arc::new(Notify::new());
    let caches = Caches::new(client, &changed, supervisor);
    let filters = families.iter().copied().map(Filter::new).collect();
    let enforcer = Enforcer { caches, node_name: node_name.to_owned(), filters, changed };
    supervisor.spawn_until_stop("network policies", enforcer.run());
}

/// Takes the rules away that an earlier run may have left.
pub async fn remove(families: &[Family]) {
    for family in families {
        if let Err(error) = Filter::new(*family).remove().await {
            tracing::debug!("no rules of network policies to remove: {error}");
        }
    }
}

struct Caches {
    pods: Informer<Pod>,
    namespaces: Informer<Namespace>,
    policies: Informer<NetworkPolicy>,
}

impl Caches {
    fn new(client: &kube::Client, changed: &Arc<Notify>, supervisor: &Supervisor) -> Self {
        let notify = || {
            let changed = changed.clone();
            move || changed.notify_one()
        };
        let told = notify();
        let (pods, run) = Builder::<Pod>::new(client.clone(), Scope::default())
            .trim(Pod::trim)
            .on_change(move |change| {
                if !matches!(change, Change::Updated(old, new) if old.is_same(new)) {
                    told();
                }
            })
            .build();
        supervisor.spawn_until_stop("pods", run);
        let told = notify();
        let (namespaces, run) = Builder::<Namespace>::new(client.clone(), Scope::default())
            .trim(|namespace: &mut Namespace| {
                namespace.spec = None;
                namespace.status = None;
                namespace.metadata.annotations = None;
            })
            .on_change(move |change| {
                let same = |old: &Namespace, new: &Namespace| old.metadata.labels == new.metadata.labels;
                if !matches!(change, Change::Updated(old, new) if same(old, new)) {
                    told();
                }
            })
            .build();
        supervisor.spawn_until_stop("namespaces", run);
        let told = notify();
        let (policies, run) =
            Builder::<NetworkPolicy>::new(client.clone(), Scope::default()).on_change(move |_| told()).build();
        supervisor.spawn_until_stop("policies", run);
        Self { pods, namespaces, policies }
    }

    async fn synced(&self) {
        futures::future::join3(self.pods.synced(), self.namespaces.synced(), self.policies.synced()).await;
    }
}

struct Enforcer {
    caches: Caches,
    node_name: String,
    filters: Vec<Filter>,
    changed: Arc<Notify>,
}

impl Enforcer {
    async fn run(mut self) {
        self.caches.synced().await;
        let (mut complaint, mut looked) = (String::new(), Instant::now());
        loop {
            let started = Instant::now();
            let outcome = self.enforce().await;
            let rest = GATHER.max(started.elapsed() * REST).min(PERIOD);
            let next = match outcome {
                Ok(()) => {
                    complaint.clear();
                    PERIOD
                }
                Err(error) => {
                    let text = error.to_string();
                    if text != complaint {
                        tracing::error!("network policies are not enforced: {text}");
                        complaint = text;
                    }
                    RETRY
                }
            };
            if tokio::time::timeout(next, self.changed.notified()).await.is_ok() {
                tokio::time::sleep(rest).await;
            }
            if looked.elapsed() >= PERIOD {
                self.look().await;
                looked = Instant::now();
            }
        }
    }

    async fn enforce(&mut self) -> Result<(), component::program::ProgramError> {
        let cluster = Cluster {
            node: &self.node_name,
            pods: &self.caches.pods.list(),
            namespaces: &self.caches.namespaces.list(),
            policies: &self.caches.policies.list(),
        };
        for filter in &mut self.filters {
            let written = filter.apply(plan(filter.family(), &cluster)).await?;
            if written > 0 {
                tracing::debug!(family = ?filter.family(), commands = written, "network policies written");
            }
        }
        Ok(())
    }

    /// Rules that somebody removed are written again.
    async fn look(&mut self) {
        for filter in &mut self.filters {
            if !filter.is_there().await {
                tracing::warn!(family = ?filter.family(), "the rules of network policies are gone; writing them again");
                filter.forget();
            }
        }
    }
}
