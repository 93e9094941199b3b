//! The flags, as typed; [`Flags::options`] checks them and makes [`Options`] of them.
//!
//! Upstream: `cmd/kube-controller-manager/app/options`.

mod groups;

pub use groups::{AccountFlags, AttachFlags, AutoscalerFlags, MirroringFlags, QuotaFlags, SigningFlags, VolumeFlags};

use super::options::{Ipam, NodeHealth, Options, Workers};
use component::GoDuration;
use component::leading::LeaderFlags;
use component::metrics::MetricFlags;
use component::serve::SecureServing;
use ipnet::IpNet;
use std::path::{Path, PathBuf};

/// The command line.
#[derive(Clone, Debug, clap::Args)]
pub struct Flags {
    /// Health, metrics and configuration over HTTPS.
    #[command(flatten)]
    pub serving: SecureServing,
    /// Leader election.
    #[command(flatten)]
    pub leading: LeaderFlags,
    /// Metrics.
    #[command(flatten)]
    pub metrics: MetricFlags,
    /// Path to kubeconfig file with authorization and master location information.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Controllers to enable: `*`, `foo`, `-foo`.
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    pub controllers: Vec<String>,
    /// Use individual service account credentials for each controller.
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false)]
    pub use_service_account_credentials: bool,
    /// Private key that signs service account tokens of Secrets.
    #[arg(long)]
    pub service_account_private_key_file: Option<PathBuf>,
    /// Root certificate authority for pods to verify the apiserver with.
    #[arg(long)]
    pub root_ca_file: Option<PathBuf>,
    /// Should CIDRs for pods be allocated and set on nodes.
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false)]
    pub allocate_node_cidrs: bool,
    /// CIDR ranges for pods in the cluster.
    #[arg(long, value_delimiter = ',')]
    pub cluster_cidr: Vec<IpNet>,
    /// CIDR ranges for Services in the cluster.
    #[arg(long, value_delimiter = ',')]
    pub service_cluster_ip_range: Vec<IpNet>,
    /// Mask size of node CIDRs; 24 for IPv4, 64 for IPv6 unless given.
    #[arg(long)]
    pub node_cidr_mask_size: Option<u8>,
    /// Mask size of node CIDRs of IPv4.
    #[arg(long)]
    pub node_cidr_mask_size_ipv4: Option<u8>,
    /// Mask size of node CIDRs of IPv6.
    #[arg(long)]
    pub node_cidr_mask_size_ipv6: Option<u8>,
    /// Period of looking at the health of nodes.
    #[arg(long, default_value = "5s")]
    pub node_monitor_period: GoDuration,
    /// Silence of a node before it is marked unhealthy.
    #[arg(long, default_value = "40s")]
    pub node_monitor_grace_period: GoDuration,
    /// Silence of a starting node before it is marked unhealthy.
    #[arg(long, default_value = "1m0s")]
    pub node_startup_grace_period: GoDuration,
    /// Nodes per second that pods are evicted from in a healthy zone.
    #[arg(long, default_value_t = 0.1)]
    pub node_eviction_rate: f64,
    /// Nodes per second that pods are evicted from in an unhealthy zone.
    #[arg(long, default_value_t = 0.01)]
    pub secondary_node_eviction_rate: f64,
    /// Zones with more nodes than this are large.
    #[arg(long, default_value_t = 50)]
    pub large_cluster_size_threshold: usize,
    /// Share of nodes that must be unhealthy for a zone to be unhealthy.
    #[arg(long, default_value_t = 0.55)]
    pub unhealthy_zone_threshold: f64,
    /// Finished pods that are kept; none are collected at 0.
    #[arg(long, default_value_t = 12500)]
    pub terminated_pod_gc_threshold: usize,
    /// The most endpoints in one EndpointSlice.
    #[arg(long, default_value_t = 100)]
    pub max_endpoints_per_slice: usize,
    /// The period for syncing namespace life-cycle updates.
    #[arg(long, default_value = "5m0s")]
    pub namespace_sync_period: GoDuration,
    /// Enables the generic garbage collector.
    #[arg(long, action = clap::ArgAction::Set, default_value_t = true)]
    pub enable_garbage_collector: bool,
    /// Deployments that are synced at the same time.
    #[arg(long, default_value_t = 5)]
    pub concurrent_deployment_syncs: usize,
    /// Replica sets that are synced at the same time.
    #[arg(long, default_value_t = 5)]
    pub concurrent_replicaset_syncs: usize,
    /// Replication controllers that are synced at the same time.
    #[arg(long, default_value_t = 5)]
    pub concurrent_rc_syncs: usize,
    /// Endpoints that are synced at the same time.
    #[arg(long, default_value_t = 5)]
    pub concurrent_endpoint_syncs: usize,
    /// Services whose endpoint slices are synced at the same time.
    #[arg(long, default_value_t = 5)]
    pub concurrent_service_endpoint_syncs: usize,
    /// Namespaces that are synced at the same time.
    #[arg(long, default_value_t = 10)]
    pub concurrent_namespace_syncs: usize,
    /// Garbage collector workers.
    #[arg(long, default_value_t = 20)]
    pub concurrent_gc_syncs: usize,
    /// Jobs that are synced at the same time.
    #[arg(long, default_value_t = 5)]
    pub concurrent_job_syncs: usize,
    /// Cron jobs that are synced at the same time.
    #[arg(long, default_value_t = 5)]
    pub concurrent_cron_job_syncs: usize,
    /// Daemon sets that are synced at the same time.
    #[arg(long, default_value_t = 2)]
    pub concurrent_daemonset_syncs: usize,
    /// Stateful sets that are synced at the same time.
    #[arg(long, default_value_t = 5)]
    pub concurrent_statefulset_syncs: usize,
    /// Finished jobs whose time to live is looked at at the same time.
    #[arg(long, default_value_t = 5)]
    pub concurrent_ttl_after_finished_syncs: usize,
    /// Resource claims, and pods with such, that are synced at the same time.
    #[arg(long, default_value_t = 50)]
    pub concurrent_resourceclaim_syncs: usize,
    /// Pods with tainted devices that are synced at the same time.
    #[arg(long, default_value_t = 8)]
    pub concurrent_device_taint_eviction_syncs: usize,
    /// Resource quotas.
    #[command(flatten)]
    pub quota: QuotaFlags,
    /// Mirrored endpoints.
    #[command(flatten)]
    pub mirroring: MirroringFlags,
    /// Volumes and their claims.
    #[command(flatten)]
    pub volumes: VolumeFlags,
    /// Attached volumes.
    #[command(flatten)]
    pub attaching: AttachFlags,
    /// Signers.
    #[command(flatten)]
    pub signers: SigningFlags,
    /// Service account tokens.
    #[command(flatten)]
    pub accounts: AccountFlags,
    /// Horizontal autoscaling.
    #[command(flatten)]
    pub autoscaler: AutoscalerFlags,
}

/// A value that the manager cannot start with.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// A file is missing or unreadable.
    #[error("--{flag} {path}: {source}")]
    File {
        /// The flag.
        flag: &'static str,
        /// Its value.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("--{flag} {path}: {why}")]
    Content {
        /// The flag.
        flag: &'static str,
        /// Its value.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A value that makes no sense.
    #[error("invalid --{flag}: {why}")]
    Impossible {
        /// The flag.
        flag: &'static str,
        /// What is wrong.
        why: String,
    },
}

impl Flags {
    /// Checks the values and reads the files they name.
    pub fn options(&self) -> Result<Options, OptionsError> {
        self.check_numbers()?;
        if let Some(path) = &self.service_account_private_key_file {
            read("service-account-private-key-file", path)?;
        }
        Ok(Options {
            root_ca: self.root_ca()?,
            ipam: self.ipam()?,
            nodes: self.nodes(),
            workers: self.workers(),
            terminated_pods: self.terminated_pod_gc_threshold,
            endpoints_per_slice: self.max_endpoints_per_slice,
            namespace_resync: self.namespace_sync_period.0,
            garbage_collector: self.enable_garbage_collector,
            quota: self.quota,
            mirroring: self.mirroring,
            volumes: self.volumes.clone(),
            attaching: self.attaching,
            signers: self.signers.signers()?,
            accounts: self.accounts,
            token_key: self.service_account_private_key_file.clone(),
            autoscaler: self.autoscaler,
        })
    }

    fn check_numbers(&self) -> Result<(), OptionsError> {
        let impossible = |flag, why: &str| Err(OptionsError::Impossible { flag, why: why.to_owned() });
        if !(1..=1000).contains(&self.max_endpoints_per_slice) {
            return impossible("max-endpoints-per-slice", "must be between 1 and 1000");
        }
        if self.node_monitor_period.0.is_zero() {
            return impossible("node-monitor-period", "must be greater than 0");
        }
        if self.node_monitor_grace_period <= self.node_monitor_period {
            return impossible("node-monitor-grace-period", "must be greater than --node-monitor-period");
        }
        self.autoscaler.check()
    }

    fn root_ca(&self) -> Result<Option<String>, OptionsError> {
        let Some(path) = &self.root_ca_file else { return Ok(None) };
        let flag = "root-ca-file";
        let text = read(flag, path)?;
        match text.contains("-----BEGIN CERTIFICATE-----") {
            true => Ok(Some(text)),
            false => Err(OptionsError::Content { flag, path: path.clone(), why: "no certificate in PEM".to_owned() }),
        }
    }

    fn ipam(&self) -> Result<Ipam, OptionsError> {
        if self.allocate_node_cidrs && self.cluster_cidr.is_empty() {
            let why = "must be given with --allocate-node-cidrs".to_owned();
            return Err(OptionsError::Impossible { flag: "cluster-cidr", why });
        }
        let is_dual = self.cluster_cidr.iter().any(|net| net.addr().is_ipv6())
            && self.cluster_cidr.iter().any(|net| net.addr().is_ipv4());
        let shared = self.node_cidr_mask_size.filter(|_| !is_dual);
        let ipam = Ipam {
            allocate: self.allocate_node_cidrs,
            cluster_cidrs: self.cluster_cidr.clone(),
            service_cidrs: self.service_cluster_ip_range.clone(),
            mask_v4: self.node_cidr_mask_size_ipv4.or(shared).unwrap_or(24),
            mask_v6: self.node_cidr_mask_size_ipv6.or(shared).unwrap_or(64),
        };
        for net in ipam.cluster_cidrs.iter().filter(|_| ipam.allocate) {
            let mask = if net.addr().is_ipv6() { ipam.mask_v6 } else { ipam.mask_v4 };
            if mask < net.prefix_len() || mask > net.max_prefix_len() {
                let why = format!("a mask of {mask} bits does not fit into {net}");
                return Err(OptionsError::Impossible { flag: "node-cidr-mask-size", why });
            }
        }
        Ok(ipam)
    }

    fn nodes(&self) -> NodeHealth {
        NodeHealth {
            period: self.node_monitor_period.0,
            grace: self.node_monitor_grace_period.0,
            startup_grace: self.node_startup_grace_period.0,
            rate: self.node_eviction_rate,
            secondary_rate: self.secondary_node_eviction_rate,
            large_zone: self.large_cluster_size_threshold,
            unhealthy_share: self.unhealthy_zone_threshold,
        }
    }

    fn workers(&self) -> Workers {
        Workers {
            deployment: self.concurrent_deployment_syncs,
            replicaset: self.concurrent_replicaset_syncs,
            replication: self.concurrent_rc_syncs,
            endpoints: self.concurrent_endpoint_syncs,
            endpointslice: self.concurrent_service_endpoint_syncs,
            namespace: self.concurrent_namespace_syncs,
            garbage: self.concurrent_gc_syncs,
            job: self.concurrent_job_syncs,
            cron_job: self.concurrent_cron_job_syncs,
            daemon_set: self.concurrent_daemonset_syncs,
            stateful_set: self.concurrent_statefulset_syncs,
            ttl_after_finished: self.concurrent_ttl_after_finished_syncs,
            resource_claim: self.concurrent_resourceclaim_syncs,
            device_taint_eviction: self.concurrent_device_taint_eviction_syncs,
        }
    }
}

fn read(flag: &'static str, path: &Path) -> Result<String, OptionsError> {
    std::fs::read_to_string(path).map_err(|source| OptionsError::File { flag, path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use component::flags::{Parsed, parse};

    fn options(arguments: &[&str]) -> Result<Options, String> {
        let arguments = arguments.iter().map(ToString::to_string);
        match parse::<Flags>("kube-controller-manager", arguments, |_| None) {
            Ok(Parsed::Start(start)) => start.options.options().map_err(|error| error.to_string()),
            Ok(Parsed::Print(text)) => Err(text),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn defaults() {
        let options = options(&[]).unwrap();
        assert_eq!(options.nodes.grace.as_secs(), 40);
        assert_eq!(options.workers.garbage, 20);
        assert!(options.garbage_collector && !options.ipam.allocate);
    }

    #[test]
    fn node_cidrs() {
        let options = options(&["--allocate-node-cidrs", "--cluster-cidr=10.244.0.0/16,fd00::/48"]).unwrap();
        assert_eq!((options.ipam.cluster_cidrs.len(), options.ipam.mask_v4, options.ipam.mask_v6), (2, 24, 64));
    }

    #[test]
    fn what_cannot_be_is_refused_in_one_line() {
        let table: [(&[&str], &str); 6] = [
            (&["--allocate-node-cidrs=true"], "invalid --cluster-cidr: must be given with --allocate-node-cidrs"),
            (
                &["--allocate-node-cidrs", "--cluster-cidr=10.0.0.0/24", "--node-cidr-mask-size=16"],
                "invalid --node-cidr-mask-size: a mask of 16 bits does not fit into 10.0.0.0/24",
            ),
            (&["--max-endpoints-per-slice=0"], "invalid --max-endpoints-per-slice: must be between 1 and 1000"),
            (
                &["--node-monitor-grace-period=1s"],
                "invalid --node-monitor-grace-period: must be greater than --node-monitor-period",
            ),
            (&["--root-ca-file=/dev/null/ca.crt"], "--root-ca-file /dev/null/ca.crt: Not a directory (os error 20)"),
            (&["--no-such-flag"], "unknown flag: --no-such-flag"),
        ];
        for (arguments, expected) in table {
            assert_eq!(options(arguments).unwrap_err(), expected, "{arguments:?}");
        }
    }
}
