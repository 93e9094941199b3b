//! Flags of `get`.

use super::{Files, Selection};
use clap::Args;

/// `get`.
#[derive(Debug, Args)]
pub struct Get {
    /// Resources, and names.
    pub resources: Vec<String>,
    #[command(flatten)]
    /// Which objects.
    pub selection: Selection,
    #[command(flatten)]
    /// Which objects, by manifest.
    pub files: Files,
    /// Output format: json, yaml, name, wide.
    #[arg(long, short = 'o', default_value = "")]
    pub output: String,
    /// Selector (field query) to filter on.
    #[arg(long, default_value = "")]
    pub field_selector: String,
    /// If the requested object does not exist the command will return exit code 0.
    #[arg(long)]
    pub ignore_not_found: bool,
    /// When using the default or custom-column output format, don't print headers.
    #[arg(long)]
    pub no_headers: bool,
    /// When printing, show all labels as the last column.
    #[arg(long)]
    pub show_labels: bool,
    /// Accepts a comma separated list of labels that are going to be presented as columns.
    #[arg(long, short = 'L', value_delimiter = ',')]
    pub label_columns: Vec<String>,
    /// Keep the managedFields when printing objects in JSON or YAML format.
    #[arg(long)]
    pub show_managed_fields: bool,
    /// After listing/getting the requested object, watch for changes.
    #[arg(long, short = 'w')]
    pub watch: bool,
}
