//! kube-proxy: makes this node send Service traffic to endpoints.
//!
//! `caches` (what the apiserver has) → `pending` (what of it changed) → `model` (pure: which ports go
//! where, as a [`model::Plan`]) → `backend` (what the kernel has) → `conntrack` (flows that outlived
//! their endpoints). `sync` is the loop of one address family around it; a node has one loop per
//! family, which share the caches.
//!
//! The boundary: a [`backend::Backend`] gets whole plans and brings them into the kernel. It finds out
//! by itself what differs from the plan it applied last ([`model::Plan::changes`] costs little),
//! renders those ports, writes only them, and starts over after a failure. Everything that all modes
//! have in common stays outside: who answers what ([`model::PortPlan::internal`],
//! [`model::PortPlan::external`], [`model::Choice`]), throttling, retries, health, metrics of syncs,
//! connection tracking. Which mode runs, and what takes its place, is decided in `backend::Mode`.
//!
//! Upstream: `pkg/proxy`, `cmd/kube-proxy`.

pub mod backend;
pub mod caches;
pub mod config;
pub mod conntrack;
pub mod health;
pub mod iptables;
pub mod ipvs;
pub mod kernel;
pub mod metrics;
pub mod model;
pub mod nftables;
pub mod node;
pub mod options;
pub mod pending;
pub mod run;
pub mod service_health;
pub mod sync;
pub mod userspace;
