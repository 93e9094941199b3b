//! The storage's metrics, named as upstream names them.
//!
//! Upstream: `apiserver/pkg/storage/etcd3/metrics`, `apiserver/pkg/storage/cacher/metrics`.

use crate::StorageError;
use crate::core::Core;
use apimachinery::gvk::{GroupResource, Str};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Instant;

/// Upstream's buckets of `etcd_request_duration_seconds`.
const BUCKETS: [f64; 25] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0,
    45.0, 60.0, 90.0, 120.0,
];

/// A request to etcd.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    operation: &'static str,
    group: Str,
    resource: Str,
}

#[derive(Debug, EncodeLabelSet)]
struct Resource {
    group: String,
    resource: String,
}

/// What is counted while requests run.
#[derive(Debug)]
pub(crate) struct Metrics {
    durations: Family<Request, Histogram, fn() -> Histogram>,
    requests: Family<Request, Counter>,
    errors: Family<Request, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let durations = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        Self { durations, requests: Family::default(), errors: Family::default() }
    }
}

impl Metrics {
    /// Times a request to etcd.
    pub(crate) async fn time<T>(
        &self,
        operation: &'static str,
        resource: &GroupResource,
        request: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        let start = Instant::now();
        let answer = request.await;
        let labels = Request { operation, group: resource.group.clone(), resource: resource.resource.clone() };
        self.durations.get_or_create(&labels).observe(start.elapsed().as_secs_f64());
        self.requests.get_or_create(&labels).inc();
        if answer.is_err() {
            self.errors.get_or_create(&labels).inc();
        }
        answer
    }
}

/// Registers the metrics of a store.
pub(crate) fn register(core: &Arc<Core>, registry: &mut Registry) {
    let Metrics { durations, requests, errors } = &core.metrics;
    let help = "Etcd request latency in seconds for each operation and object type.";
    registry.register("etcd_request_duration_seconds", help, durations.clone());
    let help = "Etcd request counts for each operation and object type.";
    registry.register("etcd_requests", help, requests.clone());
    let help = "Etcd failed request counts for each operation and object type.";
    registry.register("etcd_request_errors", help, errors.clone());
    registry.register_collector(Box::new(Caches(core.clone())));
}

/// The sizes of the caches, read at each scrape.
#[derive(Debug)]
struct Caches(Arc<Core>);

impl Collector for Caches {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let caches = self.0.caches();
        let help = "Number of stored objects at the time of last check split by kind.";
        let mut gauges = encoder.encode_descriptor("apiserver_storage_objects", help, None, MetricType::Gauge)?;
        for cache in &caches {
            let labels = [("resource", cache.resource().to_string())];
            ConstGauge::new(cache.len() as i64).encode(gauges.encode_family(&labels)?)?;
        }
        let help = "Number of stored objects at the time of last check split by group and resource.";
        let mut gauges = encoder.encode_descriptor("apiserver_resource_objects", help, None, MetricType::Gauge)?;
        for cache in &caches {
            ConstGauge::new(cache.len() as i64).encode(gauges.encode_family(&labels(cache.resource()))?)?;
        }
        let (name, help) = ("apiserver_watch_cache_resource_version", "Current resource version of watch cache.");
        let mut gauges = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        let revision = i64::try_from(self.0.observed()).unwrap_or(i64::MAX);
        for cache in &caches {
            ConstGauge::new(revision).encode(gauges.encode_family(&labels(cache.resource()))?)?;
        }
        Ok(())
    }
}

fn labels(resource: &GroupResource) -> Resource {
    Resource { group: resource.group.to_string(), resource: resource.resource.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Store, testing};
    use component::Supervisor;

    #[tokio::test]
    async fn counts_requests_and_objects() {
        let (things, supervisor) = (testing::things(), Supervisor::new());
        let store = Store::in_memory(std::slice::from_ref(&things), supervisor).await.expect("opens");
        let value = testing::thing("ns", "a", "x", "");
        store.create(&things, "things/ns/a", value, None).await.expect("is new");
        store.get(&things, "things/ns/a", crate::Match::MostRecent).await.expect("reads");
        let mut registry = Registry::default();
        store.register_metrics(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
        for line in [
            r#"etcd_requests_total{operation="create",group="example.com",resource="things"} 1"#,
            r#"apiserver_storage_objects{resource="things.example.com"} 1"#,
            r#"apiserver_resource_objects{group="example.com",resource="things"} 1"#,
        ] {
            assert!(text.lines().any(|l| l == line), "{line} not in\n{text}");
        }
    }
}
