//! Flags of `create`.

use super::Files;
use clap::Args;

/// `create`.
#[derive(Debug, Args)]
pub struct Create {
    /// `namespace NAME`, when no file is given.
    pub words: Vec<String>,
    #[command(flatten)]
    /// The manifests.
    pub files: Files,
    /// If true, the configuration of current object will be saved in its annotation.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    pub save_config: String,
    /// Record current kubectl command in the resource annotation.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    pub record: String,
    /// Output format.
    #[arg(long, short = 'o', default_value = "")]
    pub output: String,
    /// Must be "none", "server", or "client".
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "unchanged", default_value = "none")]
    pub dry_run: String,
}
