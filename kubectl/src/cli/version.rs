//! Flags of `version`.

use clap::Args;

/// `version`.
#[derive(Debug, Args)]
pub struct Version {
    /// None.
    pub words: Vec<String>,
    /// If true, shows client version only (no server required).
    #[arg(long)]
    pub client: bool,
    /// One of 'yaml' or 'json'.
    #[arg(long, short = 'o', default_value = "")]
    pub output: String,
}
