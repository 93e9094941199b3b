//! Flags of `expose`.

use super::Files;
use super::writing::{DryRunFlag, Printing, RecordFlag};
use clap::Args;

/// `expose`.
#[derive(Debug, Args)]
pub struct Expose {
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
    /// ClusterIP to be assigned to the service. Set to 'None' to create a headless service.
    #[arg(long, default_value = "")]
    pub cluster_ip: String,
    /// Additional external IP address to accept for the service.
    #[arg(long, default_value = "")]
    pub external_ip: String,
    /// Name of the manager used to track field ownership.
    #[arg(long, default_value = "kubectl-expose")]
    pub field_manager: String,
    /// Labels to apply to the service created by this call.
    #[arg(long, short = 'l', default_value = "")]
    pub labels: String,
    /// IP to assign to the LoadBalancer.
    #[arg(long, default_value = "")]
    pub load_balancer_ip: String,
    /// The name for the newly created object.
    #[arg(long, default_value = "")]
    pub name: String,
    /// The method used to override the generated object: json, merge, or strategic.
    #[arg(long, default_value = "merge")]
    pub override_type: String,
    /// An inline JSON override for the generated object.
    #[arg(long, default_value = "")]
    pub overrides: String,
    /// The port that the service should serve on. Copied from the resource being exposed, if unspecified.
    #[arg(long, default_value = "")]
    pub port: String,
    /// The network protocol for the service to be created. Default is 'TCP'.
    #[arg(long, default_value = "")]
    pub protocol: String,
    /// If true, the configuration of current object will be saved in its annotation.
    #[arg(long)]
    pub save_config: bool,
    /// A label selector to use for this service. Only equality-based selector requirements are supported.
    #[arg(long, default_value = "")]
    pub selector: String,
    /// If non-empty, set the session affinity for the service to this; legal values: 'None', 'ClientIP'.
    #[arg(long, default_value = "")]
    pub session_affinity: String,
    /// Name or number for the port on the container that the service should direct traffic to.
    #[arg(long, default_value = "")]
    pub target_port: String,
    /// Type for this service: ClusterIP, NodePort, LoadBalancer, or ExternalName.
    #[arg(long = "type", default_value = "")]
    pub kind: String,
}
