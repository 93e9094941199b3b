//! Flags of `delete`.

use super::Files;
use super::writing::DryRunFlag;
use clap::Args;

/// How objects are deleted.
#[derive(Clone, Debug, Args)]
pub struct Removal {
    /// Must be "background", "orphan", or "foreground".
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "background", default_value = "background")]
    pub cascade: String,
    /// If true, immediately remove resources from API and bypass graceful deletion.
    #[arg(long)]
    pub force: bool,
    /// Period of time in seconds given to the resource to terminate gracefully.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub grace_period: i64,
    /// The length of time to wait before giving up on a delete, zero means determine a timeout from the size of the object.
    #[arg(long, default_value = "0s")]
    pub timeout: String,
}

/// `delete`.
#[derive(Debug, Args)]
pub struct Delete {
    /// Resources, and names.
    pub resources: Vec<String>,
    #[command(flatten)]
    /// Which objects, by manifest.
    pub files: Files,
    #[command(flatten)]
    /// Whether to write.
    pub dry_run: DryRunFlag,
    #[command(flatten)]
    /// How.
    pub removal: Removal,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', default_value = "")]
    pub selector: String,
    /// If present, list the requested objects across all namespaces.
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
    /// Delete all resources, in the namespace of the specified resource types.
    #[arg(long)]
    pub all: bool,
    /// Selector (field query) to filter on.
    #[arg(long, default_value = "")]
    pub field_selector: String,
    /// Treat "resource not found" as a successful delete.
    #[arg(long)]
    pub ignore_not_found: bool,
    /// If true, delete resource only when user confirms.
    #[arg(long, short = 'i')]
    pub interactive: bool,
    /// If true, resources are signaled for immediate shutdown (same as --grace-period=1).
    #[arg(long)]
    pub now: bool,
    /// Output mode. Use "-o name" for shorter output (resource/name).
    #[arg(long, short = 'o', default_value = "")]
    pub output: String,
    /// Raw URI to DELETE to the server.
    #[arg(long, default_value = "")]
    pub raw: String,
    /// If true, wait for resources to be gone before returning.
    #[arg(long, default_value_t = true)]
    pub wait: bool,
}
