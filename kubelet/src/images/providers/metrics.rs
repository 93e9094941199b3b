//! What is counted of the programs that know credentials.
//!
//! Upstream: `pkg/credentialprovider/plugin/metrics.go`.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Seconds: the client library's default.
const SECONDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Plugin {
    pub plugin_name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Digest {
    pub hash: String,
}

#[derive(Clone, Debug)]
pub struct Metrics {
    pub errors: Family<Plugin, Counter>,
    pub durations: Family<Plugin, Histogram, fn() -> Histogram>,
    pub config: Family<Digest, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(SECONDS);
        Self { errors: Family::default(), durations: Family::new_with_constructor(seconds), config: Family::default() }
    }
}

impl Metrics {
    /// Serves them.
    pub fn register(&self, registry: &mut Registry) {
        let help = "[ALPHA] Number of errors from credential provider plugin";
        registry.register("kubelet_credential_provider_plugin_errors", help, self.errors.clone());
        let help = "[ALPHA] Duration of execution in seconds for credential provider plugin";
        registry.register("kubelet_credential_provider_plugin_duration", help, self.durations.clone());
        let help = "[ALPHA] Information about the last applied credential provider configuration with hash as label";
        registry.register("kubelet_credential_provider_config_info", help, self.config.clone());
    }
}
