//! Flags of `replace`.

use super::Files;
use super::writing::{DryRunFlag, Printing, RecordFlag, ValidateFlag};
use clap::Args;

/// `replace`.
#[derive(Debug, Args)]
pub struct Replace {
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
    /// How `--force` deletes.
    pub removal: super::delete::Removal,
    /// Name of the manager used to track field ownership.
    #[arg(long, default_value = "kubectl-replace")]
    pub field_manager: String,
    /// Raw URI to PUT to the server.
    #[arg(long, default_value = "")]
    pub raw: String,
    /// If true, the configuration of current object will be saved in its annotation.
    #[arg(long)]
    pub save_config: bool,
    /// If specified, replace will operate on the subresource of the requested object.
    #[arg(long, default_value = "")]
    pub subresource: String,
    /// If true, wait for resources to be gone before returning.
    #[arg(long)]
    pub wait: bool,
}
