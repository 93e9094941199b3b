//! The static pods of all sources, and who is told of them.
//!
//! A pod whose manifest changed is another pod. It begins when the one before, which may hold its
//! ports, has ended.

use crate::pod::{CONFIG_HASH, PodExt};
use crate::workers::Workers;
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;

/// Pods by UID.
pub type Pods = HashMap<String, Arc<Pod>>;

/// Where manifests come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A folder.
    File,
    /// A server.
    Http,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Statics(Arc<Shared>);

struct Shared {
    workers: Workers,
    /// What the workers were told of.
    told: Mutex<HashMap<Source, Pods>>,
    wanted: watch::Sender<HashMap<Source, Vec<Arc<Pod>>>>,
}

impl Statics {
    /// None yet.
    pub fn new(workers: Workers) -> Self {
        Self(Arc::new(Shared { workers, told: Mutex::default(), wanted: watch::Sender::default() }))
    }

    /// Those that are wanted, as they change.
    pub fn wanted(&self) -> watch::Receiver<HashMap<Source, Vec<Arc<Pod>>>> {
        self.0.wanted.subscribe()
    }

    /// A source has these pods now; whether one has to wait for its predecessor and is to be told of again.
    pub fn set(&self, source: Source, now: Pods) -> bool {
        let mut told = self.0.told.lock();
        let told = told.entry(source).or_default();
        let gone: Vec<String> = told.keys().filter(|uid| !now.contains_key(*uid)).cloned().collect();
        for uid in gone {
            self.0.workers.remove(&uid);
            told.remove(&uid);
        }
        let mut waiting = false;
        let is_new = |pod: &&Arc<Pod>| told.get(pod.uid()).is_none_or(|known| !same(known, pod));
        let new: Vec<_> = now.values().filter(is_new).cloned().collect();
        for pod in new {
            let uid = pod.uid().to_owned();
            if self.0.workers.find(pod.namespace(), pod.name()).is_some_and(|other| other.uid() != uid) {
                waiting = true;
                continue;
            }
            tracing::info!(pod = pod.formatted(), "a static pod");
            self.0.workers.update(pod.clone());
            told.insert(uid, pod);
        }
        self.0.wanted.send_if_modified(|wanted| {
            let wanted = wanted.entry(source).or_default();
            let is_there = |pod: &Arc<Pod>| now.get(pod.uid()).is_some_and(|now| same(now, pod));
            let changed = wanted.len() != now.len() || !wanted.iter().all(is_there);
            if changed {
                *wanted = now.into_values().collect();
            }
            changed
        });
        waiting
    }
}

/// Whether two pods come from one state of a manifest.
fn same(a: &Pod, b: &Pod) -> bool {
    a.annotation(CONFIG_HASH) == b.annotation(CONFIG_HASH)
}
