//! What every daemon does the same way: options from defaults, file, environment and flags;
//! logging; supervised tasks and graceful stop; the health, metrics and configz endpoints; TLS.
//!
//! Upstream: `staging/src/k8s.io/component-base`.
#![warn(missing_docs)]

pub mod supervisor;

pub use supervisor::Supervisor;
