//! Which processors, memory and devices of the machine a pod gets, and how close together they are.
//!
//! [`cpuset`], [`topology`], [`take`], [`distribute`], [`hints`], [`options`], [`demand`] and [`policy`] are pure.
//! Upstream: `pkg/kubelet/cm/{cpumanager,memorymanager,topologymanager}`.

pub mod assignments;
pub mod cpuset;
pub mod demand;
pub mod distribute;
pub mod hints;
pub mod options;
pub mod policy;
pub mod take;
pub mod topology;
