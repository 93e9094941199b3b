//! Flags of `kustomize`.

use clap::Args;

/// `kustomize`.
#[derive(Debug, Args)]
pub struct Kustomize {
    /// The folder; the current one if none is named.
    pub folders: Vec<String>,
    /// If specified, write output to this path.
    #[arg(long, short = 'o', default_value = "")]
    pub output: String,
    /// If set to 'LoadRestrictionsNone', local kustomizations may load files from outside their root.
    #[arg(long, default_value = "LoadRestrictionsRootOnly")]
    pub load_restrictor: String,
    /// Use the Helm chart inflator generator.
    #[arg(long)]
    pub enable_helm: bool,
    /// Enable kustomize plugins.
    #[arg(long)]
    pub enable_alpha_plugins: bool,
    #[command(flatten)]
    /// How plugins and charts would run.
    pub programs: Programs,
}

/// Flags of plugins and charts; without these they have nothing to say.
#[derive(Debug, Args)]
pub struct Programs {
    /// Run functions as the current user rather than as nobody.
    #[arg(long)]
    pub as_current_user: bool,
    /// Variables for functions.
    #[arg(long, short = 'e')]
    pub env: Vec<String>,
    /// Versions of the API that charts may ask for.
    #[arg(long)]
    pub helm_api_versions: Vec<String>,
    /// The program that reads charts.
    #[arg(long, default_value = "helm")]
    pub helm_command: String,
    /// Let the program that reads charts tell what it does.
    #[arg(long)]
    pub helm_debug: bool,
    /// The version of Kubernetes that charts may ask for.
    #[arg(long, default_value = "")]
    pub helm_kube_version: String,
    /// What functions find mounted.
    #[arg(long)]
    pub mount: Vec<String>,
    /// Let functions use a network.
    #[arg(long)]
    pub network: bool,
    /// The network that functions use.
    #[arg(long, default_value = "bridge")]
    pub network_name: String,
}
