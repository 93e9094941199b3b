//! Which pod fits which node: requests, affinity, taints, host ports.
//!
//! The types here are small views of pods and nodes. They are read from trees, or, with the
//! feature `typed`, from k8s-openapi's structs.
//!
//! Upstream: `staging/src/k8s.io/component-helpers/{resource,scheduling}`.

pub mod affinity;
pub mod ports;
pub mod requests;
pub mod taints;
#[cfg(feature = "typed")]
pub mod typed;
