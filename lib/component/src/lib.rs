//! What every daemon does the same way: options from defaults, file, environment and flags;
//! logging; supervised tasks and graceful stop; the health, metrics and configz endpoints; TLS.
//!
//! A daemon's `main` is `component::daemon::main::<Options, _, _>("kube-x", run)`.
//!
//! Upstream: `staging/src/k8s.io/component-base`, `apiserver/pkg/server/options`.
#![warn(missing_docs)]

pub mod daemon;
pub mod duration;
pub mod files;
pub mod flags;
pub mod gates;
pub mod kinds;
pub mod layers;
pub mod leading;
pub mod logging;
pub mod memory;
pub mod metrics;
pub mod notify;
pub mod pprof;
pub mod program;
pub mod serve;
pub mod supervisor;
pub mod version;
pub mod zpages;

pub use duration::GoDuration;
pub use gates::Gates;
pub use supervisor::Supervisor;
