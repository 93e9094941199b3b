//! Flags of `wait`.

use super::PrintFlags;
use clap::Args;

/// `wait`.
#[derive(Debug, Args)]
pub struct Wait {
    /// Resources, and names.
    pub words: Vec<String>,
    /// Select all resources in the namespace of the specified resource types.
    #[arg(long)]
    pub all: bool,
    /// If present, list the requested objects across all namespaces.
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
    /// Selector (field query) to filter on.
    #[arg(long, default_value = "")]
    pub field_selector: String,
    /// Files, folders or URLs that identify the resource.
    #[arg(long = "filename", short = 'f', value_delimiter = ',')]
    pub filenames: Vec<String>,
    /// Process the directory used in -f, --filename recursively.
    #[arg(long, short = 'R', default_value_t = true)]
    pub recursive: bool,
    /// The condition to wait on: create, delete, condition=name[=value], jsonpath='{expression}'[=value].
    #[arg(long = "for")]
    pub conditions: Vec<String>,
    /// If true, annotation will NOT contact api-server but run locally.
    #[arg(long)]
    pub local: bool,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', default_value = "")]
    pub selector: String,
    /// The length of time to wait before giving up. Zero means check once and don't wait, negative means wait for a week.
    #[arg(long, default_value = "30s", allow_hyphen_values = true)]
    pub timeout: String,
    #[command(flatten)]
    /// How to print what was waited for.
    pub print: PrintFlags,
}
