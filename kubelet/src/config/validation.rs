//! What a configuration must be like, in upstream's words.
//!
//! Upstream: `pkg/kubelet/apis/config/validation`.

use super::{ConfigError, KubeletConfiguration, QUOTA_PERIOD, Threshold, enforcement, placement, shutdown};
use crate::eviction::Signal;
use crate::images::access::policy::Policy;
use crate::placement::cpuset::CpuSet;
use crate::resources::Amount;
use crate::runtime::Endpoint;
use crate::workers::sysctls;
use std::net::IpAddr;
use std::time::Duration;

/// Shortest `containerLogMonitorInterval`.
const SHORTEST_LOG_INTERVAL: Duration = Duration::from_secs(3);

pub(super) fn validate(config: &KubeletConfiguration) -> Result<(), ConfigError> {
    let fail = |field, why: String| Err(ConfigError::Value { field, why });
    if let Err(e) = Endpoint::parse(&config.container_runtime_endpoint) {
        return fail("containerRuntimeEndpoint", e.to_string());
    }
    if config.tls_cert_file.is_empty() != config.tls_private_key_file.is_empty() {
        return fail("tlsCertFile", "tlsCertFile and tlsPrivateKeyFile must be given together".to_owned());
    }
    if config.image_gc_low_threshold_percent >= config.image_gc_high_threshold_percent {
        return fail("imageGCLowThresholdPercent", "must be below imageGCHighThresholdPercent".to_owned());
    }
    let max_age = config.image_maximum_gc_age;
    if !max_age.0.is_zero() && max_age <= config.image_minimum_gc_age {
        let least = config.image_minimum_gc_age;
        let why = format!("imageMaximumGCAge {max_age} must be greater than imageMinimumGCAge {least}");
        return fail("imageMaximumGCAge", why);
    }
    if config.cpu_cfs_quota_period != QUOTA_PERIOD {
        let period = config.cpu_cfs_quota_period;
        let why = format!(
            "cpuCFSQuotaPeriod (--cpu-cfs-quota-period) {period} requires feature gate CustomCPUCFSQuotaPeriod"
        );
        return fail("cpuCFSQuotaPeriod", why);
    }
    if let Err(error) = sysctls::Allowed::with(&config.allowed_unsafe_sysctls) {
        return fail("allowedUnsafeSysctls", error.to_string());
    }
    if let Err(error) = config.tls_offer() {
        return fail("tlsCipherSuites", error.to_string());
    }
    if config.run_once {
        let why = "runOnce (--runOnce) true, Runonce mode has been deprecated and should not be set".to_owned();
        return fail("runOnce", why);
    }
    for (field, flag, value) in [
        ("eventBurst", "--event-burst", config.event_burst),
        ("eventRecordQPS", "--event-qps", config.event_record_qps),
    ] {
        if value < 0 {
            return fail(field, format!("{field} ({flag}) {value} must not be a negative number"));
        }
    }
    for (field, flag, bit) in [
        ("iptablesDropBit", "--iptables-drop-bit", config.iptables_drop_bit),
        ("iptablesMasqueradeBit", "--iptables-masquerade-bit", config.iptables_masquerade_bit),
    ] {
        if !(0..=31).contains(&bit) {
            return fail(field, format!("{field} ({flag}) {bit} must be between 0 and 31, inclusive"));
        }
    }
    if config.node_lease_duration_seconds == 0 {
        return fail("nodeLeaseDurationSeconds", "must be greater than 0".to_owned());
    }
    if let Some(bad) = config.cluster_dns.iter().find(|ip| ip.parse::<IpAddr>().is_err()) {
        return fail("clusterDNS", format!("{bad:?} is no IP address"));
    }
    if config.enable_system_log_query && !config.enable_system_log_handler {
        let why = "enableSystemLogHandler is required for enableSystemLogQuery";
        return Err(ConfigError::Whole(why.to_owned()));
    }
    let (policy, list) =
        (&config.image_pull_credentials_verification_policy, &config.preloaded_images_verification_allowlist);
    Policy::parse(policy, list).map(drop).map_err(|error| ConfigError::Whole(error.to_string()))?;
    validate_reserved_cpus(config)?;
    placement::validate(config)?;
    enforcement::validate(config)?;
    validate_logs(config)?;
    shutdown::validate(config)?;
    validate_eviction(config)?;
    for reserved in [&config.kube_reserved, &config.system_reserved] {
        if let Some((name, amount)) = reserved.iter().find(|(_, a)| Amount::parse(a).is_none()) {
            return fail("kubeReserved", format!("{name}: {amount:?} is no quantity"));
        }
    }
    Ok(())
}

fn validate_reserved_cpus(config: &KubeletConfiguration) -> Result<(), ConfigError> {
    let named = &config.reserved_system_cpus;
    let wrong = |why| {
        let what = "unable to parse reservedSystemCPUs (--reserved-cpus)";
        ConfigError::Whole(format!("{what} {named}, error: {why}"))
    };
    CpuSet::parse(named).map(drop).map_err(wrong)
}

fn validate_eviction(config: &KubeletConfiguration) -> Result<(), ConfigError> {
    let fail = |field, why: String| Err(ConfigError::Value { field, why });
    let lists = [
        ("evictionHard", &config.eviction_hard),
        ("evictionSoft", &config.eviction_soft),
        ("evictionMinimumReclaim", &config.eviction_minimum_reclaim),
    ];
    for (field, (signal, limit)) in lists.into_iter().flat_map(|(field, list)| list.iter().map(move |e| (field, e))) {
        if Signal::parse(signal).is_none() {
            return fail(field, format!("unsupported eviction signal {signal}"));
        }
        if Threshold::parse(limit).is_none() {
            return fail(field, format!("{signal}: {limit:?} is neither a quantity nor a percentage"));
        }
    }
    match config.eviction_soft.keys().find(|signal| !config.eviction_soft_grace_period.contains_key(*signal)) {
        Some(signal) => fail(
            "evictionSoftGracePeriod",
            format!("grace period must be specified for the soft eviction threshold {signal}"),
        ),
        None => Ok(()),
    }
}

fn validate_logs(config: &KubeletConfiguration) -> Result<(), ConfigError> {
    let fail = |field, why: String| Err(ConfigError::Value { field, why });
    if config.longest_log().is_none() {
        return fail("containerLogMaxSize", format!("{:?} is no positive quantity", config.container_log_max_size));
    }
    if config.container_log_max_files <= 1 {
        return fail("containerLogMaxFiles", "must be greater than 1".to_owned());
    }
    if config.container_log_max_workers == 0 {
        return fail("containerLogMaxWorkers", "must be greater than or equal to 1".to_owned());
    }
    if config.container_log_monitor_interval.0 < SHORTEST_LOG_INTERVAL {
        let why = "must be a positive time duration greater than or equal to 3s".to_owned();
        return fail("containerLogMonitorInterval", why);
    }
    Ok(())
}
