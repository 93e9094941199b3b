//! Flags of `rollout`.

use super::Files;
use super::writing::{DryRunFlag, Printing};
use clap::{Args, Subcommand};

/// `rollout`.
#[derive(Debug, Subcommand)]
pub enum Rollout {
    /// View rollout history.
    History(History),
    /// Mark the provided resource as paused.
    Pause(Change),
    /// Restart a resource.
    Restart(Change),
    /// Resume a paused resource.
    Resume(Change),
    /// Show the status of the rollout.
    Status(Status),
    /// Undo a previous rollout.
    Undo(Undo),
}

/// Which workloads.
#[derive(Debug, Args)]
pub struct Workloads {
    /// Resources, and names.
    pub words: Vec<String>,
    #[command(flatten)]
    /// The manifests.
    pub files: Files,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', default_value = "")]
    pub selector: String,
}

/// `rollout history`.
#[derive(Debug, Args)]
pub struct History {
    #[command(flatten)]
    /// Which workloads.
    pub workloads: Workloads,
    #[command(flatten)]
    /// How the result is printed.
    pub printing: Printing,
    /// See the details, including podTemplate of the revision specified.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub revision: i64,
}

/// `rollout pause`, `restart`, `resume`.
#[derive(Debug, Args)]
pub struct Change {
    #[command(flatten)]
    /// Which workloads.
    pub workloads: Workloads,
    #[command(flatten)]
    /// How the result is printed.
    pub printing: Printing,
    /// Name of the manager used to track field ownership.
    #[arg(long, default_value = "kubectl-rollout")]
    pub field_manager: String,
}

/// `rollout status`.
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    /// Which workloads.
    pub workloads: Workloads,
    /// Pin to a specific revision for showing its status.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub revision: i64,
    /// The length of time to wait before ending watch, zero means never.
    #[arg(long, default_value = "0s")]
    pub timeout: String,
    /// Watch the status of the rollout until it's done.
    #[arg(long, short = 'w', default_value_t = true)]
    pub watch: bool,
}

/// `rollout undo`.
#[derive(Debug, Args)]
pub struct Undo {
    #[command(flatten)]
    /// Which workloads.
    pub workloads: Workloads,
    #[command(flatten)]
    /// Whether to write.
    pub dry_run: DryRunFlag,
    #[command(flatten)]
    /// How the result is printed.
    pub printing: Printing,
    /// The revision to rollback to. Default to 0 (last revision).
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub to_revision: i64,
}
