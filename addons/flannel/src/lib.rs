//! The pod network: every node owns a part of the pods' addresses, and each node knows the way to the
//! parts of the others. `flanneld` keeps these ways and the rules around them; the plugin `flannel`
//! gives a pod its address by asking `bridge` and `host-local`.
//!
//! Upstream: `flannel-io/flannel` with its Kubernetes subnet manager, `flannel-io/cni-plugin`.
#![warn(missing_docs)]

pub mod cni;
pub mod config;
pub mod interface;
pub mod kernel;
pub mod lease;
pub mod options;
pub mod plan;
pub mod policy;
pub mod rules;
pub mod run;
pub mod subnet_file;
pub mod sync;

pub use run::run;
