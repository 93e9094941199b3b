//! The scheduler's metrics.
//!
//! Not here: those of what is not built (batching, permits, pod groups, an asynchronous API
//! dispatcher).
//!
//! Upstream: `pkg/scheduler/metrics`.

mod gathered;

use crate::config::plugins::Point;
use crate::queue::{Attempt, Queue};
use crate::scheduler::Sizes;
use crate::trace::Trace;
use component::metrics::{Exponential, Histograms};
use gathered::Gathered;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The pod is bound.
    Scheduled,
    /// It fits nowhere.
    Unschedulable,
    /// Something went wrong.
    Error,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Unschedulable => "unschedulable",
            Self::Error => "error",
        }
    }
}

type Labels<const N: usize> = [(&'static str, String); N];

/// Of an attempt.
const SECONDS: Exponential = Exponential { first: 0.001, factor: 2.0, count: 15 };
/// From a pod's first attempt to its binding, and of making room.
const LONG: Exponential = Exponential { first: 0.01, factor: 2.0, count: 20 };
/// Of an extension point.
const POINT: Exponential = Exponential { first: 0.0001, factor: 2.0, count: 12 };
/// Of a plugin.
const PLUGIN: Exponential = Exponential { first: 0.00001, factor: 1.5, count: 20 };
/// More attempts are one label.
const ATTEMPTS_TOLD_APART: u32 = 15;

/// The metrics. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    attempts: Family<Labels<2>, Counter>,
    attempt_seconds: Histograms<Labels<2>>,
    algorithm_seconds: Histogram,
    sli_seconds: Histograms<Labels<1>>,
    pod_attempts: Histogram,
    after_flush: Counter,
    point_seconds: Histograms<Labels<3>>,
    plugin_seconds: Histograms<Labels<3>>,
    evaluations: Family<Labels<3>, Counter>,
    /// Counters of [`Self::evaluations`] by profile, point and plugin: they are needed for every pod.
    known: Arc<Mutex<HashMap<String, HashMap<(Point, &'static str), Counter>>>>,
    preemptions: Counter,
    victims: Histogram,
    preemption_seconds: Histograms<Labels<1>>,
    preemption_runs: Family<Labels<1>, Counter>,
    tasks: Family<Labels<1>, Gauge>,
    volume_errors: Family<Labels<1>, Counter>,
    queue: Queue,
    begun: Arc<AtomicU64>,
}

impl Metrics {
    /// All zero; `queue` is asked for its lengths at each scrape.
    pub fn new(queue: Queue) -> Self {
        Self {
            attempts: Family::default(),
            attempt_seconds: SECONDS.family(),
            algorithm_seconds: SECONDS.histogram(),
            sli_seconds: LONG.family(),
            pod_attempts: Exponential { first: 1.0, factor: 2.0, count: 5 }.histogram(),
            after_flush: Counter::default(),
            point_seconds: POINT.family(),
            plugin_seconds: PLUGIN.family(),
            evaluations: Family::default(),
            known: Arc::default(),
            preemptions: Counter::default(),
            victims: Exponential { first: 1.0, factor: 2.0, count: 7 }.histogram(),
            preemption_seconds: LONG.family(),
            preemption_runs: Family::default(),
            tasks: Family::default(),
            volume_errors: Family::default(),
            queue,
            begun: Arc::default(),
        }
    }

    /// Registers all; `sizes` tells how large the cache is.
    pub fn register(&self, registry: &mut Registry, sizes: impl Fn() -> Sizes + Send + Sync + 'static) {
        let mut scheduler = Register(registry);
        scheduler.add("schedule_attempts", "Number of attempts to schedule pods, by the result", &self.attempts);
        let help = "Scheduling attempt latency in seconds (scheduling algorithm + binding)";
        scheduler.add("scheduling_attempt_duration_seconds", help, &self.attempt_seconds);
        let help = "Scheduling algorithm latency in seconds";
        scheduler.add("scheduling_algorithm_duration_seconds", help, &self.algorithm_seconds);
        let help = "Time from a pod's arrival in the queue to its binding, over all attempts";
        scheduler.add("pod_scheduling_sli_duration_seconds", help, &self.sli_seconds);
        let help = "Number of attempts to successfully schedule a pod";
        scheduler.add("pod_scheduling_attempts", help, &self.pod_attempts);
        let help = "Pods that were scheduled after they had waited so long that they were tried without an event";
        scheduler.add("pod_scheduled_after_flush", help, &self.after_flush);
        let help = "Latency for running all plugins of a specific extension point";
        scheduler.add("framework_extension_point_duration_seconds", help, &self.point_seconds);
        let help = "Duration for running a plugin at a specific extension point";
        scheduler.add("plugin_execution_duration_seconds", help, &self.plugin_seconds);
        let help = "How often plugins were asked, by extension point: about a pod, or about a node";
        scheduler.add("plugin_evaluation", help, &self.evaluations);
        let help = "Total preemption attempts in the cluster till now";
        scheduler.add("preemption_attempts", help, &self.preemptions);
        scheduler.add("preemption_victims", "Number of selected preemption victims", &self.victims);
        let help = "Time that it took to tell victims to go, by the result";
        scheduler.add("preemption_goroutines_duration_seconds", help, &self.preemption_seconds);
        let help = "How often victims were told to go, by the result";
        scheduler.add("preemption_goroutines_execution", help, &self.preemption_runs);
        let help = "Number of running tasks by the work they do, such as binding";
        scheduler.add("goroutines", help, &self.tasks);
        let help = "Volume scheduling stage error count";
        scheduler.add("volume_scheduling_stage_error", help, &self.volume_errors);
        registry.register_collector(Box::new(Gathered::new(self.queue.clone(), sizes)));
    }

    /// The number of the attempt that begins.
    pub fn next_attempt(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::Relaxed)
    }

    /// What a decision did.
    pub fn traced(&self, profile: &str, trace: &Trace) {
        for (point, status, took) in &trace.points {
            self.point(profile, *point, status.name(), *took);
        }
        for (point, plugin, took) in &trace.took {
            let labels = labels([("plugin", plugin), ("extension_point", point.name()), ("status", "Success")]);
            self.plugin_seconds.get_or_create(&labels).observe(took.as_secs_f64());
        }
        let mut known = self.known.lock();
        if !known.contains_key(profile) {
            known.insert(profile.to_owned(), HashMap::new());
        }
        let Some(known) = known.get_mut(profile) else { return };
        for (point, plugin, nodes) in &trace.asked {
            let counter = known.entry((*point, *plugin)).or_insert_with(|| {
                let labels = labels([("plugin", plugin), ("extension_point", point.name()), ("profile", profile)]);
                self.evaluations.get_or_create_owned(&labels)
            });
            counter.inc_by(u64::try_from(*nodes).unwrap_or(u64::MAX));
        }
    }

    /// All plugins of an extension point ran.
    pub fn point(&self, profile: &str, point: Point, status: &str, took: Duration) {
        let labels = labels([("extension_point", point.name()), ("status", status), ("profile", profile)]);
        self.point_seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// A node was chosen.
    pub fn decided(&self, started: Instant) {
        self.algorithm_seconds.observe(started.elapsed().as_secs_f64());
    }

    /// Preemption was tried; so many pods have to go, none if it found nothing.
    pub fn preempted(&self, victims: usize) {
        self.preemptions.inc();
        if victims > 0 {
            self.victims.observe(victims as f64);
        }
    }

    /// Victims were told to go, since `begun`.
    pub fn evicted(&self, is_done: bool, begun: Instant) {
        let labels = labels([("result", if is_done { "success" } else { "error" })]);
        self.preemption_seconds.get_or_create(&labels).observe(begun.elapsed().as_secs_f64());
        self.preemption_runs.get_or_create(&labels).inc();
    }

    /// Binding volumes failed.
    pub fn volumes_failed(&self) {
        self.volume_errors.get_or_create(&labels([("operation", "bind")])).inc();
    }

    /// A pod is being bound for as long as what this gives lives.
    pub fn binding(&self) -> Running {
        let running = Running(self.tasks.get_or_create_owned(&labels([("operation", "binding")])));
        running.0.inc();
        running
    }

    /// An attempt ended.
    pub fn attempted(&self, profile: &str, outcome: Outcome, started: Instant) {
        let labels = labels([("profile", profile), ("result", outcome.name())]);
        self.attempts.get_or_create(&labels).inc();
        self.attempt_seconds.get_or_create(&labels).observe(started.elapsed().as_secs_f64());
    }

    /// A pod is bound after its last attempt.
    pub fn scheduled(&self, attempt: &Attempt) {
        let number = match attempt.number {
            many if many >= ATTEMPTS_TOLD_APART => format!("{ATTEMPTS_TOLD_APART}+"),
            few => few.to_string(),
        };
        let labels = [("attempts", number)];
        self.sli_seconds.get_or_create(&labels).observe(attempt.since.elapsed().as_secs_f64());
        self.pod_attempts.observe(f64::from(attempt.number));
        if attempt.is_flushed {
            self.after_flush.inc();
        }
    }
}

/// Something that is going on.
#[derive(Debug)]
pub struct Running(Gauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn labels<const N: usize>(pairs: [(&'static str, &str); N]) -> Labels<N> {
    pairs.map(|(name, value)| (name, value.to_owned()))
}

/// Registers under upstream's prefix.
struct Register<'a>(&'a mut Registry);

impl Register<'_> {
    fn add(&mut self, name: &str, help: &str, metric: &(impl prometheus_client::registry::Metric + Clone)) {
        self.0.register(format!("scheduler_{name}"), help, metric.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::pod;
    use crate::trace::Status;

    #[tokio::test]
    async fn what_happened_shows_up() {
        let queue = Queue::new(Duration::from_secs(1), Duration::from_secs(10), Arc::default());
        queue.set(Arc::new(pod("p").build()));
        queue.set(Arc::new(pod("q").build()));
        let metrics = Metrics::new(queue.clone());
        metrics.attempted("default-scheduler", Outcome::Scheduled, Instant::now());
        metrics.scheduled(&queue.pop().await);
        let mut trace = Trace::of_attempt(0);
        trace.count(Point::Filter, "NodePorts", 7);
        trace.time(Point::Filter, "NodePorts", || ());
        trace.end(Point::Filter, Status::Success, trace.begin());
        metrics.traced("s", &trace);
        metrics.preempted(2);
        metrics.evicted(true, Instant::now());
        let _running = metrics.binding();
        let mut registry = Registry::default();
        metrics.register(&mut registry, || Sizes { nodes: 3, pods: 2, assumed: 1 });
        let text = component::metrics::encode(&registry);
        for line in [
            "scheduler_schedule_attempts_total{profile=\"default-scheduler\",result=\"scheduled\"} 1",
            "scheduler_pending_pods{queue=\"active\"} 1",
            "scheduler_pending_pods{queue=\"gated\"} 0",
            "scheduler_pod_scheduling_attempts_count 1",
            "scheduler_pod_scheduling_sli_duration_seconds_count{attempts=\"1\"} 1",
            "scheduler_plugin_evaluation_total{plugin=\"NodePorts\",extension_point=\"Filter\",profile=\"s\"} 7",
            "scheduler_plugin_execution_duration_seconds_count{plugin=\"NodePorts\",extension_point=\"Filter\",status=\"Success\"} 1",
            "scheduler_framework_extension_point_duration_seconds_count{extension_point=\"Filter\",status=\"Success\",profile=\"s\"} 1",
            "scheduler_preemption_attempts_total 1",
            "scheduler_preemption_victims_sum 2.0",
            "scheduler_preemption_goroutines_execution_total{result=\"success\"} 1",
            "scheduler_goroutines{operation=\"binding\"} 1",
            "scheduler_cache_size{type=\"nodes\"} 3",
            "scheduler_cache_size{type=\"assumed_pods\"} 1",
            "scheduler_queue_incoming_pods_total{queue=\"active\",event=\"UnschedulablePodAdd\"} 2",
        ] {
            assert!(text.contains(line), "no {line} in {text}");
        }
    }
}
