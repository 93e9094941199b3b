//! Flags of `get`.

use super::{Files, PrintFlags, Selection};
use clap::Args;

/// `get`.
#[derive(Clone, Debug, Args)]
pub struct Get {
    /// Resources, and names.
    pub resources: Vec<String>,
    #[command(flatten)]
    /// Which objects.
    pub selection: Selection,
    #[command(flatten)]
    /// Which objects, by manifest.
    pub files: Files,
    #[command(flatten)]
    /// How to print them.
    pub print: PrintFlags,
    /// Selector (field query) to filter on.
    #[arg(long, default_value = "")]
    pub field_selector: String,
    /// If the requested object does not exist the command will return exit code 0.
    #[arg(long)]
    pub ignore_not_found: bool,
    /// When using the default or custom-column output format, don't print headers.
    #[arg(long)]
    pub no_headers: bool,
    /// If present, list the resource type for the requested object(s).
    #[arg(long)]
    pub show_kind: bool,
    /// When printing, show all labels as the last column.
    #[arg(long)]
    pub show_labels: bool,
    /// Accepts a comma separated list of labels that are going to be presented as columns.
    #[arg(long, short = 'L', value_delimiter = ',')]
    pub label_columns: Vec<String>,
    /// If non-empty, sort list types using this field specification.
    #[arg(long, default_value = "")]
    pub sort_by: String,
    /// If specified, gets the subresource of the requested object.
    #[arg(long, default_value = "")]
    pub subresource: String,
    /// Return large lists in chunks rather than all at once. Pass 0 to disable.
    #[arg(long, default_value_t = 500, allow_negative_numbers = true)]
    pub chunk_size: i64,
    /// If true, have the server return the appropriate table output.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true", action = clap::ArgAction::Set)]
    pub server_print: bool,
    /// Raw URI to request from the server.
    #[arg(long, default_value = "")]
    pub raw: String,
    /// After listing/getting the requested object, watch for changes.
    #[arg(long, short = 'w')]
    pub watch: bool,
    /// Watch for changes to the requested object(s), without listing/getting first.
    #[arg(long)]
    pub watch_only: bool,
    /// Output watch event objects when --watch or --watch-only is used.
    #[arg(long)]
    pub output_watch_events: bool,
}
