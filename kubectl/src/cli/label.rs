//! Flags of `label` and `annotate`.

use super::Files;
use super::writing::{DryRunFlag, Printing, RecordFlag};
use clap::Args;

/// What `label` and `annotate` have in common.
#[derive(Debug, Args)]
pub struct Marking {
    /// Resources and names, then `key=value` and `key-`.
    pub words: Vec<String>,
    #[command(flatten)]
    /// The manifests.
    pub files: Files,
    #[command(flatten)]
    /// Whether to write.
    pub dry_run: DryRunFlag,
    #[command(flatten)]
    /// How the result is printed.
    pub printing: Printing,
    #[command(flatten)]
    /// Whether the command line is kept.
    pub record: RecordFlag,
    /// Select all resources, in the namespace of the specified resource types.
    #[arg(long)]
    pub all: bool,
    /// If true, check the specified action in all namespaces.
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
    /// Selector (field query) to filter on.
    #[arg(long, default_value = "")]
    pub field_selector: String,
    /// If true, display the labels or annotations for a given resource.
    #[arg(long)]
    pub list: bool,
    /// If true, the command will NOT contact api-server but run locally.
    #[arg(long)]
    pub local: bool,
    /// If true, allow labels or annotations to be overwritten.
    #[arg(long)]
    pub overwrite: bool,
    /// If non-empty, the update will only succeed if this is the current resource-version.
    #[arg(long, default_value = "")]
    pub resource_version: String,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', default_value = "")]
    pub selector: String,
}

/// `label`.
#[derive(Debug, Args)]
pub struct Label {
    #[command(flatten)]
    /// What it shares with `annotate`.
    pub marking: Marking,
    /// Name of the manager used to track field ownership.
    #[arg(long, default_value = "kubectl-label")]
    pub field_manager: String,
}

/// `annotate`.
#[derive(Debug, Args)]
pub struct Annotate {
    #[command(flatten)]
    /// What it shares with `label`.
    pub marking: Marking,
    /// Name of the manager used to track field ownership.
    #[arg(long, default_value = "kubectl-annotate")]
    pub field_manager: String,
}
