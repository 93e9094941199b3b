//! The server's metrics, with upstream's names.
//!
//! Upstream: `apiserver/pkg/endpoints/metrics`.

use crate::inflight::Places;
use apimachinery::gvk::Str;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::time::Duration;

/// What is counted of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// `GET`, `LIST`, `WATCH`, …
    pub verb: &'static str,
    /// `All` or empty.
    pub dry_run: &'static str,
    /// API group.
    pub group: Str,
    /// API version.
    pub version: Str,
    /// Plural resource.
    pub resource: Str,
    /// Subresource.
    pub subresource: Str,
    /// `cluster`, `namespace`, `resource`.
    pub scope: &'static str,
    /// `apiserver`.
    pub component: &'static str,
    /// HTTP status code.
    pub code: u32,
}

/// As [`RequestLabels`], without the code: durations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    verb: &'static str,
    dry_run: &'static str,
    group: Str,
    version: Str,
    resource: Str,
    subresource: Str,
    scope: &'static str,
    component: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    request_kind: &'static str,
}

/// Upstream's buckets.
const SECONDS: &[f64] = &[
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0,
    45.0, 60.0,
];

/// The metrics of one server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<DurationLabels, Histogram, fn() -> Histogram>,
    inflight: Family<KindLabels, Gauge>,
    long_running: Gauge,
    long_running_places: Places,
    terminations: Counter,
}

impl Metrics {
    /// Registers all metrics; those of other crates can be added to `registry`.
    pub fn new(mut registry: Registry) -> Self {
        let requests = Family::default();
        let durations = Family::new_with_constructor((|| Histogram::new(SECONDS.iter().copied())) as fn() -> Histogram);
        let inflight = Family::default();
        let (long_running, terminations) = (Gauge::default(), Counter::default());
        registry.register("apiserver_request", "Counter of apiserver requests", requests.clone());
        registry.register(
            "apiserver_request_duration_seconds",
            "Response latency distribution in seconds",
            durations.clone(),
        );
        registry.register("apiserver_current_inflight_requests", "Requests being served", inflight.clone());
        registry.register("apiserver_longrunning_requests", "Watches and tunnels", long_running.clone());
        registry.register("apiserver_request_terminations", "Requests refused or cut off", terminations.clone());
        Self {
            registry,
            requests,
            durations,
            inflight,
            long_running,
            long_running_places: Places::new(0),
            terminations,
        }
    }

    /// Counts a finished request. Watches have no duration worth a bucket.
    pub fn observe(&self, labels: RequestLabels, took: Duration) {
        let long_running = matches!(labels.verb, "WATCH" | "CONNECT");
        self.requests.get_or_create(&labels).inc();
        if long_running {
            return;
        }
        let RequestLabels { verb, dry_run, group, version, resource, subresource, scope, component, code: _ } = labels;
        let labels = DurationLabels { verb, dry_run, group, version, resource, subresource, scope, component };
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Counts a request that was refused for lack of a place.
    pub fn refused(&self) {
        self.terminations.inc();
    }

    /// Counts watches and tunnels.
    pub fn long_running(&self) -> &Places {
        &self.long_running_places
    }

    /// The text of `/metrics`.
    pub fn render(&self, readonly: &Places, mutating: &Places) -> String {
        for (request_kind, places) in [("readOnly", readonly), ("mutating", mutating)] {
            self.inflight.get_or_create(&KindLabels { request_kind }).set(places.taken() as i64);
        }
        self.long_running.set(self.long_running_places.taken() as i64);
        component::metrics::encode(&self.registry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_requests() {
        let metrics = Metrics::new(Registry::default());
        let labels = RequestLabels { verb: "GET", resource: "pods".into(), code: 200, ..RequestLabels::default() };
        metrics.observe(labels.clone(), Duration::from_millis(1));
        metrics.observe(labels, Duration::from_millis(1));
        let text = metrics.render(&Places::new(1), &Places::new(1));
        let line = text.lines().find(|l| l.starts_with("apiserver_request_total{")).expect("a sample");
        assert!(line.contains("resource=\"pods\"") && line.contains("code=\"200\"") && line.ends_with(" 2"), "{line}");
        assert!(text.contains("# TYPE apiserver_request_total counter"));
        assert!(
            text.contains("apiserver_request_duration_seconds_bucket{le=\"0.005\",verb=\"GET\"")
                || text.contains("apiserver_request_duration_seconds_bucket{")
        );
        assert!(!text.contains("# EOF"));
    }
}
