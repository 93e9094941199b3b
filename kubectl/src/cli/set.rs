//! Flags of `set`.

use super::Files;
use super::writing::{DryRunFlag, Printing, RecordFlag};
use clap::{Args, Subcommand};

/// `set`.
#[derive(Debug, Subcommand)]
pub enum Set {
    /// Update environment variables on a pod template.
    Env(Env),
    /// Update the image of a pod template.
    Image(Image),
    /// Update resource requests/limits on objects with pod templates.
    Resources(Resources),
    /// Set the selector on a resource.
    Selector(Selector),
    /// Update the service account of a resource.
    #[command(name = "serviceaccount", alias = "sa")]
    ServiceAccount(ServiceAccount),
    /// Update the user, group, or service account in a role binding or cluster role binding.
    Subject(Subject),
}

/// What all of `set` share.
#[derive(Debug, Args)]
pub struct Setting {
    /// Resources and names, then what to set.
    pub words: Vec<String>,
    #[command(flatten)]
    /// The manifests.
    pub files: Files,
    #[command(flatten)]
    /// Whether to write.
    pub dry_run: DryRunFlag,
    #[command(flatten)]
    /// How the result is printed.
    pub printing: Printing,
    #[command(flatten)]
    /// Whether the command line is kept.
    pub record: RecordFlag,
    /// Select all resources, in the namespace of the specified resource types.
    #[arg(long)]
    pub all: bool,
    /// Name of the manager used to track field ownership.
    #[arg(long, default_value = "kubectl-set")]
    pub field_manager: String,
    /// If true, the command will NOT contact api-server but run locally.
    #[arg(long)]
    pub local: bool,
}

/// `set image`.
#[derive(Debug, Args)]
pub struct Image {
    #[command(flatten)]
    /// What all share.
    pub setting: Setting,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', default_value = "")]
    pub selector: String,
}

/// `set env`.
#[derive(Debug, Args)]
pub struct Env {
    #[command(flatten)]
    /// What all share.
    pub setting: Setting,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', default_value = "")]
    pub selector: String,
    /// The names of containers in the selected pod templates to change - may use wildcards.
    #[arg(long, short = 'c', default_value = "*")]
    pub containers: String,
    /// Specify a key-value pair for an environment variable to set into each container.
    #[arg(long, short = 'e')]
    pub env: Vec<String>,
    /// The name of a resource from which to inject environment variables.
    #[arg(long, default_value = "")]
    pub from: String,
    /// Comma-separated list of keys to import from specified resource.
    #[arg(long, value_delimiter = ',')]
    pub keys: Vec<String>,
    /// If true, display the environment and any changes in the standard format.
    #[arg(long)]
    pub list: bool,
    /// If true, allow environment to be overwritten.
    #[arg(long, default_value_t = true)]
    pub overwrite: bool,
    /// Prefix to append to variable names.
    #[arg(long, default_value = "")]
    pub prefix: String,
    /// If true, show secret or configmap references when listing variables.
    #[arg(long)]
    pub resolve: bool,
}

/// `set resources`.
#[derive(Debug, Args)]
pub struct Resources {
    #[command(flatten)]
    /// What all share.
    pub setting: Setting,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', default_value = "")]
    pub selector: String,
    /// The names of containers in the selected pod templates to change - may use wildcards.
    #[arg(long, short = 'c', default_value = "*")]
    pub containers: String,
    /// The resource requirement limits for this container.
    #[arg(long, default_value = "")]
    pub limits: String,
    /// The resource requirement requests for this container.
    #[arg(long, default_value = "")]
    pub requests: String,
}

/// `set selector`.
#[derive(Debug, Args)]
pub struct Selector {
    #[command(flatten)]
    /// What all share.
    pub setting: Setting,
    /// If non-empty, the selectors update will only succeed if this is the current resource-version.
    #[arg(long, default_value = "")]
    pub resource_version: String,
}

/// `set serviceaccount`.
#[derive(Debug, Args)]
pub struct ServiceAccount {
    #[command(flatten)]
    /// What all share.
    pub setting: Setting,
}

/// `set subject`.
#[derive(Debug, Args)]
pub struct Subject {
    #[command(flatten)]
    /// What all share.
    pub setting: Setting,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', default_value = "")]
    pub selector: String,
    /// Usernames to bind to the role; takes the place of the global flag, as upstream's does.
    #[arg(long)]
    pub user: Vec<String>,
    /// Groups to bind to the role.
    #[arg(long = "group")]
    pub groups: Vec<String>,
    /// Service accounts to bind to the role.
    #[arg(long = "serviceaccount")]
    pub service_accounts: Vec<String>,
}
