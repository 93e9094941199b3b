//! kube-scheduler: decides which node each pod runs on.
//!
//! Entry points: [`app::run`] wires; [`scheduler`] tries one pod after the other; [`decide`] is the
//! pure decision over the columns of [`model`] by the [`plugins`]; [`queue`] says which pod is
//! next; [`cache`] is the believed state of the cluster.
//!
//! Invariant: only [`app`], [`bind`], [`claims`], [`volumes`], [`preempt`] and [`informers`] talk to the apiserver.
//!
//! Upstream: `pkg/scheduler`, `cmd/kube-scheduler`.

pub mod app;
pub mod bind;
pub mod cache;
pub mod claims;
pub mod cluster;
pub mod config;
pub mod decide;
pub mod devices;
pub mod diagnosis;
pub mod framework;
pub mod informers;
pub mod metrics;
pub mod model;
pub mod options;
pub mod plugins;
pub mod preempt;
pub mod profile;
pub mod queue;
pub mod scheduler;
pub mod volumes;
