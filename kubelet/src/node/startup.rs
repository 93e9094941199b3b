//! How long the node took to be of use: until the kubelet ran, until it had registered, until it was ready.
//!
//! Only a node that was not there before tells: one that a kubelet takes over has been of use already.
//!
//! Upstream: `pkg/kubelet/util/node_startup_latency_tracker.go`.

use component::metrics::Registry;
use k8s_openapi::jiff::Timestamp;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::Arc;

/// When what happened. Each time is the first.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    /// Of the machine; `None` where that is not told.
    booted: Option<Timestamp>,
    started: Timestamp,
    /// The node was asked for.
    tried: Option<Timestamp>,
    /// The node was made.
    registered: Option<Timestamp>,
    ready: Option<Timestamp>,
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Startup(Arc<Mutex<Times>>);

impl Default for Startup {
    fn default() -> Self {
        Self::new(booted(), Timestamp::now())
    }
}

impl Startup {
    fn new(booted: Option<Timestamp>, started: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Times { booted, started, ..Times::default() })))
    }

    /// Serves the times that are known.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }

    /// The kubelet tries to register the node.
    pub fn tries(&self, now: Timestamp) {
        self.0.lock().tried.get_or_insert(now);
    }

    /// The node was made.
    pub fn registered(&self, now: Timestamp) {
        let mut times = self.0.lock();
        if times.tried.is_some() {
            times.registered.get_or_insert(now);
        }
    }

    /// The node is ready.
    pub fn ready(&self, now: Timestamp) {
        let mut times = self.0.lock();
        if times.registered.is_some() {
            times.ready.get_or_insert(now);
        }
    }
}

/// When the machine was switched on.
fn booted() -> Option<Timestamp> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Timestamp::from_second(seconds).ok()
}

impl Collector for Startup {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Times { booted, started, tried, registered, ready } = *self.0.lock();
        // Nothing is told of a node that was there already.
        let started = registered.map(|_| started);
        let spans = [
            ("pre_kubelet_", "of node startup before kubelet starts", booted, started),
            ("pre_registration_", "of node startup before registration", started, tried),
            ("registration_", "of node startup during registration", tried, registered),
            ("post_registration_", "of node startup after registration", registered, ready),
            ("", "of node startup in total", booted, ready),
        ];
        for (name, what, from, to) in spans {
            let Some((from, to)) = from.zip(to) else { continue };
            let (name, help) =
                (format!("kubelet_node_startup_{name}duration_seconds"), format!("[ALPHA] Duration in seconds {what}"));
            let seconds = to.duration_since(from).as_secs_f64();
            ConstGauge::new(seconds).encode(encoder.encode_descriptor(&name, &help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_node_tells_how_long_it_took() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let startup = Startup::new(Some(at(10)), at(30));
        let text = |startup: &Startup| {
            let mut registry = Registry::default();
            startup.register(&mut registry);
            component::metrics::encode(&registry)
        };
        startup.ready(at(31));
        startup.tries(at(33));
        startup.tries(at(34));
        assert_eq!(text(&startup), "", "it may have been there before");
        startup.registered(at(35));
        startup.ready(at(40));
        startup.ready(at(50));
        let text = text(&startup);
        for (name, want) in [
            ("pre_kubelet_", "20"),
            ("pre_registration_", "3"),
            ("registration_", "2"),
            ("post_registration_", "5"),
            ("", "30"),
        ] {
            let line = format!("kubelet_node_startup_{name}duration_seconds {want}.0");
            assert!(text.lines().any(|other| other == line), "no {line} in {text}");
        }
        assert!(booted().is_some_and(|booted| booted < Timestamp::now()));
    }
}
