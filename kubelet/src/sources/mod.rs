//! Where pods come from: the apiserver, and manifests on the node.
//!
//! Upstream: `pkg/kubelet/config`.

pub mod api;
pub mod files;
pub mod manifest;
pub mod mirrors;
