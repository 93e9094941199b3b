//! Flags of `patch`.

use super::Files;
use super::writing::{DryRunFlag, Printing, RecordFlag};
use clap::Args;

/// `patch`.
#[derive(Debug, Args)]
pub struct Patch {
    /// Resources, and names.
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
    /// Name of the manager used to track field ownership.
    #[arg(long, default_value = "kubectl-patch")]
    pub field_manager: String,
    /// If true, patch will operate on the content of the file, not the server-side resource.
    #[arg(long)]
    pub local: bool,
    /// The patch to be applied to the resource JSON file.
    #[arg(long, short = 'p', default_value = "")]
    pub patch: String,
    /// A file containing a patch to be applied to the resource.
    #[arg(long, default_value = "")]
    pub patch_file: String,
    /// If specified, patch will operate on the subresource of the requested object.
    #[arg(long, default_value = "")]
    pub subresource: String,
    /// The type of patch being provided; one of [json merge strategic].
    #[arg(long = "type", default_value = "strategic")]
    pub kind: String,
}
