//! Flags of `apply`.

use super::Files;
use clap::Args;

/// `apply`.
#[derive(Debug, Args)]
pub struct Apply {
    #[command(flatten)]
    /// The manifests.
    pub files: Files,
    /// Record current kubectl command in the resource annotation.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    pub record: String,
    /// Output format.
    #[arg(long, short = 'o', default_value = "")]
    pub output: String,
    /// Must be "none", "server", or "client".
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "unchanged", default_value = "none")]
    pub dry_run: String,
    /// If true, apply runs in the server instead of the client.
    #[arg(long)]
    pub server_side: bool,
    /// If true, server-side apply will force the changes against conflicts.
    #[arg(long)]
    pub force_conflicts: bool,
}
