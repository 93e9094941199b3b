//! Admission plugins: what a request must be like beyond validation, and what the cluster adds to it.
//!
//! One file per plugin under `plugins`; [`catalog`] has upstream's names and order. Invariant: a
//! plugin knows the store and its own rule, and no other plugin.
//!
//! Upstream: `plugin/pkg/admission`, `apiserver/pkg/admission/plugin`,
//! `pkg/kubeapiserver/options/plugins.go`.
#![warn(missing_docs)]

pub mod builder;
pub mod catalog;
pub mod configuration;
mod denial;
mod dynamic;
mod lookup;
pub mod metrics;
mod plugins;
mod pod;

#[cfg(test)]
mod testing;

pub use builder::{Authorize, Built, Means, PluginError, plugins};
pub use catalog::all_but;
pub use configuration::{Configuration, ConfigurationError};
