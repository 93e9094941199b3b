//! The node's `volumesInUse`: a volume stands there before it is mounted and until it is not any more, so that nobody
//! detaches it in between.
//!
//! Upstream: `pkg/kubelet/volumemanager/cache` and the setter in `pkg/kubelet/nodestatus`.

use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::watch;

/// The volumes by their unique names. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct InUse(Arc<Lists>);

#[derive(Debug)]
struct Lists {
    wanted: watch::Sender<BTreeSet<String>>,
    reported: watch::Sender<BTreeSet<String>>,
}

impl Default for Lists {
    fn default() -> Self {
        Self { wanted: watch::Sender::new(BTreeSet::new()), reported: watch::Sender::new(BTreeSet::new()) }
    }
}

impl InUse {
    /// The volume is going to be mounted, or is.
    pub fn add(&self, unique: &str) {
        self.0.wanted.send_if_modified(|all| all.insert(unique.to_owned()));
    }

    /// It is not mounted any more.
    pub fn remove(&self, unique: &str) {
        self.0.wanted.send_if_modified(|all| all.remove(unique));
    }

    /// What the node's status is to say.
    pub fn wanted(&self) -> BTreeSet<String> {
        self.0.wanted.borrow().clone()
    }

    /// The node's status says so now.
    pub fn set_reported(&self, all: BTreeSet<String>) {
        self.0.reported.send_replace(all);
    }

    /// Whether the node's status has the volume.
    pub fn is_reported(&self, unique: &str) -> bool {
        self.0.reported.borrow().contains(unique)
    }

    /// Waits until the node's status has the volume.
    pub async fn reported(&self, unique: &str) {
        // The sender lives as long as this handle.
        let _ = self.0.reported.subscribe().wait_for(|all| all.contains(unique)).await;
    }

    /// Waits until the node's status is to be written.
    pub async fn differs(&self) {
        let mut wanted = self.0.wanted.subscribe();
        let _ = wanted.wait_for(|all| *all != *self.0.reported.borrow()).await;
    }
}
