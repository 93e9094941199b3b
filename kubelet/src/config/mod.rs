//! `KubeletConfiguration` of `kubelet.config.k8s.io/v1beta1`: what of it is built, its defaults,
//! its checks.
//!
//! Upstream: `pkg/kubelet/apis/config`.

mod dropins;
pub mod enforcement;
mod placement;
pub mod shutdown;
pub mod unbuilt;
mod validation;

use crate::flags::{self, Options};
use crate::placement::memory::reserved::MemoryReservation;
use crate::resources::Amount;
use crate::resources::memory::SwapBehavior;
use component::GoDuration;
use component::kinds::Kind;
use component::serve::tls::{Offer, OfferError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// The only `cpuCFSQuotaPeriod` without the alpha feature `CustomCPUCFSQuotaPeriod`.
const QUOTA_PERIOD: GoDuration = GoDuration(Duration::from_millis(100));

/// The file's kind.
pub const KIND: Kind =
    Kind { api_version: "kubelet.config.k8s.io/v1beta1", kind: "KubeletConfiguration", unbuilt: unbuilt::FIELDS };

/// The configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct KubeletConfiguration {
    pub address: IpAddr,
    pub allowed_unsafe_sysctls: Vec<String>,
    pub port: u16,
    pub healthz_bind_address: IpAddr,
    pub healthz_port: u16,
    pub authentication: Authentication,
    pub authorization: Authorization,
    pub tls_cert_file: String,
    pub tls_private_key_file: String,
    pub tls_cipher_suites: Vec<String>,
    pub tls_curve_preferences: Vec<i32>,
    pub tls_min_version: String,
    pub cgroup_driver: CgroupDriver,
    pub cgroup_root: String,
    #[serde(rename = "cgroupsPerQOS")]
    pub cgroups_per_qos: bool,
    #[serde(rename = "cpuCFSQuota")]
    pub cpu_cfs_quota: bool,
    #[serde(rename = "cpuCFSQuotaPeriod")]
    pub cpu_cfs_quota_period: GoDuration,
    pub cpu_manager_policy: String,
    pub cpu_manager_policy_options: BTreeMap<String, String>,
    pub cpu_manager_reconcile_period: GoDuration,
    #[serde(rename = "clusterDNS")]
    pub cluster_dns: Vec<String>,
    pub cluster_domain: String,
    pub container_runtime_endpoint: String,
    pub image_service_endpoint: String,
    pub container_log_max_size: String,
    pub container_log_max_files: usize,
    pub container_log_max_workers: usize,
    pub container_log_monitor_interval: GoDuration,
    pub crash_loop_back_off: CrashLoopBackOff,
    pub enable_debugging_handlers: bool,
    pub enable_contention_profiling: bool,
    pub enable_debug_flags_handler: bool,
    pub enable_profiling_handler: bool,
    pub enable_server: bool,
    pub enable_system_log_handler: bool,
    pub enforce_node_allocatable: Vec<String>,
    pub event_burst: i32,
    #[serde(rename = "eventRecordQPS")]
    pub event_record_qps: i32,
    pub eviction_hard: BTreeMap<String, String>,
    pub eviction_max_pod_grace_period: i64,
    pub eviction_minimum_reclaim: BTreeMap<String, String>,
    pub eviction_pressure_transition_period: GoDuration,
    pub eviction_soft: BTreeMap<String, String>,
    pub eviction_soft_grace_period: BTreeMap<String, GoDuration>,
    #[serde(rename = "failCgroupV1")]
    pub fail_cgroup_v1: bool,
    pub fail_swap_on: bool,
    pub feature_gates: BTreeMap<String, bool>,
    pub file_check_frequency: GoDuration,
    #[serde(rename = "imageGCHighThresholdPercent")]
    pub image_gc_high_threshold_percent: u64,
    #[serde(rename = "imageGCLowThresholdPercent")]
    pub image_gc_low_threshold_percent: u64,
    #[serde(rename = "imageMinimumGCAge")]
    pub image_minimum_gc_age: GoDuration,
    #[serde(rename = "imageMaximumGCAge")]
    pub image_maximum_gc_age: GoDuration,
    #[serde(rename = "kubeAPIBurst")]
    pub kube_api_burst: i32,
    #[serde(rename = "kubeAPIQPS")]
    pub kube_api_qps: i32,
    pub kube_reserved: BTreeMap<String, String>,
    pub kube_reserved_cgroup: String,
    /// Since v1.28 nothing marks packets any more: both bits have no effect.
    pub iptables_drop_bit: i32,
    pub iptables_masquerade_bit: i32,
    pub local_storage_capacity_isolation: bool,
    pub system_reserved: BTreeMap<String, String>,
    pub system_reserved_cgroup: String,
    #[serde(rename = "makeIPTablesUtilChains")]
    pub make_iptables_util_chains: bool,
    pub memory_manager_policy: String,
    pub memory_swap: MemorySwap,
    pub max_pods: u32,
    pub max_open_files: u64,
    pub merge_default_eviction_settings: bool,
    pub max_parallel_image_pulls: Option<usize>,
    pub node_lease_duration_seconds: u32,
    pub node_status_max_images: i64,
    pub node_status_report_frequency: GoDuration,
    pub node_status_update_frequency: GoDuration,
    pub oom_score_adj: i32,
    #[serde(rename = "podCIDR")]
    pub pod_cidr: String,
    pub pod_logs_dir: String,
    pub pod_pids_limit: i64,
    pub pods_per_core: u32,
    pub protect_kernel_defaults: bool,
    #[serde(rename = "providerID")]
    pub provider_id: String,
    pub read_only_port: u16,
    pub register_node: bool,
    pub register_with_taints: Vec<k8s_openapi::api::core::v1::Taint>,
    pub registry_burst: u32,
    #[serde(rename = "registryPullQPS")]
    pub registry_pull_qps: u32,
    pub reserved_memory: Vec<MemoryReservation>,
    #[serde(rename = "reservedSystemCPUs")]
    pub reserved_system_cpus: String,
    #[serde(rename = "resolvConf")]
    pub resolv_conf: String,
    pub rotate_certificates: bool,
    pub run_once: bool,
    pub runtime_request_timeout: GoDuration,
    pub seccomp_default: bool,
    pub serialize_image_pulls: bool,
    #[serde(rename = "serverTLSBootstrap")]
    pub server_tls_bootstrap: bool,
    pub shutdown_grace_period: GoDuration,
    pub shutdown_grace_period_by_pod_priority: Vec<shutdown::PriorityPeriod>,
    pub shutdown_grace_period_critical_pods: GoDuration,
    /// `None` for what the version of the control groups can do: all processes are ended with version 2, one with version 1.
    #[serde(rename = "singleProcessOOMKill", skip_serializing_if = "Option::is_none")]
    pub single_process_oom_kill: Option<bool>,
    pub static_pod_path: String,
    /// Runtimes serve streams and end them; nothing in v1.36 reads this.
    pub streaming_connection_idle_timeout: GoDuration,
    pub sync_frequency: GoDuration,
    pub topology_manager_policy: String,
    pub topology_manager_policy_options: BTreeMap<String, String>,
    pub topology_manager_scope: String,
    pub volume_stats_agg_period: GoDuration,
}

/// How pods may use the node's swap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct MemorySwap {
    pub swap_behavior: SwapBehavior,
}

/// Who is believed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Authentication {
    pub anonymous: Enabled,
    pub webhook: WebhookAuthentication,
    pub x509: X509,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Enabled {
    pub enabled: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct WebhookAuthentication {
    pub enabled: bool,
    #[serde(rename = "cacheTTL")]
    pub cache_ttl: GoDuration,
}

impl Default for WebhookAuthentication {
    fn default() -> Self {
        Self { enabled: true, cache_ttl: GoDuration::from_secs(120) }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct X509 {
    #[serde(rename = "clientCAFile")]
    pub client_ca_file: String,
}

/// Who may do what.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Authorization {
    pub mode: AuthorizationMode,
    pub webhook: WebhookAuthorization,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthorizationMode {
    /// The apiserver decides.
    #[default]
    Webhook,
    /// Every authenticated user may do anything.
    AlwaysAllow,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct WebhookAuthorization {
    #[serde(rename = "cacheAuthorizedTTL")]
    pub cache_authorized_ttl: GoDuration,
    #[serde(rename = "cacheUnauthorizedTTL")]
    pub cache_unauthorized_ttl: GoDuration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupDriver {
    /// Folders in the kernel's file system.
    #[default]
    Cgroupfs,
    /// Slices of systemd.
    Systemd,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct CrashLoopBackOff {
    pub max_container_restart_period: GoDuration,
}

impl Default for CrashLoopBackOff {
    fn default() -> Self {
        Self { max_container_restart_period: GoDuration::from_secs(300) }
    }
}

impl Default for KubeletConfiguration {
    fn default() -> Self {
        let seconds = GoDuration::from_secs;
        Self {
            address: [0, 0, 0, 0].into(),
            allowed_unsafe_sysctls: Vec::new(),
            port: 10250,
            healthz_bind_address: [127, 0, 0, 1].into(),
            healthz_port: 10248,
            authentication: Authentication::default(),
            authorization: Authorization::default(),
            tls_cert_file: String::new(),
            tls_private_key_file: String::new(),
            tls_cipher_suites: Vec::new(),
            tls_curve_preferences: Vec::new(),
            tls_min_version: String::new(),
            cgroup_driver: CgroupDriver::Cgroupfs,
            cgroup_root: "/".to_owned(),
            cgroups_per_qos: true,
            cpu_cfs_quota: true,
            cpu_cfs_quota_period: QUOTA_PERIOD,
            cluster_dns: Vec::new(),
            cluster_domain: String::new(),
            container_runtime_endpoint: "unix:///run/containerd/containerd.sock".to_owned(),
            image_service_endpoint: String::new(),
            container_log_max_size: "10Mi".to_owned(),
            container_log_max_files: 5,
            container_log_max_workers: 1,
            container_log_monitor_interval: seconds(10),
            crash_loop_back_off: CrashLoopBackOff::default(),
            enable_debugging_handlers: true,
            enable_contention_profiling: false,
            enable_debug_flags_handler: true,
            enable_profiling_handler: true,
            enable_server: true,
            enable_system_log_handler: true,
            enforce_node_allocatable: vec!["pods".to_owned()],
            event_burst: 100,
            event_record_qps: 50,
            eviction_hard: default_eviction(),
            eviction_max_pod_grace_period: 0,
            eviction_minimum_reclaim: BTreeMap::new(),
            eviction_pressure_transition_period: seconds(300),
            eviction_soft: BTreeMap::new(),
            eviction_soft_grace_period: BTreeMap::new(),
            fail_cgroup_v1: false,
            fail_swap_on: true,
            feature_gates: BTreeMap::new(),
            cpu_manager_policy: "none".to_owned(),
            cpu_manager_policy_options: BTreeMap::new(),
            cpu_manager_reconcile_period: seconds(10),
            file_check_frequency: seconds(20),
            image_gc_high_threshold_percent: 85,
            image_gc_low_threshold_percent: 80,
            image_minimum_gc_age: seconds(120),
            image_maximum_gc_age: seconds(0),
            kube_api_burst: 100,
            kube_api_qps: 50,
            kube_reserved: BTreeMap::new(),
            kube_reserved_cgroup: String::new(),
            iptables_drop_bit: 15,
            iptables_masquerade_bit: 14,
            local_storage_capacity_isolation: true,
            system_reserved: BTreeMap::new(),
            system_reserved_cgroup: String::new(),
            make_iptables_util_chains: true,
            memory_manager_policy: "None".to_owned(),
            memory_swap: MemorySwap::default(),
            max_pods: 110,
            max_open_files: 1_000_000,
            merge_default_eviction_settings: false,
            max_parallel_image_pulls: None,
            node_lease_duration_seconds: 40,
            node_status_max_images: 50,
            node_status_report_frequency: seconds(300),
            node_status_update_frequency: seconds(10),
            oom_score_adj: -999,
            pod_cidr: String::new(),
            pod_logs_dir: "/var/log/pods".to_owned(),
            pod_pids_limit: -1,
            pods_per_core: 0,
            protect_kernel_defaults: false,
            provider_id: String::new(),
            read_only_port: 0,
            register_node: true,
            register_with_taints: Vec::new(),
            registry_burst: 10,
            registry_pull_qps: 5,
            reserved_memory: Vec::new(),
            reserved_system_cpus: String::new(),
            resolv_conf: "/etc/resolv.conf".to_owned(),
            rotate_certificates: false,
            run_once: false,
            runtime_request_timeout: seconds(120),
            seccomp_default: false,
            serialize_image_pulls: true,
            server_tls_bootstrap: false,
            shutdown_grace_period: seconds(0),
            shutdown_grace_period_by_pod_priority: Vec::new(),
            shutdown_grace_period_critical_pods: seconds(0),
            single_process_oom_kill: None,
            static_pod_path: String::new(),
            streaming_connection_idle_timeout: seconds(4 * 3600),
            sync_frequency: seconds(60),
            topology_manager_policy: "none".to_owned(),
            topology_manager_policy_options: BTreeMap::new(),
            topology_manager_scope: "container".to_owned(),
            volume_stats_agg_period: seconds(60),
        }
    }
}

fn default_eviction() -> BTreeMap<String, String> {
    let all = [
        ("memory.available", "100Mi"),
        ("nodefs.available", "10%"),
        ("nodefs.inodesFree", "5%"),
        ("imagefs.available", "15%"),
        ("imagefs.inodesFree", "5%"),
    ];
    all.map(|(signal, limit)| (signal.to_owned(), limit.to_owned())).into()
}

/// A configuration that the kubelet cannot start with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(transparent)]
    File(#[from] component::kinds::KindError),
    #[error(transparent)]
    Layers(#[from] component::layers::LayerError),
    #[error(transparent)]
    Flag(#[from] flags::SeveralError),
    #[error("failed to walk through kubelet dropin directory {path:?}: {source}")]
    Folder { path: String, source: std::io::Error },
    #[error("invalid configuration: {field}: {why}")]
    Value { field: &'static str, why: String },
    /// As a whole, in upstream's words.
    #[error("invalid configuration: {0}")]
    Whole(String),
}

/// Defaults, the file and the flags as one configuration.
pub fn load(options: &Options, given: &[(String, String)]) -> Result<KubeletConfiguration, ConfigError> {
    let mut file = options.config.as_deref().map(read).transpose()?;
    if let Some(folder) = &options.config_dir {
        // Drop-ins change what is there by default, too.
        let base = with_flags(file.as_ref(), &[])?;
        let wrong = |error: serde_json::Error| ConfigError::Value { field: "configDir", why: error.to_string() };
        file = Some(dropins::merged(serde_json::to_value(base).map_err(wrong)?, folder)?);
    }
    let mut config = with_flags(file.as_ref(), given)?;
    let groups = [&config.system_reserved_cgroup, &config.kube_reserved_cgroup];
    if !config.reserved_system_cpus.is_empty() && groups.iter().any(|group| !group.is_empty()) {
        let why = "can't use reservedSystemCPUs (--reserved-cpus) with systemReservedCgroup (--system-reserved-cgroup) or kubeReservedCgroup (--kube-reserved-cgroup)";
        return Err(ConfigError::Whole(why.to_owned()));
    }
    let several = flags::several(given)?;
    if !several.is_empty() {
        let wrong = |error: serde_json::Error| ConfigError::Value { field: "flags", why: error.to_string() };
        let mut shown = serde_json::to_value(&config).map_err(wrong)?;
        if let Some(all) = shown.as_object_mut() {
            all.extend(several);
        }
        config = serde_json::from_value(shown).map_err(wrong)?;
    }
    validation::validate(&config)?;
    Ok(config)
}

/// Defaults, a file and those flags that have one value.
fn with_flags(
    file: Option<&serde_json::Value>,
    given: &[(String, String)],
) -> Result<KubeletConfiguration, ConfigError> {
    let mut config: KubeletConfiguration =
        component::layers::layered(&KubeletConfiguration::default(), file, flags::FIELDS, given)?;
    // A map in the file replaces the default as a whole; the layers would merge the two.
    if let Some(hard) = file.and_then(|f| f.get("evictionHard")).and_then(|v| serde_json::from_value(v.clone()).ok()) {
        let defaults = if config.merge_default_eviction_settings { default_eviction() } else { BTreeMap::new() };
        config.eviction_hard = defaults.into_iter().chain::<BTreeMap<String, String>>(hard).collect();
    }
    Ok(config)
}

fn read(file: &Path) -> Result<serde_json::Value, ConfigError> {
    let loaded = component::kinds::load::<KubeletConfiguration>(file, &KIND)?;
    for field in &loaded.unbuilt {
        tracing::warn!(field, "configuration field {field} is known but not built; it has no effect");
    }
    Ok(loaded.value)
}

impl KubeletConfiguration {
    /// What the server offers in a handshake.
    pub fn tls_offer(&self) -> Result<Offer, OfferError> {
        Offer::new(&self.tls_cipher_suites, &self.tls_curve_preferences, &self.tls_min_version)
    }

    /// `volumeStatsAggPeriod`; zero stands for the default.
    pub fn stats_lifetime(&self) -> Duration {
        let given = self.volume_stats_agg_period.0;
        if given.is_zero() { Duration::from_secs(60) } else { given }
    }

    /// Bytes from which on a container's log is rotated.
    pub fn longest_log(&self) -> Option<u64> {
        let bytes = Amount::parse(&self.container_log_max_size)?.value();
        u64::try_from(bytes).ok().filter(|bytes| *bytes > 0)
    }
}

/// An eviction threshold: an amount, or a share of the capacity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    Amount(Amount),
    /// Of 100.
    Percent(f64),
}

impl Threshold {
    /// Reads `100Mi` or `10%`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().filter(|p| (0.0..=100.0).contains(p)).map(Self::Percent),
            None => Amount::parse(text).map(Self::Amount),
        }
    }

    /// In units of a resource of which there are `capacity`.
    pub fn of(self, capacity: i64) -> i64 {
        match self {
            Self::Amount(amount) => amount.value(),
            Self::Percent(percent) => (capacity as f64 * percent / 100.0) as i64,
        }
    }
}

#[cfg(test)]
mod tests;
