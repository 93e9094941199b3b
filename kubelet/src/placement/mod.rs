//! Which processors, memory and devices of the machine a pod gets, and how close together they are.
//!
//! [`cpuset`], [`topology`], [`take`], [`distribute`], [`hints`], [`options`], [`demand`] and [`policy`] are pure.
//! Upstream: `pkg/kubelet/cm/{cpumanager,memorymanager,topologymanager}`.

pub mod assignments;
pub mod cpuset;
pub mod demand;
pub mod discover;
pub mod distribute;
pub mod hints;
mod manager;
pub mod metrics;
pub mod options;
pub mod policy;
pub mod reconcile;
pub mod take;
pub mod topology;
#[cfg(test)]
mod upstream;

pub use manager::{Placement, PlacementError, reserve_named};
