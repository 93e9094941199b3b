//! The flags of all commands that print objects.

use clap::Args;

/// How to print objects.
#[derive(Clone, Debug, Default, Args)]
pub struct PrintFlags {
    /// Output format.
    #[arg(long, short = 'o', default_value = "")]
    pub output: String,
    /// Template string or path to template file to use when -o=go-template, -o=go-template-file.
    #[arg(long, default_value = "")]
    pub template: String,
    /// If true, ignore any errors in templates when a field or map key is missing in the template.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true", action = clap::ArgAction::Set)]
    pub allow_missing_template_keys: bool,
    /// If true, keep the managedFields when printing objects in JSON or YAML format.
    #[arg(long)]
    pub show_managed_fields: bool,
}
