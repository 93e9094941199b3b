//! The flags, with upstream's names, meanings and defaults.
//!
//! Upstream: `cmd/kube-apiserver/app/options`, `pkg/kubeapiserver/options`,
//! `apiserver/pkg/server/options`.

mod api_enablement;
mod audit;
mod authentication;
mod authorization;
mod versions;
mod web;

pub use api_enablement::{ApiEnablement, RuntimeConfigError, Served};
pub use audit::{Audit, AuditLog, AuditWays, AuditWebhook};
pub use authentication::Authentication;
pub use authorization::Authorization;
pub use versions::Versions;
pub use web::Web;

use apiserver_storage::Override;
use clap::ArgAction;
use component::GoDuration;
use component::metrics::MetricFlags;
use component::serve::TlsFlags;
use ipnet::IpNet;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// All flags that are built.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    pub etcd: Etcd,
    #[command(flatten)]
    pub serving: Serving,
    #[command(flatten)]
    pub authentication: Authentication,
    #[command(flatten)]
    pub authorization: Authorization,
    #[command(flatten)]
    pub audit: Audit,
    #[command(flatten)]
    pub admission: Admission,
    #[command(flatten)]
    pub apis: ApiEnablement,
    #[command(flatten)]
    pub kubelet: Kubelet,
    #[command(flatten)]
    pub cluster: Cluster,
    #[command(flatten)]
    pub web: Web,
    #[command(flatten)]
    pub versions: Versions,
    #[command(flatten)]
    pub metrics: MetricFlags,
}

/// Flags about etcd.
#[derive(Clone, Debug, clap::Args)]
pub struct Etcd {
    /// List of etcd servers to connect with (scheme://ip:port), comma separated.
    #[arg(long, value_delimiter = ',', required = true)]
    pub etcd_servers: Vec<String>,
    /// Resources that lie in other etcd clusters: group/resource#servers, where servers are URLs,
    /// semicolon separated.
    #[arg(long, value_delimiter = ',')]
    pub etcd_servers_overrides: Vec<String>,
    /// SSL Certificate Authority file used to secure etcd communication.
    #[arg(long)]
    pub etcd_cafile: Option<PathBuf>,
    /// SSL certification file used to secure etcd communication.
    #[arg(long)]
    pub etcd_certfile: Option<PathBuf>,
    /// SSL key file used to secure etcd communication.
    #[arg(long)]
    pub etcd_keyfile: Option<PathBuf>,
    /// The prefix to prepend to all resource paths in etcd.
    #[arg(long, default_value = "/registry")]
    pub etcd_prefix: String,
    /// The interval of compaction requests; 0 sends none.
    #[arg(long, default_value = "5m0s")]
    pub etcd_compaction_interval: GoDuration,
    /// File with the configuration of encryption at rest.
    #[arg(long)]
    pub encryption_provider_config: Option<PathBuf>,
    /// Whether that file is read again when it changes.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub encryption_provider_config_automatic_reload: bool,
    /// The media type to use to store objects in storage; nothing means application/json.
    #[arg(long, default_value = "application/vnd.kubernetes.protobuf")]
    pub storage_media_type: String,
    /// The storage backend for persistence.
    #[arg(long, default_value = "etcd3")]
    pub storage_backend: String,
    /// How long etcd may take to answer a health check.
    #[arg(long, default_value = "2s")]
    pub etcd_healthcheck_timeout: GoDuration,
    /// How long etcd may take to answer a check whether the server is ready.
    #[arg(long, default_value = "2s")]
    pub etcd_readycheck_timeout: GoDuration,
    /// Keep what changes in memory, and answer reads from there; it cannot be switched off.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    pub watch_cache: bool,
    /// Watch cache sizes, as resource[.group]#size. The caches size themselves, and none can be switched off by a size of zero.
    #[arg(long, value_delimiter = ',')]
    pub watch_cache_sizes: Vec<String>,
    /// Answer deletions as the garbage collector of the controller manager needs it; its flag of this name must say the same.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    pub enable_garbage_collector: bool,
    /// How many objects of a collection are deleted at the same time.
    #[arg(long, default_value_t = 1)]
    pub delete_collection_workers: usize,
}

/// Flags about serving.
#[derive(Clone, Debug, clap::Args)]
pub struct Serving {
    /// The IP address on which to listen for the --secure-port port.
    #[arg(long, default_value = "0.0.0.0")]
    pub bind_address: IpAddr,
    /// The port on which to serve HTTPS with authentication and authorization.
    #[arg(long, default_value_t = 6443)]
    pub secure_port: u16,
    /// The IP address on which to advertise the apiserver to members of the cluster.
    #[arg(long)]
    pub advertise_address: Option<IpAddr>,
    /// File containing the default x509 certificate for HTTPS.
    #[arg(long)]
    pub tls_cert_file: Option<PathBuf>,
    /// File containing the default x509 private key matching --tls-cert-file.
    #[arg(long)]
    pub tls_private_key_file: Option<PathBuf>,
    /// What the handshake offers, and certificates for certain names.
    #[command(flatten)]
    pub tls: TlsFlags,
    /// The directory where the TLS certificates are located.
    #[arg(long, default_value = "/var/run/kubernetes")]
    pub cert_dir: PathBuf,
    /// The maximum number of non-mutating requests in flight at a given time; 0 is no limit.
    #[arg(long, default_value_t = 400)]
    pub max_requests_inflight: usize,
    /// The maximum number of mutating requests in flight at a given time; 0 is no limit.
    #[arg(long, default_value_t = 200)]
    pub max_mutating_requests_inflight: usize,
    /// Let priority and fairness say which requests wait; the two limits together are its seats.
    #[arg(long, action = ArgAction::Set, default_value_t = true)]
    pub enable_priority_and_fairness: bool,
    /// The duration a handler must keep a request open before timing it out.
    #[arg(long, default_value = "1m0s")]
    pub request_timeout: GoDuration,
    /// The minimum number of seconds a watch is kept open before timing it out.
    #[arg(long, default_value_t = 1800)]
    pub min_request_timeout: u64,
    /// How probably an HTTP/2 client is told to go to another server; 0 to 0.02.
    #[arg(long, default_value_t = 0.0)]
    pub goaway_chance: f64,
    /// Enable profiling via web interface host:port/debug/pprof/.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    pub profiling: bool,
    /// Let other processes listen on the same port, too.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub permit_port_sharing: bool,
    /// How long after its start `/livez` does not ask whether the start is complete.
    #[arg(long, default_value = "0s")]
    pub livez_grace_period: GoDuration,
    /// How long the server goes on serving after a signal, while it says that it is not ready.
    #[arg(long, default_value = "0s")]
    pub shutdown_delay_duration: GoDuration,
    /// Go on listening until requests under way are answered, and tell new ones to come back later.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub shutdown_send_retry_after: bool,
    /// Over how long watches are ended, one after the other, when the server stops; 0 ends them at once.
    #[arg(long, default_value = "0s")]
    pub shutdown_watch_termination_grace_period: GoDuration,
}

impl Serving {
    /// How long the way from a signal to the last answer may take.
    pub fn longest_end(&self) -> Duration {
        let answers = self.request_timeout.0.max(self.shutdown_watch_termination_grace_period.0);
        self.shutdown_delay_duration.0 + answers
    }
}

/// Flags about admission.
#[derive(Clone, Debug, clap::Args)]
pub struct Admission {
    /// Deprecated: the admission plugins to run, and no others.
    #[arg(long, value_delimiter = ',')]
    pub admission_control: Vec<String>,
    /// Admission plugins to enable besides the default ones.
    #[arg(long, value_delimiter = ',')]
    pub enable_admission_plugins: Vec<String>,
    /// Admission plugins to disable although they are in the default list.
    #[arg(long, value_delimiter = ',')]
    pub disable_admission_plugins: Vec<String>,
    /// File with the configurations of admission plugins.
    #[arg(long)]
    pub admission_control_config_file: Option<PathBuf>,
    /// Seconds that pods tolerate notReady:NoExecute by default.
    #[arg(long, default_value_t = 300)]
    pub default_not_ready_toleration_seconds: i64,
    /// Seconds that pods tolerate unreachable:NoExecute by default.
    #[arg(long, default_value_t = 300)]
    pub default_unreachable_toleration_seconds: i64,
}

/// Flags about the way to kubelets.
#[derive(Clone, Debug, clap::Args)]
pub struct Kubelet {
    /// Path to a client certificate for kubelets.
    #[arg(long)]
    pub kubelet_client_certificate: Option<PathBuf>,
    /// Path to its key.
    #[arg(long)]
    pub kubelet_client_key: Option<PathBuf>,
    /// Path to the authorities of kubelets' serving certificates; without it any will do.
    #[arg(long)]
    pub kubelet_certificate_authority: Option<PathBuf>,
    /// List of the preferred kinds of node addresses for kubelet connections.
    #[arg(long, value_delimiter = ',', default_value = "Hostname,InternalDNS,InternalIP,ExternalDNS,ExternalIP")]
    pub kubelet_preferred_address_types: Vec<String>,
    /// Timeout for kubelet connections.
    #[arg(long, default_value = "5s")]
    pub kubelet_timeout: GoDuration,
}

/// Flags about the cluster.
#[derive(Clone, Debug, clap::Args)]
pub struct Cluster {
    /// Ranges of service cluster IPs, one or one of each family.
    #[arg(long, value_delimiter = ',', default_value = "10.0.0.0/24")]
    pub service_cluster_ip_range: Vec<IpNet>,
    /// A range of ports for services with NodePort visibility: 30000-32767.
    #[arg(long, default_value = "30000-32767", value_parser = port_range)]
    pub service_node_port_range: RangeInclusive<u16>,
    /// The node port of the kubernetes Service; 0 is none, and the Service has a cluster IP only.
    #[arg(long, default_value_t = 0)]
    pub kubernetes_service_node_port: u16,
    /// How the endpoints of the kubernetes Service are kept: by leases of all servers, or not at all.
    #[arg(long, default_value = "lease", value_parser = ["lease", "none"])]
    pub endpoint_reconciler_type: String,
    /// Allow privileged containers.
    #[arg(long, action = ArgAction::Set, default_value_t = false)]
    pub allow_privileged: bool,
    /// Amount of time to retain events.
    #[arg(long, default_value = "1h0m0s")]
    pub event_ttl: GoDuration,
    /// Aggregator rejects redirects of aggregated API servers.
    #[arg(long, action = ArgAction::Set, default_value_t = true)]
    pub aggregator_reject_forwarding_redirect: bool,
    /// Route aggregated requests to endpoints instead of cluster IPs.
    #[arg(long, action = ArgAction::Set, default_value_t = false)]
    pub enable_aggregator_routing: bool,
    /// Client certificate that proves the aggregator's identity to extension servers.
    #[arg(long)]
    pub proxy_client_cert_file: Option<PathBuf>,
    /// Its key.
    #[arg(long)]
    pub proxy_client_key_file: Option<PathBuf>,
}

/// `LOW-HIGH`, `LOW+COUNT` or one port, as upstream.
fn port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let invalid = || format!("unable to parse port range: {text}");
    let number = |part: &str| part.trim().parse::<u16>().map_err(|_| invalid());
    let (low, high) = match (text.split_once('-'), text.split_once('+')) {
        (Some((low, high)), _) => (number(low)?, number(high)?),
        (None, Some((low, more))) => {
            let low = number(low)?;
            (low, low.checked_add(number(more)?).ok_or_else(invalid)?)
        }
        (None, None) => (number(text)?, number(text)?),
    };
    if high < low { Err(invalid()) } else { Ok(low..=high) }
}

/// Values that cannot be used together.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum OptionError {
    #[error("--{0} and --{1} must be given together")]
    Pair(&'static str, &'static str),
    #[error(
        "--storage-media-type {0:?} invalid, allowed values: application/json, application/vnd.kubernetes.protobuf"
    )]
    MediaType(String),
    #[error("--authorization-mode: {0:?} is not a valid mode")]
    Mode(String),
    #[error("authorization-mode ABAC's authorization policy file not passed")]
    NoPolicy,
    #[error("cannot specify --authorization-policy-file without mode ABAC")]
    UnusedPolicy,
    #[error("authorization-mode Webhook's authorization config file not passed")]
    NoWebhook,
    #[error("cannot specify --authorization-webhook-config-file without mode Webhook")]
    UnusedWebhook,
    #[error(
        "--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags are defined"
    )]
    AuthorizationTwice,
    #[error("authorization-mode {0:?} has mode specified more than once")]
    Twice(Vec<String>),
    #[error("--encryption-provider-config-automatic-reload must be set with --encryption-provider-config")]
    NothingToReload,
    #[error("authentication-config file and oidc-* flags are mutually exclusive")]
    OidcTwice,
    #[error("--service-account-issuer is required with --service-account-signing-key-file")]
    NoIssuer,
    #[error("{0}")]
    Audit(String),
    #[error(transparent)]
    RuntimeConfig(#[from] RuntimeConfigError),
    #[error(
        "--etcd-servers-overrides invalid, must be of format: group/resource#servers, where servers are URLs, semicolon separated"
    )]
    Override,
    #[error("--etcd-servers-overrides: {0} must lie where all others do")]
    Followed(String),
    #[error("--goaway-chance can not be less than 0 or greater than 0.02")]
    Goaway,
    #[error("empty value in strict-transport-security-directives")]
    NoDirective,
    #[error(
        "--strict-transport-security-directives invalid, allowed values: max-age=expireTime, includeSubDomains, preload. see https://tools.ietf.org/html/rfc6797#section-6.1 for more information"
    )]
    Directive,
    #[error("{0}")]
    Origins(String),
    #[error("--{0} is known but not built")]
    Unbuilt(&'static str),
    #[error("--{0}: {1:?} is not built: this server can only be {2}")]
    Version(&'static str, String, String),
    #[error("--storage-backend invalid, allowed values: etcd3. If not specified, it will default to 'etcd3'")]
    Backend,
    #[error("invalid value of watch cache size: {0}")]
    CacheSize(String),
    #[error("--delete-collection-workers must be greater than 0")]
    NoWorkers,
    #[error("admission-control and enable-admission-plugins/disable-admission-plugins flags are mutually exclusive")]
    AdmissionTwice,
    #[error("kubernetes service node port range {0}-{1} doesn't contain {2}")]
    NodePort(u16, u16, u16),
    #[error("--service-cluster-ip-range: at most one range of each IP family")]
    Ranges,
    #[error("--service-cluster-ip-range: {0} is larger than /{1} allows")]
    RangeTooLarge(IpNet, u8),
}

/// Bits of a service range that may vary: upstream's bitmap is no larger.
const MAX_RANGE_BITS: u8 = 20;

impl Options {
    /// Checks what single values cannot show.
    pub fn validate(&self) -> Result<(), OptionError> {
        let pair = |a: &Option<PathBuf>, b: &Option<PathBuf>, names: (&'static str, &'static str)| {
            if a.is_some() == b.is_some() { Ok(()) } else { Err(OptionError::Pair(names.0, names.1)) }
        };
        let (serving, kubelet, cluster) = (&self.serving, &self.kubelet, &self.cluster);
        pair(&serving.tls_cert_file, &serving.tls_private_key_file, ("tls-cert-file", "tls-private-key-file"))?;
        pair(&self.etcd.etcd_certfile, &self.etcd.etcd_keyfile, ("etcd-certfile", "etcd-keyfile"))?;
        pair(
            &kubelet.kubelet_client_certificate,
            &kubelet.kubelet_client_key,
            ("kubelet-client-certificate", "kubelet-client-key"),
        )?;
        pair(
            &cluster.proxy_client_cert_file,
            &cluster.proxy_client_key_file,
            ("proxy-client-cert-file", "proxy-client-key-file"),
        )?;
        self.etcd.overrides()?;
        self.media_type()?;
        self.authorization.validate()?;
        if self.etcd.encryption_provider_config_automatic_reload && self.etcd.encryption_provider_config.is_none() {
            return Err(OptionError::NothingToReload);
        }
        self.authentication.validate()?;
        self.apis.served(serving.enable_priority_and_fairness)?;
        self.audit.validate()?;
        if !(0.0..=0.02).contains(&serving.goaway_chance) {
            return Err(OptionError::Goaway);
        }
        self.web.validate()?;
        self.versions.validate()?;
        self.validate_others()?;
        self.validate_ranges()
    }

    fn validate_others(&self) -> Result<(), OptionError> {
        let (admission, etcd) = (&self.admission, &self.etcd);
        let (port, ports) = (self.cluster.kubernetes_service_node_port, &self.cluster.service_node_port_range);
        if !matches!(etcd.storage_backend.as_str(), "" | "etcd3") {
            return Err(OptionError::Backend);
        }
        if etcd.delete_collection_workers == 0 {
            return Err(OptionError::NoWorkers);
        }
        let odd = etcd.watch_cache_sizes.iter().find(|text| cache_size(text).is_none());
        if let Some(odd) = odd {
            return Err(OptionError::CacheSize(odd.clone()));
        }
        let is_changed =
            !admission.enable_admission_plugins.is_empty() || !admission.disable_admission_plugins.is_empty();
        if is_changed && !admission.admission_control.is_empty() {
            return Err(OptionError::AdmissionTwice);
        }
        match port == 0 || ports.contains(&port) {
            true => Ok(()),
            false => Err(OptionError::NodePort(*ports.start(), *ports.end(), port)),
        }
    }

    fn validate_ranges(&self) -> Result<(), OptionError> {
        let ranges = &self.cluster.service_cluster_ip_range;
        let of_family = |v4: bool| ranges.iter().filter(|r| r.addr().is_ipv4() == v4).count();
        if ranges.is_empty() || of_family(true) > 1 || of_family(false) > 1 {
            return Err(OptionError::Ranges);
        }
        // IPv4 ranges may be as large as upstream's bitmap; IPv6 ones are cut off there.
        let too_large = |r: &&IpNet| r.addr().is_ipv4() && r.max_prefix_len() - r.prefix_len() > MAX_RANGE_BITS;
        match ranges.iter().find(too_large) {
            Some(range) => Err(OptionError::RangeTooLarge(*range, range.max_prefix_len() - MAX_RANGE_BITS)),
            None => Ok(()),
        }
    }

    /// Whether objects are stored as protobuf.
    pub fn media_type(&self) -> Result<bool, OptionError> {
        match self.etcd.storage_media_type.as_str() {
            "application/vnd.kubernetes.protobuf" => Ok(true),
            // Upstream's storage falls back to JSON.
            "application/json" | "" => Ok(false),
            other => Err(OptionError::MediaType(other.to_owned())),
        }
    }
}

/// Resources that the server itself follows from a revision of the main cluster on.
const FOLLOWED: &[&str] = &[
    "/services",
    "apiextensions.k8s.io/customresourcedefinitions",
    "apiregistration.k8s.io/apiservices",
    "discovery.k8s.io/endpointslices",
    "flowcontrol.apiserver.k8s.io/flowschemas",
    "flowcontrol.apiserver.k8s.io/prioritylevelconfigurations",
];

impl Etcd {
    /// Whether the flags ask for reads that go around the watch cache, which there are none of.
    pub fn wants_no_cache(&self) -> bool {
        !self.watch_cache || self.watch_cache_sizes.iter().any(|text| cache_size(text) == Some(0))
    }

    /// `--etcd-servers-overrides`.
    pub fn overrides(&self) -> Result<Vec<Override>, OptionError> {
        self.etcd_servers_overrides.iter().map(|text| one_override(text)).collect()
    }
}

/// The size that a text of `--watch-cache-sizes` has for its resource.
fn cache_size(text: &str) -> Option<u32> {
    let (resource, size) = text.split_once('#')?;
    size.parse().ok().filter(|_| !resource.is_empty())
}

fn one_override(text: &str) -> Result<Override, OptionError> {
    let (resource, servers) = text.split_once('#').ok_or(OptionError::Override)?;
    if FOLLOWED.contains(&resource) {
        return Err(OptionError::Followed(resource.to_owned()));
    }
    let (group, resource) = resource.split_once('/').ok_or(OptionError::Override)?;
    let servers: Vec<String> = servers.split(';').map(str::to_owned).collect();
    let is_odd = resource.contains('/') || servers.iter().any(|server| server.is_empty() || server.contains('#'));
    match is_odd {
        true => Err(OptionError::Override),
        false => Ok(Override { group: group.to_owned(), resource: resource.to_owned(), servers }),
    }
}

#[cfg(test)]
mod tests;
