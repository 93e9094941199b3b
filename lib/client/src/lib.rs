//! What every client of the apiserver needs once: a connection, indexed informers, a work queue,
//! leader election, events. Objects are typed (`k8s-openapi`); caches hand out `Arc<K>`.
//!
//! Upstream: `staging/src/k8s.io/client-go`.
#![warn(missing_docs)]

pub mod config;
pub mod deadline;
pub mod events;
pub mod informer;
mod lanes;
pub mod leader;
pub mod metrics;
pub mod queue;
mod rate;
mod transport;

pub use config::{ConnectError, connect, connect_to, connect_without_identity};
pub use events::Recorder;
pub use informer::{Informer, ObjectKey};
pub use queue::Queue;

#[cfg(test)]
mod testing;
