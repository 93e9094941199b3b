//! Flags of `config`. Where a flag has the name of a flag of all commands, that one is read:
//! `--server`, `--user`, `--token` and their like.

use super::PrintFlags;
use clap::{Args, Subcommand};

/// `config`.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Display the current-context.
    CurrentContext(Words),
    /// Delete the specified cluster from the kubeconfig.
    DeleteCluster(Words),
    /// Delete the specified context from the kubeconfig.
    DeleteContext(Words),
    /// Delete the specified user from the kubeconfig.
    DeleteUser(Words),
    /// Display clusters defined in the kubeconfig.
    GetClusters(Words),
    /// Describe one or many contexts.
    GetContexts(GetContexts),
    /// Display users defined in the kubeconfig.
    GetUsers(Words),
    /// Rename a context from the kubeconfig file.
    RenameContext(Words),
    /// Set an individual value in a kubeconfig file.
    Set(Set),
    /// Set a cluster entry in kubeconfig.
    SetCluster(SetCluster),
    /// Set a context entry in kubeconfig.
    SetContext(SetContext),
    /// Set a user entry in kubeconfig.
    SetCredentials(Box<SetCredentials>),
    /// Unset an individual value in a kubeconfig file.
    Unset(Words),
    /// Set the current-context in a kubeconfig file.
    #[command(alias = "use")]
    UseContext(Words),
    /// Display merged kubeconfig settings or a specified kubeconfig file.
    View(View),
}

/// Words only.
#[derive(Debug, Args)]
pub struct Words {
    /// Names.
    pub words: Vec<String>,
}

/// `config view`.
#[derive(Debug, Args)]
pub struct View {
    /// None.
    pub words: Vec<String>,
    #[command(flatten)]
    /// How to print it.
    pub print: PrintFlags,
    /// Flatten the resulting kubeconfig file into self-contained output.
    #[arg(long)]
    pub flatten: bool,
    /// Merge the full hierarchy of kubeconfig files.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub merge: Option<bool>,
    /// Remove all information not used by current-context from the output.
    #[arg(long)]
    pub minify: bool,
    /// Display raw byte data and sensitive data.
    #[arg(long)]
    pub raw: bool,
}

/// `config get-contexts`.
#[derive(Debug, Args)]
pub struct GetContexts {
    /// Names.
    pub words: Vec<String>,
    /// When using the default or custom-column output format, don't print headers.
    #[arg(long)]
    pub no_headers: bool,
    /// Output format. One of: (name).
    #[arg(long, short = 'o', default_value = "")]
    pub output: String,
}

/// `config set`.
#[derive(Debug, Args)]
pub struct Set {
    /// The property and its value.
    pub words: Vec<String>,
    /// When writing a []byte PROPERTY_VALUE, write the given string directly without base64 decoding.
    #[arg(long)]
    pub set_raw_bytes: bool,
}

/// `config set-cluster`.
#[derive(Debug, Args)]
pub struct SetCluster {
    /// The name.
    pub words: Vec<String>,
    /// Embed-certs for the cluster entry in kubeconfig.
    #[arg(long)]
    pub embed_certs: bool,
    /// Proxy-url for the cluster entry in kubeconfig.
    #[arg(long)]
    pub proxy_url: Option<String>,
}

/// `config set-context`.
#[derive(Debug, Args)]
pub struct SetContext {
    /// The name.
    pub words: Vec<String>,
    /// Modify the current context.
    #[arg(long)]
    pub current: bool,
}

/// `config set-credentials`.
#[derive(Debug, Args)]
pub struct SetCredentials {
    /// The name.
    pub words: Vec<String>,
    /// Auth provider for the user entry in kubeconfig.
    #[arg(long)]
    pub auth_provider: Option<String>,
    /// 'key=value' arguments for the auth provider.
    #[arg(long, value_delimiter = ',')]
    pub auth_provider_arg: Vec<String>,
    /// Embed client cert/key for the user entry in kubeconfig.
    #[arg(long)]
    pub embed_certs: bool,
    /// API version of the exec credential plugin for the user entry in kubeconfig.
    #[arg(long)]
    pub exec_api_version: Option<String>,
    /// New arguments for the exec credential plugin command for the user entry in kubeconfig.
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    pub exec_arg: Vec<String>,
    /// Command for the exec credential plugin for the user entry in kubeconfig.
    #[arg(long)]
    pub exec_command: Option<String>,
    /// 'key=value' environment values for the exec credential plugin.
    #[arg(long, allow_hyphen_values = true)]
    pub exec_env: Vec<String>,
    /// InteractiveMode of the exec credentials plugin for the user entry in kubeconfig.
    #[arg(long)]
    pub exec_interactive_mode: Option<String>,
    /// ProvideClusterInfo of the exec credentials plugin for the user entry in kubeconfig.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub exec_provide_cluster_info: Option<bool>,
}
