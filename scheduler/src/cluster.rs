//! The state that one decision is made on: nodes with their pods, and namespaces.
//!
//! It changes only between decisions (the cache's lock is held during one), so every decision
//! sees a snapshot without copying anything.

use crate::model::Nodes;
use crate::model::selector::Labels;
use std::collections::HashMap;

/// Nodes with their pods, and the labels of namespaces.
#[derive(Debug, Default)]
pub struct Cluster {
    /// The nodes.
    pub nodes: Nodes,
    /// Labels by namespace.
    pub namespaces: HashMap<String, Labels>,
}

static NO_LABELS: Labels = Labels::new();

impl Cluster {
    /// A namespace's labels; none if it is unknown.
    pub fn namespace_labels(&self, namespace: &str) -> &Labels {
        self.namespaces.get(namespace).unwrap_or(&NO_LABELS)
    }
}
