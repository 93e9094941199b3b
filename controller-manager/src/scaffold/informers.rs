//! One cache per kind for all controllers, begun when the first of them asks for it, holding only
//! what some controller reads.
//!
//! Upstream: `client-go/informers.SharedInformerFactory`.

pub mod trims;
mod whole;
mod workloads;

use client::informer::{Builder, Cached, Informer, Scope};
use component::Supervisor;
use parking_lot::Mutex;
use std::any::{Any, TypeId};
use std::collections::HashMap;

/// A kind that controllers share a cache of.
pub trait SharedKind: Cached {
    /// Which of its objects are cached.
    fn scope() -> Scope {
        Scope::default()
    }

    /// Adds what to trim on ingest and which indexes to keep.
    fn shape(builder: Builder<Self>) -> Builder<Self> {
        builder
    }
}

/// The caches of this process.
pub struct Informers {
    client: kube::Client,
    supervisor: Supervisor,
    by_kind: Mutex<HashMap<TypeId, Box<dyn Any + Send>>>,
}

impl std::fmt::Debug for Informers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Informers").field("kinds", &self.by_kind.lock().len()).finish_non_exhaustive()
    }
}

impl Informers {
    /// No caches yet; their feeds will run under `supervisor`.
    pub fn new(client: kube::Client, supervisor: Supervisor) -> Self {
        Self { client, supervisor, by_kind: Mutex::default() }
    }

    /// The connection that feeds them.
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// The cache of this kind.
    pub fn of<K: SharedKind>(&self) -> Informer<K> {
        let mut by_kind = self.by_kind.lock();
        let known = by_kind.get(&TypeId::of::<K>()).and_then(|informer| informer.downcast_ref::<Informer<K>>());
        if let Some(informer) = known {
            return informer.clone();
        }
        let (informer, feed) = K::shape(Builder::new(self.client.clone(), K::scope())).build();
        self.supervisor.spawn_until_stop("informer", feed);
        by_kind.insert(TypeId::of::<K>(), Box::new(informer.clone()));
        informer
    }
}
