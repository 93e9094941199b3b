//! Flags of `scale` and `autoscale`.

use super::Files;
use super::writing::{DryRunFlag, Printing, RecordFlag};
use clap::Args;

/// `scale`.
#[derive(Debug, Args)]
pub struct Scale {
    /// Resources, and names.
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
    /// Select all resources in the namespace of the specified resource types.
    #[arg(long)]
    pub all: bool,
    /// Precondition for current size.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub current_replicas: i64,
    /// The new desired number of replicas. Required.
    #[arg(long, allow_negative_numbers = true)]
    pub replicas: Option<i64>,
    /// Precondition for resource version.
    #[arg(long, default_value = "")]
    pub resource_version: String,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', default_value = "")]
    pub selector: String,
    /// The length of time to wait before giving up on a scale operation, zero means don't wait.
    #[arg(long, default_value = "0s")]
    pub timeout: String,
}

/// `autoscale`.
#[derive(Debug, Args)]
pub struct Autoscale {
    /// Resources, and names.
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
    /// Target CPU utilization or amount over all the pods, such as 80% or 500m.
    #[arg(long, default_value = "")]
    pub cpu: String,
    /// Deprecated: the CPU utilization in percent.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true, hide = true)]
    pub cpu_percent: i32,
    /// Target memory utilization or amount over all the pods.
    #[arg(long, default_value = "")]
    pub memory: String,
    /// Name of the manager used to track field ownership.
    #[arg(long, default_value = "kubectl-autoscale")]
    pub field_manager: String,
    /// The upper limit for the number of pods that can be set by the autoscaler. Required.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub max: i32,
    /// The lower limit for the number of pods that can be set by the autoscaler.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub min: i32,
    /// The name for the newly created object.
    #[arg(long, default_value = "")]
    pub name: String,
    /// If true, the configuration of current object will be saved in its annotation.
    #[arg(long)]
    pub save_config: bool,
}
