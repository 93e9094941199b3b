//! Flags of `kuberc` and `plugin`.

use super::PrintFlags;
use clap::{Args, Subcommand};

/// `kuberc`.
#[derive(Debug, Subcommand)]
pub enum Kuberc {
    /// Set values in the kuberc configuration.
    Set(Set),
    /// Display the current kuberc configuration.
    View(View),
}

/// `kuberc view`.
#[derive(Debug, Args)]
pub struct View {
    #[command(flatten)]
    /// How to print it.
    pub print: PrintFlags,
}

/// `kuberc set`.
#[derive(Debug, Args)]
pub struct Set {
    /// Allowlist entry the form field=value (can be specified multiple times).
    #[arg(long)]
    pub allowlist_entry: Vec<String>,
    /// Argument to append to the command (can be specified multiple times, for aliases only).
    #[arg(long, allow_hyphen_values = true)]
    pub appendarg: Vec<String>,
    /// Command to configure (e.g., 'get', 'create', 'set env').
    #[arg(long, default_value = "")]
    pub command: String,
    /// Alias name (required for --section=aliases).
    #[arg(long, default_value = "")]
    pub name: String,
    /// Flag option in the form flag=value (can be specified multiple times).
    #[arg(long, allow_hyphen_values = true)]
    pub option: Vec<String>,
    /// Allow overwriting existing entries.
    #[arg(long)]
    pub overwrite: bool,
    /// Plugin policy to use for exec credential plugins, must be one of 'AllowAll', 'DenyAll' or 'Allowlist'.
    #[arg(long, default_value = "")]
    pub policy: String,
    /// Argument to prepend to the command (can be specified multiple times, for aliases only).
    #[arg(long, allow_hyphen_values = true)]
    pub prependarg: Vec<String>,
    /// Section to modify: 'defaults', 'aliases', or 'credentialplugin'.
    #[arg(long, required = true)]
    pub section: String,
}

/// `plugin`.
#[derive(Debug, Subcommand)]
pub enum Plugin {
    /// List all visible plugin executables on a user's PATH.
    List(List),
}

/// `plugin list`.
#[derive(Debug, Args)]
pub struct List {
    /// If true, display only the binary name of each plugin, rather than its full path.
    #[arg(long)]
    pub name_only: bool,
}

/// `completion`.
#[derive(Debug, Args)]
pub struct Completion {
    /// bash, zsh, fish or powershell.
    pub words: Vec<String>,
}
