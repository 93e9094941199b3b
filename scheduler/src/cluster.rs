//! The state that one decision is made on: nodes with their pods, namespaces, what
//! groups pods, storage, and devices.
//!
//! It changes only between decisions (the cache's lock is held during one), so every decision
//! sees a snapshot without copying anything.

use crate::devices::Devices;
use crate::model::Nodes;
use crate::model::groups::Groups;
use crate::model::selector::Labels;
use crate::model::storage::Storage;
use std::collections::HashMap;

/// Nodes with their pods, the labels of namespaces, what groups pods, storage, and devices.
#[derive(Debug, Default)]
pub struct Cluster {
    /// The nodes.
    pub nodes: Nodes,
    /// Labels by namespace.
    pub namespaces: HashMap<String, Labels>,
    /// What groups pods together.
    pub groups: Groups,
    /// Claims, volumes and what is behind them.
    pub storage: Storage,
    /// Claims of devices, their classes, and what is offered.
    pub devices: Devices,
}

static NO_LABELS: Labels = Labels::new();

impl Cluster {
    /// A namespace's labels; none if it is unknown.
    pub fn namespace_labels(&self, namespace: &str) -> &Labels {
        self.namespaces.get(namespace).unwrap_or(&NO_LABELS)
    }
}
