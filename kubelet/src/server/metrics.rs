//! What is counted of requests to the kubelet.
//!
//! Upstream: `pkg/kubelet/server/metrics`.

use component::metrics::{Durations, Registry, SECONDS};
use component::serve::{Observation, Router};
use http::Method;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use std::collections::BTreeSet;
use std::time::Instant;

const METHODS: [Method; 8] = [
    Method::OPTIONS,
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::TRACE,
    Method::CONNECT,
];
/// Paths whose requests last as long as somebody likes.
const LONG: [&str; 4] = ["exec", "attach", "portforward", "debug"];
/// For what is not told apart.
const OTHER: &str = "other";

/// Which of the ports is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// The one that knows users.
    Guarded,
    /// The one that shows a little to everybody.
    ReadOnly,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    method: String,
    path: String,
    server_type: &'static str,
    long_running: bool,
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Requests {
    count: Family<Labels, Counter>,
    seconds: Durations<Labels>,
    under_way: Family<Labels, Gauge>,
}

impl Default for Requests {
    fn default() -> Self {
        Self { count: Family::default(), seconds: SECONDS.family(), under_way: Family::default() }
    }
}

impl Requests {
    /// Serves what is counted.
    pub fn register(&self, registry: &mut Registry) {
        let help = "[ALPHA] Number of the http requests received since the server started";
        registry.register("kubelet_http_requests", help, self.count.clone());
        let help = "[ALPHA] Duration in seconds to serve http requests";
        registry.register("kubelet_http_requests_duration_seconds", help, self.seconds.clone());
        let help = "[ALPHA] Number of the inflight http requests";
        registry.register("kubelet_http_inflight_requests", help, self.under_way.clone());
    }

    /// The router, whose requests are counted.
    pub fn watch(&self, router: Router, port: Port) -> Router {
        let known: BTreeSet<String> = router.paths().map(|path| root(path).to_owned()).collect();
        let counts = self.clone();
        router.observed(move |method, path| counts.begin(labels(&known, method, path, port)))
    }

    fn begin(&self, labels: Labels) -> Observation {
        self.count.get_or_create(&labels).inc();
        self.under_way.get_or_create(&labels).inc();
        Box::new(UnderWay { counts: self.clone(), labels, began: Instant::now() })
    }
}

/// A request that is being served.
struct UnderWay {
    counts: Requests,
    labels: Labels,
    began: Instant,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.counts.under_way.get_or_create(&self.labels).dec();
        self.counts.seconds.get_or_create(&self.labels).observe(self.began.elapsed().as_secs_f64());
    }
}

/// The first part of a path; of metrics the first two.
fn root(path: &str) -> &str {
    let path = path.trim_start_matches('/');
    let end = |from: usize| path[from..].find('/').map_or(path.len(), |at| from + at);
    let first = end(0);
    if &path[..first] == "metrics" && first < path.len() { &path[..end(first + 1)] } else { &path[..first] }
}

fn labels(known: &BTreeSet<String>, method: &Method, path: &str, port: Port) -> Labels {
    let root = known.get(root(path)).map_or(OTHER, String::as_str);
    Labels {
        method: if METHODS.contains(method) { method.to_string() } else { OTHER.to_owned() },
        path: root.to_owned(),
        server_type: match port {
            Port::Guarded => "readwrite",
            Port::ReadOnly => "readonly",
        },
        long_running: LONG.contains(&root),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_what_they_are_about() {
        let known: BTreeSet<String> =
            ["/metrics/cadvisor", "/metrics", "/exec/", "/pods"].map(|path| root(path).to_owned()).into();
        let requests = Requests::default();
        for (method, path) in [
            (Method::GET, "/metrics/cadvisor"),
            (Method::GET, "/metrics/cadvisor/"),
            (Method::POST, "/exec/ns/p/c"),
            (Method::GET, "/pods"),
            (Method::PATCH, "/x"),
        ] {
            drop(requests.begin(labels(&known, &method, path, Port::Guarded)));
        }
        let still = requests.begin(labels(&known, &Method::GET, "/pods", Port::ReadOnly));
        let mut registry = Registry::default();
        requests.register(&mut registry);
        let text = component::metrics::encode(&registry);
        for (name, labels, value) in [
            (
                "requests_total",
                r#"method="GET",path="metrics/cadvisor",server_type="readwrite",long_running="false""#,
                2,
            ),
            ("requests_total", r#"method="POST",path="exec",server_type="readwrite",long_running="true""#, 1),
            ("requests_total", r#"method="other",path="other",server_type="readwrite",long_running="false""#, 1),
            ("inflight_requests", r#"method="GET",path="pods",server_type="readwrite",long_running="false""#, 0),
            ("inflight_requests", r#"method="GET",path="pods",server_type="readonly",long_running="false""#, 1),
            (
                "requests_duration_seconds_count",
                r#"method="GET",path="pods",server_type="readwrite",long_running="false""#,
                1,
            ),
        ] {
            let line = format!("kubelet_http_{name}{{{labels}}} {value}");
            assert!(text.lines().any(|other| other == line), "no {line} in {text}");
        }
        drop(still);
    }
}
