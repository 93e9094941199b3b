//! Flags of `edit`.

use super::Files;
use super::writing::{Printing, RecordFlag, ValidateFlag};
use clap::Args;

/// `edit`.
#[derive(Debug, Args)]
pub struct Edit {
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
    #[arg(long, default_value = "kubectl-edit")]
    pub field_manager: String,
    /// Output the patch if the resource is edited.
    #[arg(long)]
    pub output_patch: bool,
    /// If true, the configuration of current object will be saved in its annotation.
    #[arg(long)]
    pub save_config: bool,
    /// If specified, edit will operate on the subresource of the requested object.
    #[arg(long, default_value = "")]
    pub subresource: String,
    /// Defaults to the line ending native to your platform.
    #[arg(long)]
    pub windows_line_endings: bool,
}
