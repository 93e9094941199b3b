//! What every controller has in common, once: shared caches, the loop from a change to a
//! reconciliation, read-your-writes, and writing only what changed.
//!
//! Upstream: the handlers, queue and worker that each folder of `pkg/controller` repeats.

pub mod changes;
pub mod context;
pub mod discovery;
pub mod error;
pub mod informers;
pub mod lane;
pub mod owning;
pub mod patch;
pub mod pod_control;
pub mod writes;

pub use context::Context;
pub use error::{At, ReconcileError, is_conflict, is_exists, is_not_found};
pub use informers::{Informers, SharedKind};
pub use lane::{Controller, Lane, Next};
pub use writes::Writes;
