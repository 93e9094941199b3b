//! What the flags say, checked and typed.

use super::flags::{AccountFlags, AttachFlags, AutoscalerFlags, MirroringFlags, QuotaFlags, VolumeFlags};
use ipnet::IpNet;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that controllers can be told.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--root-ca-file`: what pods verify the apiserver with; none publishes nothing.
    pub root_ca: Option<String>,
    /// Node CIDRs.
    pub ipam: Ipam,
    /// Node health.
    pub nodes: NodeHealth,
    /// How many objects of a kind are worked on at once.
    pub workers: Workers,
    /// `--terminated-pod-gc-threshold`: 0 keeps all.
    pub terminated_pods: usize,
    /// `--max-endpoints-per-slice`.
    pub endpoints_per_slice: usize,
    /// `--namespace-sync-period`.
    pub namespace_resync: Duration,
    /// `--enable-garbage-collector`.
    pub garbage_collector: bool,
    /// Resource quotas.
    pub quota: QuotaFlags,
    /// Mirrored endpoints.
    pub mirroring: MirroringFlags,
    /// Volumes and their claims.
    pub volumes: VolumeFlags,
    /// Attached volumes.
    pub attaching: AttachFlags,
    /// `--cluster-signing-*`.
    pub signers: Signers,
    /// Service account tokens.
    pub accounts: AccountFlags,
    /// `--service-account-private-key-file`: signs the tokens of Secrets.
    pub token_key: Option<PathBuf>,
    /// Horizontal autoscaling.
    pub autoscaler: AutoscalerFlags,
}

/// `--allocate-node-cidrs` and what belongs to it.
#[derive(Clone, Debug)]
pub struct Ipam {
    /// Whether nodes get pod CIDRs.
    pub allocate: bool,
    /// One per family.
    pub cluster_cidrs: Vec<IpNet>,
    /// Not given to nodes.
    pub service_cidrs: Vec<IpNet>,
    /// 24 unless told.
    pub mask_v4: u8,
    /// 64 unless told.
    pub mask_v6: u8,
}

/// How node health is watched and acted on.
#[derive(Clone, Debug)]
pub struct NodeHealth {
    /// `--node-monitor-period`.
    pub period: Duration,
    /// `--node-monitor-grace-period`: silence after which a node is Unknown.
    pub grace: Duration,
    /// `--node-startup-grace-period`: the same for a node that has never reported.
    pub startup_grace: Duration,
    /// `--node-eviction-rate`: nodes per second in a healthy zone.
    pub rate: f64,
    /// `--secondary-node-eviction-rate`: nodes per second in a large, partly broken zone.
    pub secondary_rate: f64,
    /// `--large-cluster-size-threshold`.
    pub large_zone: usize,
    /// `--unhealthy-zone-threshold`: the broken share that makes a zone partly broken.
    pub unhealthy_share: f64,
}

/// `--concurrent-*-syncs`.
#[derive(Clone, Copy, Debug)]
pub struct Workers {
    /// `--concurrent-deployment-syncs`.
    pub deployment: usize,
    /// `--concurrent-replicaset-syncs`.
    pub replicaset: usize,
    /// `--concurrent-rc-syncs`.
    pub replication: usize,
    /// `--concurrent-endpoint-syncs`.
    pub endpoints: usize,
    /// `--concurrent-service-endpoint-syncs`.
    pub endpointslice: usize,
    /// `--concurrent-namespace-syncs`.
    pub namespace: usize,
    /// `--concurrent-gc-syncs`.
    pub garbage: usize,
    /// `--concurrent-job-syncs`.
    pub job: usize,
    /// `--concurrent-cron-job-syncs`.
    pub cron_job: usize,
    /// `--concurrent-daemonset-syncs`.
    pub daemon_set: usize,
    /// `--concurrent-statefulset-syncs`.
    pub stateful_set: usize,
    /// `--concurrent-ttl-after-finished-syncs`.
    pub ttl_after_finished: usize,
    /// `--concurrent-resourceclaim-syncs`.
    pub resource_claim: usize,
    /// `--concurrent-device-taint-eviction-syncs`.
    pub device_taint_eviction: usize,
}

/// `--cluster-signing-*`: a certificate authority per signer; one that has none does not sign.
#[derive(Clone, Debug, std::default::Default)]
pub struct Signers {
    /// `kubernetes.io/kubelet-serving`.
    pub kubelet_serving: Option<CaFiles>,
    /// `kubernetes.io/kube-apiserver-client-kubelet`.
    pub kubelet_client: Option<CaFiles>,
    /// `kubernetes.io/kube-apiserver-client`.
    pub client: Option<CaFiles>,
    /// `kubernetes.io/legacy-unknown`.
    pub legacy_unknown: Option<CaFiles>,
    /// The longest that a certificate is valid.
    pub duration: Duration,
}

/// Where a certificate authority is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaFiles {
    /// Its certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}
