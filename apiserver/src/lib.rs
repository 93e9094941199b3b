//! kube-apiserver: options, and the wiring of storage, registry, authentication and server.
//!
//! Upstream: `cmd/kube-apiserver`, `pkg/controlplane`.

pub mod bootstrap;
pub mod options;
pub mod wiring;

pub use options::Options;
pub use wiring::run;
