//! What pods and the node's status have to know about the machine.

use crate::eviction::Pressure;
use crate::resources::Amount;
use parking_lot::RwLock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Notify;

/// The node as it is now.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub name: String,
    /// Of the node's object; `None` until it is registered.
    pub uid: Option<String>,
    pub host_ips: Vec<String>,
    pub capacity: BTreeMap<String, Amount>,
    pub allocatable: BTreeMap<String, Amount>,
    pub labels: BTreeMap<String, String>,
    /// Why pods cannot get a network; `None` if they can.
    pub network_down: Option<String>,
    /// What is running out.
    pub pressures: BTreeSet<Pressure>,
    /// Whether the node is being switched off.
    pub shuts_down: bool,
}

/// Shares the facts. Cheap to clone; few writers (the node's status loop, the
/// eviction manager), many readers.
#[derive(Clone, Debug, Default)]
pub struct NodeFacts {
    facts: Arc<RwLock<Facts>>,
    hurry: Arc<Notify>,
}

impl NodeFacts {
    pub fn new(facts: Facts) -> Self {
        Self { facts: Arc::new(RwLock::new(facts)), hurry: Arc::default() }
    }

    /// A copy of all.
    pub fn get(&self) -> Facts {
        self.facts.read().clone()
    }

    pub fn name(&self) -> String {
        self.facts.read().name.clone()
    }

    pub fn host_ips(&self) -> Vec<String> {
        self.facts.read().host_ips.clone()
    }

    pub fn memory(&self) -> Amount {
        self.facts.read().capacity.get("memory").copied().unwrap_or_default()
    }

    pub fn network_down(&self) -> Option<String> {
        self.facts.read().network_down.clone()
    }

    /// Changes them.
    pub fn update(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.facts.write());
    }

    /// The node's status is to be written soon: something has changed that cannot wait.
    pub fn report_now(&self) {
        self.hurry.notify_one();
    }

    /// Waits until the status is to be written.
    pub async fn hurry(&self) {
        self.hurry.notified().await;
    }
}
