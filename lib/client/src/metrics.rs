//! The client's and the queues' metrics, process-wide; `component` puts them into its registry.
//!
//! Upstream: `component-base/metrics/prometheus/{restclient,workqueue}`.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::Instant;

/// Labels of `rest_client_requests_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    code: String,
    method: String,
    host: String,
}

/// Labels of `rest_client_request_duration_seconds`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    verb: String,
    host: String,
}

/// Seconds that requests take.
const REQUESTS: [f64; 12] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0];

/// The label of `workqueue_*` and `leader_election_master_status`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Name {
    pub(crate) name: String,
}

type ByName<M> = Family<Name, M, fn() -> M>;

#[derive(Debug)]
struct Metrics {
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<DurationLabels, Histogram, fn() -> Histogram>,
    depth: Family<Name, Gauge>,
    adds: Family<Name, Counter>,
    retries: Family<Name, Counter>,
    queue_seconds: ByName<Histogram>,
    work_seconds: ByName<Histogram>,
    master: Family<Name, Gauge>,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(|| Metrics {
    requests: Family::default(),
    request_seconds: Family::new_with_constructor(|| Histogram::new(REQUESTS)),
    depth: Family::default(),
    adds: Family::default(),
    retries: Family::default(),
    queue_seconds: Family::new_with_constructor(queue_histogram),
    work_seconds: Family::new_with_constructor(queue_histogram),
    master: Family::default(),
});

fn queue_histogram() -> Histogram {
    Histogram::new((0..10).map(|power| 1e-8 * 10f64.powi(power)))
}

/// Registers `rest_client_*`, `workqueue_*` and `leader_election_master_status`.
pub fn register(registry: &mut Registry) {
    let m = &*METRICS;
    registry.register(
        "rest_client_requests",
        "Number of HTTP requests, partitioned by status code, method, and host",
        m.requests.clone(),
    );
    registry.register(
        "rest_client_request_duration_seconds",
        "Request latency in seconds. Broken down by verb, and host",
        m.request_seconds.clone(),
    );
    registry.register("workqueue_depth", "Current depth of workqueue", m.depth.clone());
    registry.register("workqueue_adds", "Total number of adds handled by workqueue", m.adds.clone());
    registry.register("workqueue_retries", "Total number of retries handled by workqueue", m.retries.clone());
    registry.register(
        "workqueue_queue_duration_seconds",
        "How long in seconds an item stays in workqueue before being requested",
        m.queue_seconds.clone(),
    );
    registry.register(
        "workqueue_work_duration_seconds",
        "How long in seconds processing an item from workqueue takes",
        m.work_seconds.clone(),
    );
    registry.register(
        "leader_election_master_status",
        "Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master",
        m.master.clone(),
    );
}

/// Says whether this process leads by the lease of that name.
pub(crate) fn set_leading(lease: &str, leading: bool) {
    METRICS.master.get_or_create(&Name { name: lease.to_owned() }).set(i64::from(leading));
}

/// The metrics of one queue.
#[derive(Clone, Debug)]
pub(crate) struct QueueMetrics {
    pub(crate) depth: Gauge,
    pub(crate) adds: Counter,
    pub(crate) retries: Counter,
    pub(crate) waited: Histogram,
    pub(crate) worked: Histogram,
}

impl QueueMetrics {
    pub(crate) fn new(name: &str) -> Self {
        let name = Name { name: name.to_owned() };
        Self {
            depth: METRICS.depth.get_or_create_owned(&name),
            adds: METRICS.adds.get_or_create_owned(&name),
            retries: METRICS.retries.get_or_create_owned(&name),
            waited: METRICS.queue_seconds.get_or_create_owned(&name),
            worked: METRICS.work_seconds.get_or_create_owned(&name),
        }
    }
}

/// Counts every request of a client by code, method and host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CountRequests;

impl<S> tower::Layer<S> for CountRequests {
    type Service = Counting<S>;

    fn layer(&self, inner: S) -> Counting<S> {
        Counting { inner }
    }
}

/// A service whose responses are counted.
#[derive(Clone, Debug)]
pub(crate) struct Counting<S> {
    inner: S,
}

impl<S, B, R> tower::Service<http::Request<B>> for Counting<S>
where
    S: tower::Service<http::Request<B>, Response = http::Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let method = request.method().as_str().to_owned();
        let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let (began, response) = (Instant::now(), self.inner.call(request));
        Box::pin(async move {
            let response = response.await;
            let labels = DurationLabels { verb: method.clone(), host: host.clone() };
            METRICS.request_seconds.get_or_create(&labels).observe(began.elapsed().as_secs_f64());
            let code = response.as_ref().map_or_else(|_| "<error>".to_owned(), |r| r.status().as_u16().to_string());
            METRICS.requests.get_or_create(&RequestLabels { code, method, host }).inc();
            response
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_are_counted_and_timed() {
        let server = tower::service_fn(|_: http::Request<()>| async {
            Ok::<_, std::convert::Infallible>(http::Response::builder().status(201).body(()).unwrap())
        });
        let mut client = tower::Layer::layer(&CountRequests, server);
        let request = http::Request::post("http://timed.test:1/x").body(()).unwrap();
        tower::Service::call(&mut client, request).await.unwrap();
        let mut registry = Registry::default();
        register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "rest_client_requests_total{code=\"201\",method=\"POST\",host=\"timed.test:1\"} 1",
            "rest_client_request_duration_seconds_count{verb=\"POST\",host=\"timed.test:1\"} 1",
        ] {
            assert!(text.lines().any(|other| other == line), "no {line} in {text}");
        }
    }

    #[test]
    fn a_queue_shows_up_under_its_name() {
        let queue = QueueMetrics::new("shows-up");
        queue.adds.inc();
        let mut registry = Registry::default();
        register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("workqueue_adds_total{name=\"shows-up\"} 1"), "{text}");
    }
}
