//! The generic registry: every verb on every resource, and the strategies that make resources differ.
//!
//! Upstream: `apiserver/pkg/registry/generic/registry`, `pkg/registry/*`.
#![warn(missing_docs)]

pub mod admission;
pub mod context;
pub mod registry;

pub use context::{Context, UserInfo, Verb};
pub use registry::{Body, PatchType, Registry, Reply};
