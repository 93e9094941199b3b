//! What is counted of the two certificates, and how long they are good for.
//!
//! Upstream: `pkg/kubelet/certificate/kubelet.go`, `transport.go`.

use super::store::Store;
use component::metrics::{Bounds, PlainCounter, Registry};
use k8s_openapi::jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;

/// Seconds that certificates lived: a minute, an hour, … four years.
const AGES: Bounds = Bounds(&[
    60.0,
    3600.0,
    14_400.0,
    86_400.0,
    604_800.0,
    2_592_000.0,
    7_776_000.0,
    15_552_000.0,
    31_104_000.0,
    124_416_000.0,
]);

/// What is counted of the certificate that the kubelet serves with.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) failures: PlainCounter,
    pub(super) ages: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { failures: PlainCounter::default(), ages: AGES.histogram() }
    }
}

impl Metrics {
    /// Serves them, and how long the stored certificate is still good for.
    pub fn register(&self, registry: &mut Registry, store: Store) {
        let help = "[ALPHA] Counter of certificate renewal errors";
        registry.register("kubelet_server_expiration_renew_errors", help, self.failures.clone());
        let help = "[ALPHA] Histogram of the number of seconds the previous certificate lived before being rotated";
        registry.register("kubelet_certificate_manager_server_rotation_seconds", help, self.ages.clone());
        registry.register_collector(Box::new(TimeLeft { store, whose: Whose::Server }));
    }
}

/// What is counted of the certificate that the apiserver knows the kubelet by.
#[derive(Clone, Debug, Default)]
pub struct ClientMetrics {
    pub(super) failures: PlainCounter,
}

impl ClientMetrics {
    /// Serves it, and how long the stored certificate is still good for.
    pub fn register(&self, registry: &mut Registry, store: Store) {
        let help = "[ALPHA] Counter of certificate renewal errors";
        registry.register("kubelet_certificate_manager_client_expiration_renew_errors", help, self.failures.clone());
        registry.register_collector(Box::new(TimeLeft { store, whose: Whose::Client }));
    }
}

#[derive(Clone, Copy, Debug)]
enum Whose {
    Server,
    Client,
}

#[derive(Debug)]
struct TimeLeft {
    store: Store,
    whose: Whose,
}

impl Collector for TimeLeft {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (name, text) = match self.whose {
            Whose::Server => ("server", "serving"),
            Whose::Client => ("client", "client"),
        };
        let left = self.store.validity().map(|v| v.not_after.duration_since(Timestamp::now()).as_secs() as f64);
        let help = format!(
            "[ALPHA] Gauge of the shortest TTL (time-to-live) of the Kubelet's {text} certificate. The value is in seconds \
             until certificate expiry (negative if already expired). If {text} certificate is invalid or unused, the value \
             will be +INF"
        );
        let name = format!("kubelet_certificate_manager_{name}_ttl_seconds");
        let family = encoder.encode_descriptor(&name, &help, None, MetricType::Gauge)?;
        ConstGauge::new(left.unwrap_or(f64::INFINITY)).encode(family)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pki::{Algorithm, Authority, Key, Profile};
    use std::time::Duration;

    #[test]
    fn metrics_say_how_long_certificates_are_good_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut registry = Registry::default();
        Metrics::default().register(&mut registry, Store::new(folder.path(), "kubelet-server"));
        let store = Store::new(folder.path(), "kubelet-client");
        let authority = Authority::create("ca", Duration::from_secs(7200)).unwrap();
        let key = Key::generate(Algorithm::EcdsaP256).unwrap();
        let certificate = authority.issue(&Profile::client("u", None, Duration::from_secs(3600)), &key).unwrap();
        store.update(&certificate, &key.to_pem(), Timestamp::now()).unwrap();
        let counts = ClientMetrics::default();
        counts.failures.inc();
        counts.register(&mut registry, store);
        let text = component::metrics::encode(&registry).to_lowercase();
        for line in [
            "kubelet_certificate_manager_server_ttl_seconds +inf",
            "kubelet_server_expiration_renew_errors 0",
            "kubelet_certificate_manager_client_expiration_renew_errors 1",
        ] {
            assert!(text.lines().any(|other| other == line || other == line.replace('+', "")), "no {line} in {text}");
        }
        let left = text.lines().find_map(|line| line.strip_prefix("kubelet_certificate_manager_client_ttl_seconds "));
        assert!((3000.0..3700.0).contains(&left.unwrap().parse::<f64>().unwrap()), "{text}");
    }
}
