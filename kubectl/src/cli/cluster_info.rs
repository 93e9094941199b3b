//! Flags of `cluster-info` and `api-versions`.

use super::PrintFlags;
use clap::{Args, Subcommand};

/// `cluster-info`.
#[derive(Debug, Args)]
pub struct ClusterInfo {
    #[command(subcommand)]
    /// `dump`.
    pub command: Option<More>,
    /// Not looked at.
    pub words: Vec<String>,
}

/// More than the addresses.
#[derive(Debug, Subcommand)]
pub enum More {
    /// Dump relevant information for debugging and diagnosis.
    Dump(Dump),
}

/// `cluster-info dump`.
#[derive(Debug, Args)]
pub struct Dump {
    #[command(flatten)]
    /// How to print it.
    pub print: PrintFlags,
    /// If true, dump all namespaces.  If true, --namespaces is ignored.
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
    /// A comma separated list of namespaces to dump.
    #[arg(long, value_delimiter = ',')]
    pub namespaces: Vec<String>,
    /// Where to output the files.  If empty or '-' uses stdout, otherwise creates a directory hierarchy in that directory.
    #[arg(long, default_value = "")]
    pub output_directory: String,
    /// The length of time to wait until at least one pod is running.
    #[arg(long, default_value = "20s")]
    pub pod_running_timeout: String,
}

/// `api-versions`.
#[derive(Debug, Args)]
pub struct ApiVersions {
    /// None.
    pub words: Vec<String>,
}
