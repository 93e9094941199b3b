//! Flags of `create`.

use super::Files;
use super::generators::Generator;
use super::writing::{DryRunFlag, Printing, RecordFlag, ValidateFlag};
use clap::Args;

/// `create`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Create {
    #[command(subcommand)]
    /// What to make from flags.
    pub generator: Option<Generator>,
    /// Nothing: upstream has no words here.
    #[arg(hide = true)]
    pub words: Vec<String>,
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
    /// Edit the API resource before creating.
    #[arg(long)]
    pub edit: bool,
    /// Name of the manager used to track field ownership.
    #[arg(long, default_value = "kubectl-create")]
    pub field_manager: String,
    /// Raw URI to POST to the server.
    #[arg(long, default_value = "")]
    pub raw: String,
    /// If true, the configuration of current object will be saved in its annotation.
    #[arg(long)]
    pub save_config: bool,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', default_value = "")]
    pub selector: String,
    /// Only relevant if --edit=true.
    #[arg(long)]
    pub windows_line_endings: bool,
}
