//! The scheduler's metrics.
//!
//! Upstream: `pkg/scheduler/metrics`.

use crate::queue::Queue;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::time::Instant;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The pod is bound.
    Scheduled,
    /// It fits nowhere.
    Unschedulable,
    /// Something went wrong.
    Error,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    profile: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabel {
    queue: &'static str,
}

/// The metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    attempts: Family<Labels, Counter>,
    attempt_seconds: Family<Labels, Histogram, fn() -> Histogram>,
    algorithm_seconds: Histogram,
    preemptions: Counter,
    queue: Queue,
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

impl Metrics {
    /// All zero; `queue` is asked for its lengths at each scrape.
    pub fn new(queue: Queue) -> Self {
        Self {
            attempts: Family::default(),
            attempt_seconds: Family::new_with_constructor(seconds),
            algorithm_seconds: seconds(),
            preemptions: Counter::default(),
            queue,
        }
    }

    /// Registers all.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "scheduler_schedule_attempts",
            "Number of attempts to schedule pods, by the result",
            self.attempts.clone(),
        );
        registry.register(
            "scheduler_scheduling_attempt_duration_seconds",
            "Scheduling attempt latency in seconds (scheduling algorithm + binding)",
            self.attempt_seconds.clone(),
        );
        registry.register(
            "scheduler_scheduling_algorithm_duration_seconds",
            "Scheduling algorithm latency in seconds",
            self.algorithm_seconds.clone(),
        );
        registry.register(
            "scheduler_preemption_attempts",
            "Total preemption attempts in the cluster till now",
            self.preemptions.clone(),
        );
        registry.register_collector(Box::new(Pending(self.queue.clone())));
    }

    /// A node was chosen.
    pub fn decided(&self, started: Instant) {
        self.algorithm_seconds.observe(started.elapsed().as_secs_f64());
    }

    /// Room is being made for a pod.
    pub fn preempted(&self) {
        self.preemptions.inc();
    }

    /// An attempt ended.
    pub fn attempted(&self, profile: &str, outcome: Outcome, started: Instant) {
        let result = match outcome {
            Outcome::Scheduled => "scheduled",
            Outcome::Unschedulable => "unschedulable",
            Outcome::Error => "error",
        };
        let labels = Labels { profile: profile.to_owned(), result };
        self.attempts.get_or_create(&labels).inc();
        self.attempt_seconds.get_or_create(&labels).observe(started.elapsed().as_secs_f64());
    }
}

/// `scheduler_pending_pods`, counted at each scrape.
#[derive(Debug)]
struct Pending(Queue);

impl Collector for Pending {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let lengths = self.0.lengths();
        let gauges = Family::<QueueLabel, Gauge>::default();
        let all = [
            ("active", lengths.active),
            ("backoff", lengths.backoff),
            ("unschedulable", lengths.unschedulable),
            ("gated", lengths.gated),
        ];
        for (queue, length) in all {
            gauges.get_or_create(&QueueLabel { queue }).set(i64::try_from(length).unwrap_or(i64::MAX));
        }
        let help = "Number of pending pods, by the queue type";
        gauges.encode(encoder.encode_descriptor("scheduler_pending_pods", help, None, MetricType::Gauge)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::pod;
    use std::sync::Arc;
    use std::time::Duration;

    #[tokio::test]
    async fn attempts_and_pending_pods_show_up() {
        let queue = Queue::new(Duration::from_secs(1), Duration::from_secs(10), Arc::default());
        queue.set(Arc::new(pod("p").build()));
        let metrics = Metrics::new(queue);
        metrics.attempted("default-scheduler", Outcome::Scheduled, Instant::now());
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let text = component::metrics::encode(&registry);
        for line in [
            "scheduler_schedule_attempts_total{profile=\"default-scheduler\",result=\"scheduled\"} 1",
            "scheduler_pending_pods{queue=\"active\"} 1",
            "scheduler_pending_pods{queue=\"gated\"} 0",
        ] {
            assert!(text.contains(line), "no {line} in {text}");
        }
    }
}
