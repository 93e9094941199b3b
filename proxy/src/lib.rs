//! kube-proxy: makes this node send Service traffic to endpoints.
//!
//! Informers → `model` (pure) → a renderer per back end → atomic apply.
//!
//! Upstream: `pkg/proxy`, `cmd/kube-proxy`.

pub mod config;
pub mod conntrack;
pub mod iptables;
pub mod model;
pub mod options;
pub mod run;
pub mod sync;
