//! Which processors, memory and devices of the machine a pod gets, and how close together they are.
//!
//! [`cpuset`], [`topology`], [`take`], [`distribute`], [`hints`], [`merge`], [`options`], [`demand`] and [`policy`] are pure.
//! [`admission`] asks all managers for hints, merges them and has each give what it has.
//! Upstream: `pkg/kubelet/cm/{cpumanager,memorymanager,topologymanager}`.

pub mod admission;
pub mod alignment;
pub mod assignments;
pub mod cpuset;
pub mod demand;
pub mod discover;
pub mod distribute;
pub mod hints;
mod manager;
pub mod memory;
pub mod merge;
pub mod metrics;
pub mod numa;
pub mod options;
pub mod policy;
pub mod reconcile;
pub mod take;
pub mod topology;
#[cfg(test)]
mod upstream;

pub use manager::{Machine, Placement, PlacementError, reserve_named};
