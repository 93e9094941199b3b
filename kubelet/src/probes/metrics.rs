//! `/metrics/probes`: how often each probe was tried with what result, and how long that took.
//!
//! Upstream: `pkg/kubelet/prober/prober_manager.go`.

use super::check::Outcome;
use super::{ProbeKey, Target};
use crate::pod::PodExt;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::time::Duration;

/// Seconds: the client library's default.
const SECONDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// What probes come to, in upstream's words.
const RESULTS: [&str; 3] = ["successful", "failed", "unknown"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    probe_type: &'static str,
    result: &'static str,
    container: String,
    pod: String,
    namespace: String,
    pod_uid: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    probe_type: &'static str,
    container: String,
    pod: String,
    namespace: String,
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    results: Family<ResultLabels, Counter>,
    durations: Family<DurationLabels, Histogram, fn() -> Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(SECONDS);
        Self { results: Family::default(), durations: Family::new_with_constructor(seconds) }
    }
}

impl Metrics {
    /// In the text format.
    pub fn text(&self) -> String {
        let mut registry = Registry::default();
        let help = "[BETA] Cumulative number of a liveness, readiness or startup probe for a container by result";
        registry.register("prober_probe", help, self.results.clone());
        let help = "[ALPHA] Duration in seconds for a probe response";
        registry.register("prober_probe_duration_seconds", help, self.durations.clone());
        component::metrics::encode(&registry)
    }

    /// Counts one try. How long a failure took is not counted, as upstream has it.
    pub(super) fn count(&self, key: &ProbeKey, aim: &Target, outcome: &Outcome, took: Duration) {
        let result = match outcome {
            Outcome::Success | Outcome::Warning(_) => "successful",
            Outcome::Failure(_) => "failed",
            Outcome::Unknown(_) => "unknown",
        };
        self.results.get_or_create(&results(key, aim, result)).inc();
        if !matches!(outcome, Outcome::Failure(_)) {
            self.durations.get_or_create(&durations(key, aim)).observe(took.as_secs_f64());
        }
    }

    /// A probe is over.
    pub(super) fn forget(&self, key: &ProbeKey, aim: &Target) {
        for result in RESULTS {
            self.results.remove(&results(key, aim, result));
        }
        self.durations.remove(&durations(key, aim));
    }
}

fn results(key: &ProbeKey, aim: &Target, result: &'static str) -> ResultLabels {
    let DurationLabels { probe_type, container, pod, namespace } = durations(key, aim);
    ResultLabels { probe_type, result, container, pod, namespace, pod_uid: key.uid.clone() }
}

fn durations(key: &ProbeKey, aim: &Target) -> DurationLabels {
    DurationLabels {
        probe_type: key.kind.title(),
        container: key.container.clone(),
        pod: aim.pod.name().to_owned(),
        namespace: aim.pod.namespace().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::Kind;
    use k8s_openapi::api::core::v1::{Container, Pod};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use std::sync::Arc;

    #[test]
    fn tries_are_counted_until_the_probe_is_over() {
        let metadata = ObjectMeta { name: Some("p".into()), namespace: Some("ns".into()), ..ObjectMeta::default() };
        let aim = Target {
            pod: Arc::new(Pod { metadata, ..Pod::default() }),
            container: Container::default(),
            record: crate::runtime::ContainerRecord::default(),
            pod_ip: String::new(),
        };
        let key = ProbeKey { uid: "u".into(), container: "c".into(), kind: Kind::Liveness };
        let metrics = Metrics::default();
        metrics.count(&key, &aim, &Outcome::Success, Duration::from_millis(30));
        metrics.count(&key, &aim, &Outcome::Failure(String::new()), Duration::from_secs(1));
        let text = metrics.text();
        for line in [
            "prober_probe_total{probe_type=\"Liveness\",result=\"successful\",container=\"c\",pod=\"p\",namespace=\"ns\",pod_uid=\"u\"} 1",
            "prober_probe_total{probe_type=\"Liveness\",result=\"failed\",container=\"c\",pod=\"p\",namespace=\"ns\",pod_uid=\"u\"} 1",
            "prober_probe_duration_seconds_count{probe_type=\"Liveness\",container=\"c\",pod=\"p\",namespace=\"ns\"} 1",
        ] {
            assert!(text.lines().any(|other| other == line), "no {line} in {text}");
        }
        metrics.forget(&key, &aim);
        assert!(!metrics.text().contains("pod=\"p\""));
    }
}
