//! Custom resources.
//!
//! [`schema`] reads a definition's structural schema and judges values by it; a [`Version`] answers
//! with it what the generic registry asks of a custom resource. [`checks`] say what is wrong with a
//! definition, [`status`] what its status must say; the [`controller`] follows all definitions and
//! publishes what they define.
//!
//! Upstream: `staging/src/k8s.io/apiextensions-apiserver`.
#![warn(missing_docs)]

pub mod checks;
pub mod controller;
pub mod conversion;
pub mod definition;
pub mod jsonpath;
pub mod openapi;
pub mod schema;
pub mod status;
mod version;

pub use definition::Definition;
pub use version::{Version, at};
