//! Flags of `apply`.

use super::Files;
use super::delete::Removal;
use super::writing::{DryRunFlag, Printing, RecordFlag, ValidateFlag};
use clap::{Args, Subcommand};

/// `apply`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Apply {
    #[command(subcommand)]
    /// What to do with what was applied last.
    pub command: Option<LastApplied>,
    #[command(flatten)]
    /// The manifests.
    pub files: Files,
    #[command(flatten)]
    /// Whether to write.
    pub dry_run: DryRunFlag,
    #[command(flatten)]
    /// How strictly.
    pub validate: ValidateFlag,
    #[command(flatten)]
    /// How the result is printed.
    pub printing: Printing,
    #[command(flatten)]
    /// Whether the command line is kept.
    pub record: RecordFlag,
    #[command(flatten)]
    /// How `--prune` and `--force` delete.
    pub removal: Removal,
    /// Select all resources in the namespace of the specified resource types.
    #[arg(long)]
    pub all: bool,
    /// The name of the ApplySet that tracks which resources are being managed. Alpha.
    #[arg(long, default_value = "", hide = true)]
    pub applyset: String,
    /// Name of the manager used to track field ownership.
    #[arg(long, default_value = "kubectl-client-side-apply")]
    pub field_manager: String,
    /// If true, server-side apply will force the changes against conflicts.
    #[arg(long)]
    pub force_conflicts: bool,
    /// Before --prune deletes anything, show what will go and wait for a yes.
    #[arg(long, short = 'i')]
    pub interactive: bool,
    /// If true, use openapi to calculate diff when the openapi presents.
    #[arg(long, default_value_t = true)]
    pub openapi_patch: bool,
    /// Automatically resolve conflicts between the modified and live configuration by using values from the modified configuration.
    #[arg(long, default_value_t = true)]
    pub overwrite: bool,
    /// Automatically delete resource objects, that do not appear in the configs.
    #[arg(long)]
    pub prune: bool,
    /// Overwrite the default allowlist with <group/version/kind> for --prune.
    #[arg(long)]
    pub prune_allowlist: Vec<String>,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', default_value = "")]
    pub selector: String,
    /// If true, apply runs in the server instead of the client.
    #[arg(long)]
    pub server_side: bool,
    /// If specified, apply will operate on the subresource of the requested object.
    #[arg(long, default_value = "")]
    pub subresource: String,
    /// If true, wait for resources to be gone before returning.
    #[arg(long)]
    pub wait: bool,
}

/// What was applied last.
#[derive(Debug, Subcommand)]
pub enum LastApplied {
    /// Edit latest last-applied-configuration annotations of a resource/object.
    EditLastApplied(EditLastApplied),
    /// Set the last-applied-configuration annotation on a live object to match the contents of a file.
    SetLastApplied(SetLastApplied),
    /// View the latest last-applied-configuration annotations of a resource/object.
    ViewLastApplied(ViewLastApplied),
}

/// `apply edit-last-applied`.
#[derive(Debug, Args)]
pub struct EditLastApplied {
    /// Resources, and names.
    pub words: Vec<String>,
    #[command(flatten)]
    /// The manifests.
    pub files: Files,
    #[command(flatten)]
    /// How strictly.
    pub validate: ValidateFlag,
    #[command(flatten)]
    /// How the result is printed.
    pub printing: Printing,
    #[command(flatten)]
    /// Whether the command line is kept.
    pub record: RecordFlag,
    /// Name of the manager used to track field ownership.
    #[arg(long, default_value = "kubectl-client-side-apply")]
    pub field_manager: String,
    /// Defaults to the line ending native to your platform.
    #[arg(long)]
    pub windows_line_endings: bool,
}

/// `apply set-last-applied`.
#[derive(Debug, Args)]
pub struct SetLastApplied {
    #[command(flatten)]
    /// The manifests.
    pub files: Files,
    #[command(flatten)]
    /// Whether to write.
    pub dry_run: DryRunFlag,
    #[command(flatten)]
    /// How the result is printed.
    pub printing: Printing,
    /// Will create 'last-applied-configuration' annotations if current objects doesn't have one.
    #[arg(long)]
    pub create_annotation: bool,
}

/// `apply view-last-applied`.
#[derive(Debug, Args)]
pub struct ViewLastApplied {
    /// Resources, and names.
    pub words: Vec<String>,
    #[command(flatten)]
    /// The manifests.
    pub files: Files,
    /// Select all resources in the namespace of the specified resource types.
    #[arg(long)]
    pub all: bool,
    /// Output format. Must be one of (yaml, json).
    #[arg(long, short = 'o', default_value = "yaml")]
    pub output: String,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', default_value = "")]
    pub selector: String,
}
