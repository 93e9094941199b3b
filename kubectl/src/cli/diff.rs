//! Flags of `diff` and `undo`.

use super::Files;
use clap::Args;

/// `diff`.
#[derive(Debug, Args)]
pub struct Diff {
    #[command(flatten)]
    /// The manifests.
    pub files: Files,
    /// Number of objects to process in parallel when diffing against the live version.
    #[arg(long, default_value_t = 1)]
    pub concurrency: usize,
    /// Name of the manager used to track field ownership.
    #[arg(long, default_value = "kubectl-client-side-apply")]
    pub field_manager: String,
    /// If true, server-side apply will force the changes against conflicts.
    #[arg(long)]
    pub force_conflicts: bool,
    /// Include resources that would be deleted by pruning.
    #[arg(long)]
    pub prune: bool,
    /// Overwrite the default allowlist with <group/version/kind> for --prune.
    #[arg(long)]
    pub prune_allowlist: Vec<String>,
    /// Keep what is there now, so that `undo` can bring it back after an `apply`.
    #[arg(long)]
    pub record: bool,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', default_value = "")]
    pub selector: String,
    /// If true, apply runs in the server instead of the client.
    #[arg(long)]
    pub server_side: bool,
    /// If true, include managed fields in the diff.
    #[arg(long)]
    pub show_managed_fields: bool,
    /// Show unredacted Secret values in diff output.
    #[arg(long)]
    pub show_secrets: bool,
}

/// `undo`.
#[derive(Debug, Args)]
pub struct Undo {
    #[command(flatten)]
    /// Whether to write.
    pub dry_run: super::writing::DryRunFlag,
    #[command(flatten)]
    /// How the result is printed.
    pub printing: super::writing::Printing,
    /// Name of the manager used to track field ownership.
    #[arg(long, default_value = "kubectl-undo")]
    pub field_manager: String,
}
