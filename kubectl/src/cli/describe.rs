//! Flags of `describe`.

use super::Selection;
use clap::Args;

/// `describe`.
#[derive(Debug, Args)]
pub struct Describe {
    /// Resources, and names.
    pub resources: Vec<String>,
    #[command(flatten)]
    /// Which objects.
    pub selection: Selection,
}
