//! Flags of `explain`.

use clap::Args;

/// `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// A type, and fields behind dots.
    pub words: Vec<String>,
    /// Get different explanations for particular API version (API group/version).
    #[arg(long, default_value = "")]
    pub api_version: String,
    /// Format in which to render the schema (plaintext, plaintext-openapiv2).
    #[arg(long, short = 'o', default_value = "plaintext")]
    pub output: String,
    /// Print the fields of fields (Currently only 1 level deep).
    #[arg(long, short = 'R')]
    pub recursive: bool,
}
