//! What decisions are made on: pods and nodes in compact form. No I/O, no locks.
//!
//! Upstream: `pkg/scheduler/framework/types.go`.

pub mod affinity;
pub mod budgets;
pub mod device_claims;
pub mod groups;
pub mod node;
pub mod pod;
pub mod requests;
pub mod resources;
pub mod selector;
pub mod storage;
pub mod taints;
pub mod tallies;
pub mod volumes;

#[cfg(test)]
pub mod builders;

pub use node::{NodeId, Nodes};
pub use pod::Pod;
pub use resources::Resources;
