//! Flags of `describe`.

use super::{Files, Selection};
use clap::Args;

/// `describe`.
#[derive(Debug, Args)]
pub struct Describe {
    /// Resources, and names.
    pub resources: Vec<String>,
    #[command(flatten)]
    /// Which objects.
    pub selection: Selection,
    #[command(flatten)]
    /// Which objects, by manifest.
    pub files: Files,
    /// If true, display events related to the described object. Defaults to true for a single object, false for
    /// multiple objects and prefix matching.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub show_events: Option<bool>,
    /// Return large lists in chunks rather than all at once. Pass 0 to disable.
    #[arg(long, default_value_t = 500, allow_negative_numbers = true)]
    pub chunk_size: i64,
}
