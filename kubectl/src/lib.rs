//! `kubectl-rs`: the command line.
//!
//! A command line becomes a typed request (`cli`), the kubeconfig a connection (`config`,
//! `http`), names become resources by discovery (`discovery`, `targets`); `commands` has a file
//! per verb and `print` one per output form.
//!
//! Upstream: `staging/src/k8s.io/kubectl`.

/// Prints to standard output; a reader that went away is an error like any other.
#[macro_export]
macro_rules! out {
    ($($part:tt)*) => {{
        use std::io::Write as _;
        write!(std::io::stdout(), $($part)*)?
    }};
}

/// The same with a line break.
#[macro_export]
macro_rules! outln {
    ($($part:tt)*) => {{
        use std::io::Write as _;
        writeln!(std::io::stdout(), $($part)*)?
    }};
}

pub mod apply;
pub mod cli;
pub mod commands;
pub mod completion;
pub mod config;
pub mod describe;
pub mod detach;
pub mod discovery;
pub mod editor;
pub mod exec;
pub mod explain;
pub mod files;
pub mod generate;
pub mod http;
pub mod interrupt;
pub mod kubeconfig;
pub mod kustomize;
pub mod plugins;
pub mod pods;
pub mod preferences;
pub mod print;
pub mod progress;
pub mod selected;
pub mod spdy;
pub mod targets;
pub mod upgrade;
pub mod why;
pub mod writing;
