//! The command line. Most of upstream's flags only set a field of the configuration file; they
//! are named here once and reach the configuration by [`FIELDS`], [`LISTS`] and [`MAPS`].

use component::GoDuration;
use component::layers::FieldFlag;
use k8s_openapi::api::core::v1::Taint;
use serde_json::{Map, Value, json};
use std::net::IpAddr;
use std::path::PathBuf;

/// The kubelet's own flags.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The kubelet will load its initial configuration from this file.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Path to a directory containing drop-in configuration files that override settings from defaults and the --config
    /// file: those that end with .conf, there and in folders below, in the order of their names.
    #[arg(long)]
    pub config_dir: Option<PathBuf>,
    /// Path to a kubeconfig file; without it the kubelet runs static pods only.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Path to a kubeconfig file that will be used to get client certificate for kubelet, if the one that --kubeconfig
    /// names does not exist; it is written then, and names the certificate in --cert-dir.
    #[arg(long)]
    pub bootstrap_kubeconfig: Option<PathBuf>,
    /// If non-empty, will use this string as identification instead of the actual hostname.
    #[arg(long)]
    pub hostname_override: Option<String>,
    /// IP address (or comma-separated dual-stack IP addresses) of the node.
    #[arg(long, value_delimiter = ',')]
    pub node_ip: Vec<IpAddr>,
    /// Directory path for managing kubelet files (volume mounts, etc).
    #[arg(long, default_value = "/var/lib/kubelet")]
    pub root_dir: PathBuf,
    /// Labels to add when registering the node in the cluster.
    #[arg(long, value_delimiter = ',')]
    pub node_labels: Vec<String>,
    /// The directory where the TLS certs are located.
    #[arg(long, default_value = "/var/lib/kubelet/pki")]
    pub cert_dir: PathBuf,
    /// Path to a credential provider plugin config file (JSON/YAML/YML) or a directory of such files (merged in
    /// lexicographical order; non-recursive search).
    #[arg(long)]
    pub image_credential_provider_config: Option<PathBuf>,
    /// The path to the directory where credential provider plugin binaries are located.
    #[arg(long)]
    pub image_credential_provider_bin_dir: Option<PathBuf>,
    #[command(flatten)]
    pub fields: Fields,
}

/// Flags with one value for one field of the configuration: each with what it says of itself, its type, and the field.
macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident: $type:ty, $flag:literal => $path:literal;)*) => {
        /// Flags that set a field of the configuration file; read through [`FIELDS`].
        #[derive(Clone, Debug, clap::Args)]
        pub struct Fields {
            $($(#[$doc])* #[arg(long = $flag)] $name: Option<$type>,)*
            #[command(flatten)]
            several: Several,
        }

        /// Flags that set a field of the configuration file.
        pub const FIELDS: &[FieldFlag] = &[$(FieldFlag { flag: $flag, path: $path }),*];
    };
}

fields! {
    /// The IP address for the Kubelet to serve on.
    address: IpAddr, "address" => "address";
    /// Enables anonymous requests to the Kubelet server.
    anonymous_auth: bool, "anonymous-auth" => "authentication.anonymous.enabled";
    /// Use the TokenReview API to determine authentication for bearer tokens.
    authentication_token_webhook: bool, "authentication-token-webhook" => "authentication.webhook.enabled";
    /// How long answers about bearer tokens are believed.
    authentication_token_webhook_cache_ttl: GoDuration, "authentication-token-webhook-cache-ttl" => "authentication.webhook.cacheTTL";
    /// Authorization mode for Kubelet server.
    authorization_mode: String, "authorization-mode" => "authorization.mode";
    /// How long the authorizer's consent is believed.
    authorization_webhook_cache_authorized_ttl: GoDuration, "authorization-webhook-cache-authorized-ttl" => "authorization.webhook.cacheAuthorizedTTL";
    /// How long the authorizer's refusal is believed.
    authorization_webhook_cache_unauthorized_ttl: GoDuration, "authorization-webhook-cache-unauthorized-ttl" => "authorization.webhook.cacheUnauthorizedTTL";
    /// Driver that the kubelet uses to manipulate cgroups on the host.
    cgroup_driver: String, "cgroup-driver" => "cgroupDriver";
    /// Optional root cgroup to use for pods.
    cgroup_root: String, "cgroup-root" => "cgroupRoot";
    /// Whether pods have control groups of their own, below one for each class.
    cgroups_per_qos: bool, "cgroups-per-qos" => "cgroupsPerQOS";
    /// Authorities of client certificates.
    client_ca_file: String, "client-ca-file" => "authentication.x509.clientCAFile";
    /// Domain for this cluster.
    cluster_domain: String, "cluster-domain" => "clusterDomain";
    /// How many log files a container may have, at least 2.
    container_log_max_files: i32, "container-log-max-files" => "containerLogMaxFiles";
    /// From what size on a container's log file is rotated.
    container_log_max_size: String, "container-log-max-size" => "containerLogMaxSize";
    /// The endpoint of remote runtime service.
    container_runtime_endpoint: String, "container-runtime-endpoint" => "containerRuntimeEndpoint";
    /// Enforce CPU limits of containers that say some.
    cpu_cfs_quota: bool, "cpu-cfs-quota" => "cpuCFSQuota";
    /// The period in which CPU limits are enforced.
    cpu_cfs_quota_period: GoDuration, "cpu-cfs-quota-period" => "cpuCFSQuotaPeriod";
    /// CPU Manager policy to use: none or static.
    cpu_manager_policy: String, "cpu-manager-policy" => "cpuManagerPolicy";
    /// From which NUMA nodes containers have their memory: None, Static.
    memory_manager_policy: String, "memory-manager-policy" => "memoryManagerPolicy";
    /// Whether what a pod gets is to be close together: none, best-effort, restricted, single-numa-node.
    topology_manager_policy: String, "topology-manager-policy" => "topologyManagerPolicy";
    /// What is brought close together: container, pod.
    topology_manager_scope: String, "topology-manager-scope" => "topologyManagerScope";
    /// How often containers are told again where they may run.
    cpu_manager_reconcile_period: GoDuration, "cpu-manager-reconcile-period" => "cpuManagerReconcilePeriod";
    /// Whether logs of containers are served, and commands run in them.
    enable_debugging_handlers: bool, "enable-debugging-handlers" => "enableDebuggingHandlers";
    /// Enable the Kubelet's server.
    enable_server: bool, "enable-server" => "enableServer";
    /// Whether times that threads wait for locks are measured for profiles, which this kubelet never does.
    contention_profiling: bool, "contention-profiling" => "enableContentionProfiling";
    /// Events that may be sent at once.
    event_burst: i32, "event-burst" => "eventBurst";
    /// Events that are sent per second.
    event_qps: i32, "event-qps" => "eventRecordQPS";
    /// Seconds that a pod may take to end at most when a soft eviction threshold is met.
    eviction_max_pod_grace_period: i32, "eviction-max-pod-grace-period" => "evictionMaxPodGracePeriod";
    /// How long a pressure has to be over before its condition is.
    eviction_pressure_transition_period: GoDuration, "eviction-pressure-transition-period" => "evictionPressureTransitionPeriod";
    /// Makes the Kubelet fail to start on control groups of version 1.
    fail_cgroupv1: bool, "fail-cgroupv1" => "failCgroupV1";
    /// Makes the Kubelet fail to start if swap is enabled on the node.
    fail_swap_on: bool, "fail-swap-on" => "failSwapOn";
    /// How often the folder of static pods is read.
    file_check_frequency: GoDuration, "file-check-frequency" => "fileCheckFrequency";
    /// The IP address for the healthz server to serve on.
    healthz_bind_address: IpAddr, "healthz-bind-address" => "healthzBindAddress";
    /// The port of the localhost healthz endpoint (set to 0 to disable).
    healthz_port: u16, "healthz-port" => "healthzPort";
    /// Percent of the disk in use from which on unused images are removed.
    image_gc_high_threshold: i32, "image-gc-high-threshold" => "imageGCHighThresholdPercent";
    /// Percent of the disk in use at which no more images are removed.
    image_gc_low_threshold: i32, "image-gc-low-threshold" => "imageGCLowThresholdPercent";
    /// The endpoint of remote image service.
    image_service_endpoint: String, "image-service-endpoint" => "imageServiceEndpoint";
    /// Requests to the apiserver that may be sent at once.
    kube_api_burst: i32, "kube-api-burst" => "kubeAPIBurst";
    /// Requests to the apiserver per second.
    kube_api_qps: i32, "kube-api-qps" => "kubeAPIQPS";
    /// The control group of Kubernetes' components, to be limited to --kube-reserved.
    kube_reserved_cgroup: String, "kube-reserved-cgroup" => "kubeReservedCgroup";
    /// Whether pods may use only so much of the node's disk as they say.
    local_storage_capacity_isolation: bool, "local-storage-capacity-isolation" => "localStorageCapacityIsolation";
    /// Whether the chains of iptables are made that show which iptables the node uses and keep local addresses local.
    make_iptables_util_chains: bool, "make-iptables-util-chains" => "makeIPTablesUtilChains";
    /// How many files the Kubelet may have open.
    max_open_files: u64, "max-open-files" => "maxOpenFiles";
    /// Number of Pods that can run on this Kubelet.
    max_pods: u32, "max-pods" => "maxPods";
    /// How old an unused image has to be before it is removed.
    minimum_image_ttl_duration: GoDuration, "minimum-image-ttl-duration" => "imageMinimumGCAge";
    /// How many images the node's status tells of; -1 for all.
    node_status_max_images: i32, "node-status-max-images" => "nodeStatusMaxImages";
    /// How often the node's status is looked at.
    node_status_update_frequency: GoDuration, "node-status-update-frequency" => "nodeStatusUpdateFrequency";
    /// How much the kernel is to spare the Kubelet, -1000 to 1000.
    oom_score_adj: i32, "oom-score-adj" => "oomScoreAdj";
    /// The addresses of the pods of a Kubelet without an apiserver.
    pod_cidr: String, "pod-cidr" => "podCIDR";
    /// Path to the directory containing static pod files to run.
    pod_manifest_path: String, "pod-manifest-path" => "staticPodPath";
    /// How many processes a pod may have; -1 for as many as the node.
    pod_max_pids: i64, "pod-max-pids" => "podPidsLimit";
    /// How many pods there may be for each processor, as far as --max-pods allows; 0 for any number.
    pods_per_core: u32, "pods-per-core" => "podsPerCore";
    /// The port for the Kubelet to serve on.
    port: u16, "port" => "port";
    /// Makes the Kubelet fail to start if kernel parameters are not as it wants them; without it, it sets them.
    protect_kernel_defaults: bool, "protect-kernel-defaults" => "protectKernelDefaults";
    /// Unique identifier for identifying the node in a machine database, i.e cloud provider.
    provider_id: String, "provider-id" => "providerID";
    /// The port for the Kubelet to serve on without authentication and authorization; 0 for none.
    read_only_port: u16, "read-only-port" => "readOnlyPort";
    /// Register the node with the apiserver.
    register_node: bool, "register-node" => "registerNode";
    /// Pulls that may begin at once.
    registry_burst: i32, "registry-burst" => "registryBurst";
    /// Pulls per second; 0 for any number.
    registry_qps: i32, "registry-qps" => "registryPullQPS";
    /// Processors that are reserved for the system and for Kubernetes: 0-1,8. They take the place of the numbers in
    /// --system-reserved and --kube-reserved.
    reserved_cpus: String, "reserved-cpus" => "reservedSystemCPUs";
    /// Resolver configuration file used as the basis for the container DNS resolution configuration.
    resolv_conf: String, "resolv-conf" => "resolvConf";
    /// Ask for a new client certificate when the present one's expiration approaches.
    rotate_certificates: bool, "rotate-certificates" => "rotateCertificates";
    /// Ask the cluster for the certificate to serve with, and for a new one when its expiration approaches.
    rotate_server_certificates: bool, "rotate-server-certificates" => "serverTLSBootstrap";
    /// Refused: there is no such mode any more.
    runonce: bool, "runonce" => "runOnce";
    /// How long requests to the runtime may take, other than those that take as long as they like.
    runtime_request_timeout: GoDuration, "runtime-request-timeout" => "runtimeRequestTimeout";
    /// Whether containers that say nothing of seccomp have the runtime's profile.
    seccomp_default: bool, "seccomp-default" => "seccompDefault";
    /// Pull images one at a time.
    serialize_image_pulls: bool, "serialize-image-pulls" => "serializeImagePulls";
    /// How long a stream may be idle; runtimes serve streams, and decide that.
    streaming_connection_idle_timeout: GoDuration, "streaming-connection-idle-timeout" => "streamingConnectionIdleTimeout";
    /// How often a pod is looked at when nothing happens.
    sync_frequency: GoDuration, "sync-frequency" => "syncFrequency";
    /// The control group of the system, to be limited to --system-reserved.
    system_reserved_cgroup: String, "system-reserved-cgroup" => "systemReservedCgroup";
    /// File containing x509 Certificate used for serving HTTPS.
    tls_cert_file: String, "tls-cert-file" => "tlsCertFile";
    /// Minimum TLS version supported: VersionTLS12 or VersionTLS13.
    tls_min_version: String, "tls-min-version" => "tlsMinVersion";
    /// File containing x509 private key matching --tls-cert-file.
    tls_private_key_file: String, "tls-private-key-file" => "tlsPrivateKeyFile";
    /// How long what pods and their volumes use of the disk is believed.
    volume_stats_agg_period: GoDuration, "volume-stats-agg-period" => "volumeStatsAggPeriod";
}

/// Flags with several values.
#[derive(Clone, Debug, clap::Args)]
struct Several {
    /// Kernel parameters, or starts of them with a star behind, that pods may set besides the safe ones.
    #[arg(long)]
    allowed_unsafe_sysctls: Vec<String>,
    /// Comma-separated list of DNS server IP address.
    #[arg(long)]
    cluster_dns: Vec<String>,
    /// Options of the CPU Manager's policy: full-pcpus-only=true.
    #[arg(long)]
    cpu_manager_policy_options: Vec<String>,
    /// On whom the node's reservations are enforced: none, pods, kube-reserved, system-reserved.
    #[arg(long)]
    enforce_node_allocatable: Vec<String>,
    /// Eviction thresholds: memory.available<1Gi.
    #[arg(long)]
    eviction_hard: Vec<String>,
    /// How much is to be won back of what is short: imagefs.available=2Gi.
    #[arg(long)]
    eviction_minimum_reclaim: Vec<String>,
    /// Eviction thresholds with a grace period: memory.available<1.5Gi.
    #[arg(long)]
    eviction_soft: Vec<String>,
    /// How long soft thresholds have to be met: memory.available=1m30s.
    #[arg(long)]
    eviction_soft_grace_period: Vec<String>,
    /// What the components of Kubernetes need of the node: cpu=200m,memory=500Mi.
    #[arg(long)]
    kube_reserved: Vec<String>,
    /// Taints of the node when it registers: key=value:effect.
    #[arg(long)]
    register_with_taints: Vec<String>,
    /// What the system keeps of the memory of NUMA nodes: 0:memory=1Gi,hugepages-1M=2Gi.
    #[arg(long)]
    reserved_memory: Vec<String>,
    /// What the system needs of the node: cpu=200m,memory=500Mi.
    #[arg(long)]
    system_reserved: Vec<String>,
    /// Cipher suites of TLS 1.2 for the server.
    #[arg(long)]
    tls_cipher_suites: Vec<String>,
    /// Options of the Topology Manager's policy: prefer-closest-numa-nodes=true.
    #[arg(long)]
    topology_manager_policy_options: Vec<String>,
}

/// Flags that set a list of texts; those of several flags come one after the other.
const LISTS: &[FieldFlag] = &[
    FieldFlag { flag: "allowed-unsafe-sysctls", path: "allowedUnsafeSysctls" },
    FieldFlag { flag: "cluster-dns", path: "clusterDNS" },
    FieldFlag { flag: "enforce-node-allocatable", path: "enforceNodeAllocatable" },
    FieldFlag { flag: "tls-cipher-suites", path: "tlsCipherSuites" },
];

/// Flags that set names and what belongs to them, with what stands between the two.
const MAPS: &[(FieldFlag, char)] = &[
    (FieldFlag { flag: "cpu-manager-policy-options", path: "cpuManagerPolicyOptions" }, '='),
    (FieldFlag { flag: "eviction-hard", path: "evictionHard" }, '<'),
    (FieldFlag { flag: "eviction-minimum-reclaim", path: "evictionMinimumReclaim" }, '='),
    (FieldFlag { flag: "eviction-soft", path: "evictionSoft" }, '<'),
    (FieldFlag { flag: "eviction-soft-grace-period", path: "evictionSoftGracePeriod" }, '='),
    (FieldFlag { flag: "kube-reserved", path: "kubeReserved" }, '='),
    (FieldFlag { flag: "system-reserved", path: "systemReserved" }, '='),
    (FieldFlag { flag: "topology-manager-policy-options", path: "topologyManagerPolicyOptions" }, '='),
];

/// A flag whose values have not the form they should have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid argument {value:?} for \"--{flag}\" flag: {why}")]
pub struct SeveralError {
    flag: &'static str,
    value: String,
    why: String,
}

/// The fields that flags with several values set, which take the place of what the file says as a whole.
pub fn several(given: &[(String, String)]) -> Result<Map<String, Value>, SeveralError> {
    let mut fields = Map::new();
    for field in LISTS {
        let texts: Vec<&str> = entries(given, field.flag).collect();
        if is_given(given, field.flag) {
            fields.insert(field.path.to_owned(), json!(texts));
        }
    }
    for (field, between) in MAPS {
        let mut map = Map::new();
        for entry in entries(given, field.flag) {
            let wrong = || SeveralError {
                flag: field.flag,
                value: entry.to_owned(),
                why: format!("malformed pair, expect string{between}string"),
            };
            let (name, value) = entry.split_once(*between).ok_or_else(wrong)?;
            map.insert(name.trim().to_owned(), value.trim().into());
        }
        if is_given(given, field.flag) {
            fields.insert(field.path.to_owned(), map.into());
        }
    }
    const TAINTS: &str = "register-with-taints";
    if is_given(given, TAINTS) {
        let taints: Result<Vec<Taint>, _> = entries(given, TAINTS).map(taint).collect();
        fields.insert("registerWithTaints".to_owned(), json!(taints?));
    }
    const RESERVED: &str = "reserved-memory";
    if is_given(given, RESERVED) {
        let values = given.iter().filter(|(name, _)| name == RESERVED);
        let reserved: Result<Vec<_>, _> = values.map(|(_, value)| reservation(value)).collect();
        fields.insert("reservedMemory".to_owned(), json!(reserved?));
    }
    Ok(fields)
}

/// `0:memory=1Gi,hugepages-2Mi=2Gi`.
fn reservation(text: &str) -> Result<Value, SeveralError> {
    let wrong = |why: &str| SeveralError { flag: "reserved-memory", value: text.to_owned(), why: why.to_owned() };
    let (node, limits) =
        text.split_once(':').ok_or_else(|| wrong("the limits stand behind a NUMA node: 0:memory=1Gi"))?;
    let node: i32 = node.trim().parse().map_err(|_| wrong("the NUMA node is no number"))?;
    let pair = |pair: &str| {
        let (resource, amount) = pair.split_once('=').ok_or_else(|| wrong("a limit is resource=amount"))?;
        Ok((resource.trim().to_owned(), Value::from(amount.trim())))
    };
    let limits = limits.split(',').map(pair).collect::<Result<Map<_, _>, _>>()?;
    Ok(json!({ "numaNode": node, "limits": limits }))
}

fn is_given(given: &[(String, String)], flag: &str) -> bool {
    given.iter().any(|(name, _)| name == flag)
}

fn entries<'g>(given: &'g [(String, String)], flag: &str) -> impl Iterator<Item = &'g str> {
    let values = given.iter().filter(move |(name, _)| name == flag).flat_map(|(_, value)| value.split(','));
    values.filter(|entry| !entry.is_empty())
}

/// `key=value:effect`, `key:effect`.
fn taint(text: &str) -> Result<Taint, SeveralError> {
    let wrong = |why: &str| SeveralError { flag: "register-with-taints", value: text.to_owned(), why: why.to_owned() };
    let (what, effect) = text.split_once(':').ok_or_else(|| wrong("a taint has an effect: key=value:effect"))?;
    if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect) {
        return Err(wrong("the effect is NoSchedule, PreferNoSchedule or NoExecute"));
    }
    let (key, value) = what.split_once('=').map_or((what, None), |(key, value)| (key, Some(value)));
    if key.is_empty() {
        return Err(wrong("a taint has a key: key=value:effect"));
    }
    let value = value.filter(|value| !value.is_empty()).map(str::to_owned);
    Ok(Taint { key: key.to_owned(), value, effect: effect.to_owned(), time_added: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(flags: &[(&str, &str)]) -> Vec<(String, String)> {
        flags.iter().map(|(flag, value)| ((*flag).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn several_values_become_lists_and_maps() {
        let flags = [
            ("eviction-hard", "memory.available<1Gi,imagefs.available<15%"),
            ("kube-reserved", "cpu=200m"),
            ("kube-reserved", "memory=1Gi"),
            ("cluster-dns", "10.0.0.10,10.0.0.11"),
            ("enforce-node-allocatable", ""),
            ("reserved-memory", "0:memory=1Gi,hugepages-2Mi=4Mi"),
            ("reserved-memory", "1:memory=2Gi"),
            ("register-with-taints", "a=b:NoSchedule,c:NoExecute"),
            ("port", "1"),
        ];
        let want = json!({
            "evictionHard": {"memory.available": "1Gi", "imagefs.available": "15%"},
            "kubeReserved": {"cpu": "200m", "memory": "1Gi"},
            "clusterDNS": ["10.0.0.10", "10.0.0.11"],
            "enforceNodeAllocatable": [],
            "reservedMemory": [
                {"numaNode": 0, "limits": {"memory": "1Gi", "hugepages-2Mi": "4Mi"}},
                {"numaNode": 1, "limits": {"memory": "2Gi"}},
            ],
            "registerWithTaints": [
                {"key": "a", "value": "b", "effect": "NoSchedule"}, {"key": "c", "effect": "NoExecute"},
            ],
        });
        assert_eq!(Value::Object(several(&given(&flags)).unwrap()), want);
    }

    #[test]
    fn malformed_values_are_named() {
        for (flag, value) in [
            ("eviction-hard", "memory.available=1Gi"),
            ("reserved-memory", "memory=1Gi"),
            ("reserved-memory", "0:memory"),
            ("register-with-taints", "a=b"),
            ("register-with-taints", "a:Never"),
            ("register-with-taints", ":NoSchedule"),
        ] {
            let error = several(&given(&[(flag, value)])).unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid argument {value:?} for \"--{flag}\" flag: ")), "{error}");
        }
    }
}
