//! kube-proxy: makes this node send Service traffic to endpoints.
//!
//! Informers → `model` (pure) → a renderer per back end → atomic apply.
//!
//! Upstream: `pkg/proxy`, `cmd/kube-proxy`.

pub mod iptables;
pub mod model;
