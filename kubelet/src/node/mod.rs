//! The node's own object: registration, status, lease.
//!
//! Upstream: `pkg/kubelet/kubelet_node_status.go`, `pkg/kubelet/nodestatus`.

pub mod facts;

pub use facts::{Facts, NodeFacts};
