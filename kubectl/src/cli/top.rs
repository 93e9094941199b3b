//! Flags of `top`.

use clap::{Args, Subcommand};

/// `top`.
#[derive(Debug, Subcommand)]
pub enum Top {
    /// Display resource (CPU/memory) usage of nodes.
    #[command(visible_aliases = ["nodes", "no"])]
    Node(Node),
    /// Display resource (CPU/memory) usage of pods.
    #[command(visible_aliases = ["pods", "po"])]
    Pod(Pod),
}

/// What both share.
#[derive(Debug, Args)]
pub struct Usage {
    /// A name.
    pub words: Vec<String>,
    /// If present, print output without headers.
    #[arg(long)]
    pub no_headers: bool,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', default_value = "")]
    pub selector: String,
    /// Print resources related to swap memory.
    #[arg(long)]
    pub show_swap: bool,
    /// If non-empty, sort the list using specified field, either 'cpu' or 'memory'.
    #[arg(long, default_value = "")]
    pub sort_by: String,
    /// Enables using protocol-buffers to access Metrics API.
    #[arg(long, default_value_t = true)]
    pub use_protocol_buffers: bool,
}

/// `top node`.
#[derive(Debug, Args)]
pub struct Node {
    #[command(flatten)]
    /// What both share.
    pub usage: Usage,
    /// Print node resources based on Capacity instead of Allocatable(default) of the nodes.
    #[arg(long)]
    pub show_capacity: bool,
}

/// `top pod`.
#[derive(Debug, Args)]
pub struct Pod {
    #[command(flatten)]
    /// What both share.
    pub usage: Usage,
    /// If present, list the requested objects across all namespaces.
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
    /// If present, print usage of containers within a pod.
    #[arg(long)]
    pub containers: bool,
    /// Selector (field query) to filter on.
    #[arg(long, default_value = "")]
    pub field_selector: String,
    /// Print the sum of the resource usage.
    #[arg(long)]
    pub sum: bool,
}
