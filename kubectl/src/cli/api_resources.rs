//! Flags of `api-resources`.

use clap::Args;

/// `api-resources`.
#[derive(Debug, Args)]
pub struct ApiResources {
    /// None.
    pub words: Vec<String>,
    /// Output format.
    #[arg(long, short = 'o', default_value = "")]
    pub output: String,
    /// If true, keep the managedFields when printing objects in JSON or YAML format.
    #[arg(long)]
    pub show_managed_fields: bool,
    /// Limit to resources in the specified API group.
    #[arg(long)]
    pub api_group: Option<String>,
    /// Use the cached list of resources if available.
    #[arg(long)]
    pub cached: bool,
    /// Limit to resources that belong to the specified categories.
    #[arg(long, value_delimiter = ',')]
    pub categories: Vec<String>,
    /// If false, non-namespaced resources will be returned.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub namespaced: Option<bool>,
    /// When using the default output format, don't print headers.
    #[arg(long)]
    pub no_headers: bool,
    /// If non-empty, sort list of resources using specified field. The field can be either 'name' or 'kind'.
    #[arg(long, default_value = "")]
    pub sort_by: String,
    /// Limit to resources that support the specified verbs.
    #[arg(long, value_delimiter = ',')]
    pub verbs: Vec<String>,
}
