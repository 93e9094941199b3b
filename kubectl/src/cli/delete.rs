//! Flags of `delete`.

use super::{Files, Selection};
use clap::Args;

/// `delete`.
#[derive(Debug, Args)]
pub struct Delete {
    /// Resources, and names.
    pub resources: Vec<String>,
    #[command(flatten)]
    /// Which objects.
    pub selection: Selection,
    #[command(flatten)]
    /// Which objects, by manifest.
    pub files: Files,
    /// Delete all resources, in the namespace of the specified resource types.
    #[arg(long)]
    pub all: bool,
    /// Period of time in seconds given to the resource to terminate gracefully.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub grace_period: i64,
    /// If true, immediately remove resources from API and bypass graceful deletion.
    #[arg(long)]
    pub force: bool,
    /// Treat "resource not found" as a successful delete.
    #[arg(long)]
    pub ignore_not_found: bool,
    /// If true, wait for resources to be gone before returning.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true")]
    pub wait: String,
    /// Must be "background", "orphan", or "foreground".
    #[arg(long, default_value = "background")]
    pub cascade: String,
    /// Output format: name.
    #[arg(long, short = 'o', default_value = "")]
    pub output: String,
}
