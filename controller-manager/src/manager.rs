//! The process: options, which controllers run, and the table of all of them.
//!
//! Upstream: `cmd/kube-controller-manager/app`.

pub mod flags;
pub mod identity;
pub mod options;
pub mod registry;
pub mod run;
pub mod selection;
