//! Flags of `cordon`, `uncordon`, `drain` and `taint`.

use super::writing::{DryRunFlag, Printing, ValidateFlag};
use clap::Args;

/// `cordon`, `uncordon`.
#[derive(Debug, Args)]
pub struct Cordon {
    /// The node.
    pub nodes: Vec<String>,
    #[command(flatten)]
    /// Whether to write.
    pub dry_run: DryRunFlag,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l')]
    pub selector: Option<String>,
}

/// `drain`.
#[derive(Debug, Args)]
pub struct Drain {
    #[command(flatten)]
    /// Which nodes.
    pub nodes: Cordon,
    /// Return large lists in chunks rather than all at once.
    #[arg(long, default_value_t = 500)]
    pub chunk_size: i64,
    /// Continue even if there are pods using emptyDir (local data that will be deleted when the node is drained).
    #[arg(long)]
    pub delete_emptydir_data: bool,
    /// Force drain to use delete, even if eviction is supported.
    #[arg(long)]
    pub disable_eviction: bool,
    /// Continue even if there are pods that do not declare a controller.
    #[arg(long)]
    pub force: bool,
    /// Period of time in seconds given to each pod to terminate gracefully.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub grace_period: i64,
    /// Ignore DaemonSet-managed pods.
    #[arg(long)]
    pub ignore_daemonsets: bool,
    /// Label selector to filter pods on the node.
    #[arg(long, default_value = "")]
    pub pod_selector: String,
    /// If pod DeletionTimestamp older than N seconds, skip waiting for the pod.
    #[arg(long, default_value_t = 0)]
    pub skip_wait_for_delete_timeout: u64,
    /// The length of time to wait before giving up, zero means infinite.
    #[arg(long, default_value = "0s")]
    pub timeout: String,
}

/// `taint`.
#[derive(Debug, Args)]
pub struct Taint {
    /// `node`, names, then `key=value:effect` and `key:effect-`.
    pub words: Vec<String>,
    #[command(flatten)]
    /// Whether to write.
    pub dry_run: DryRunFlag,
    #[command(flatten)]
    /// How strictly.
    pub validate: ValidateFlag,
    #[command(flatten)]
    /// How the result is printed.
    pub printing: Printing,
    /// Select all nodes in the cluster.
    #[arg(long)]
    pub all: bool,
    /// Name of the manager used to track field ownership.
    #[arg(long, default_value = "kubectl-taint")]
    pub field_manager: String,
    /// If true, allow taints to be overwritten.
    #[arg(long)]
    pub overwrite: bool,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', default_value = "")]
    pub selector: String,
}
