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
}
