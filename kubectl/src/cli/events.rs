//! Flags of `events`.

use super::PrintFlags;
use clap::Args;

/// `events`.
#[derive(Debug, Args)]
pub struct Events {
    /// If present, list the requested objects across all namespaces.
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
    /// Return large lists in chunks rather than all at once. Pass 0 to disable.
    #[arg(long, default_value_t = 500, allow_negative_numbers = true)]
    pub chunk_size: i64,
    /// Filter events to only those pertaining to the specified resource.
    #[arg(long = "for", default_value = "")]
    pub object: String,
    /// When using the default output format, don't print headers.
    #[arg(long)]
    pub no_headers: bool,
    /// Output only events of given types.
    #[arg(long, value_delimiter = ',')]
    pub types: Vec<String>,
    /// After listing the requested events, watch for more events.
    #[arg(long, short = 'w')]
    pub watch: bool,
    #[command(flatten)]
    /// How to print them.
    pub print: PrintFlags,
}
