//! From which NUMA nodes containers have their memory and huge pages.
//!
//! [`machine`], [`policy`] and [`reserved`] are pure.
//! Upstream: `pkg/kubelet/cm/memorymanager`.

pub mod demand;
pub mod machine;
pub mod manager;
pub mod policy;
pub mod reserved;
pub mod state;
#[cfg(test)]
mod upstream;

pub use manager::{Memory, MemoryError};
