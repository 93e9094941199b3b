//! The node's own object: registration, status, lease.
//!
//! Upstream: `pkg/kubelet/kubelet_node_status.go`, `pkg/kubelet/nodestatus`.

pub mod conditions;
pub mod facts;
pub mod heartbeat;
pub mod kernel;
pub mod lease;
pub mod machine;
pub mod reporter;
pub mod startup;
pub mod status;

pub use facts::{Facts, NodeFacts};
pub use heartbeat::Heartbeat;
pub use reporter::Reporter;
pub use startup::Startup;
