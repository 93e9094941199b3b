//! Where pods come from: the apiserver, and manifests on the node or behind an address.
//!
//! Upstream: `pkg/kubelet/config`.

pub mod api;
pub mod files;
pub mod manifest;
pub mod mirrors;
pub mod statics;
pub mod web;
