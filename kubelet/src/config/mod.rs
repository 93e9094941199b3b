//! `KubeletConfiguration` of `kubelet.config.k8s.io/v1beta1`: what of it is built, its defaults,
//! its checks.
//!
//! Upstream: `pkg/kubelet/apis/config`.

mod dropins;
pub mod enforcement;
mod fields;
mod parts;
mod placement;
pub mod shutdown;
pub mod unbuilt;
mod validation;

pub use fields::KubeletConfiguration;
pub use parts::{
    Authentication, Authorization, AuthorizationMode, CgroupDriver, CrashLoopBackOff, Enabled, MemorySwap,
    WebhookAuthentication, WebhookAuthorization, X509,
};

use crate::flags::{self, Options};
use crate::resources::Amount;
use component::GoDuration;
use component::kinds::Kind;
use component::serve::tls::{Offer, OfferError};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// The only `cpuCFSQuotaPeriod` without the alpha feature `CustomCPUCFSQuotaPeriod`.
const QUOTA_PERIOD: GoDuration = GoDuration(Duration::from_millis(100));

/// The file's kind.
pub const KIND: Kind =
    Kind { api_version: "kubelet.config.k8s.io/v1beta1", kind: "KubeletConfiguration", unbuilt: unbuilt::FIELDS };

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

    /// As it may be shown: what staticPodURLHeader says may be secret.
    pub fn shown(&self) -> Self {
        let mut shown = self.clone();
        shown.static_pod_url_header.values_mut().for_each(|values| *values = vec!["<masked>".to_owned()]);
        shown
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
