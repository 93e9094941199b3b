//! Wakes a pod's worker from anywhere.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// One bell per pod. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Nudges(Arc<Mutex<HashMap<String, Arc<Notify>>>>);

impl Nudges {
    /// The bell that the pod's worker listens to.
    pub fn of(&self, uid: &str) -> Arc<Notify> {
        self.0.lock().entry(uid.to_owned()).or_default().clone()
    }

    /// Rings it; a worker that is busy hears it afterwards. Nothing for unknown pods.
    pub fn nudge(&self, uid: &str) {
        if let Some(bell) = self.0.lock().get(uid) {
            bell.notify_one();
        }
    }

    /// Takes it away.
    pub fn forget(&self, uid: &str) {
        self.0.lock().remove(uid);
    }
}
