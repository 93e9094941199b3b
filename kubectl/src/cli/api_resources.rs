//! Flags of `api-resources`.

use clap::Args;

/// `api-resources`.
#[derive(Debug, Args)]
pub struct ApiResources {
    /// Output format: wide, name.
    #[arg(long, short = 'o', default_value = "")]
    pub output: String,
    /// Limit to resources in the specified API group.
    #[arg(long)]
    pub api_group: Option<String>,
    /// If false, non-namespaced resources will be returned.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub namespaced: Option<bool>,
    /// When using the default output format, don't print headers.
    #[arg(long)]
    pub no_headers: bool,
}
