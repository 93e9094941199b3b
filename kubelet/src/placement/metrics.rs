//! `kubelet_cpu_manager_*`, `kubelet_memory_manager_*` and `kubelet_topology_manager_*`, under upstream's names.
//!
//! Upstream: `pkg/kubelet/metrics/metrics.go`.

use super::alignment::{Alignment, Scope};
use super::manager::Placement;
use super::topology::Level;
use component::metrics::Exponential;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bounds of how long admissions take, in milliseconds.
const DURATIONS: Exponential = Exponential { first: 0.05, factor: 2.0, count: 15 };

/// What has been counted since the kubelet started.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) requests: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) admissions: AtomicU64,
    pub(super) admission_errors: AtomicU64,
    /// How long admissions took, in milliseconds.
    pub(super) duration: Histogram,
    /// What got all its resources from one node, as it had to.
    pub(super) aligned: ByScope,
    pub(super) misaligned: ByScope,
}

/// Counts of containers and of pods.
#[derive(Debug, Default)]
pub(super) struct ByScope {
    container: AtomicU64,
    pod: AtomicU64,
}

impl ByScope {
    pub(super) fn of(&self, scope: Scope) -> &AtomicU64 {
        match scope {
            Scope::Container => &self.container,
            Scope::Pod => &self.pod,
        }
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            requests: AtomicU64::default(),
            errors: AtomicU64::default(),
            admissions: AtomicU64::default(),
            admission_errors: AtomicU64::default(),
            duration: DURATIONS.histogram(),
            aligned: ByScope::default(),
            misaligned: ByScope::default(),
        }
    }
}

/// Reads the state at each scrape.
pub struct PlacementMetrics(pub Placement);

impl fmt::Debug for PlacementMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlacementMetrics").finish_non_exhaustive()
    }
}

impl Collector for PlacementMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counts = self.0.counts();
        let requests = "[ALPHA] The number of cpu core allocations which required pinning";
        let pinning = |resource: &str, what: &str| format!("{resource}_manager_pinning_{what}");
        counter(&mut encoder, &pinning("cpu", "requests"), requests, &counts.requests)?;
        let errors = "[ALPHA] The number of cpu core allocations which required pinning failed";
        counter(&mut encoder, &pinning("cpu", "errors"), errors, &counts.errors)?;
        let requests = "[ALPHA] The number of memory pages allocations which required pinning";
        counter(&mut encoder, &pinning("memory", "requests"), requests, &self.0.memory().requests)?;
        let errors = "[ALPHA] The number of memory pages allocations which required pinning that failed";
        counter(&mut encoder, &pinning("memory", "errors"), errors, &self.0.memory().errors)?;
        self.admissions(&mut encoder)?;
        let (shared, taken, nodes) = self.state();
        let help = "[ALPHA] The size of the shared CPU pool for non-guaranteed QoS pods, in millicores";
        gauge(&mut encoder, "shared_pool_size_millicores", help, shared.saturating_mul(1000))?;
        let help = "[ALPHA] The total number of CPUs exclusively allocated to containers running on this node";
        gauge(&mut encoder, "exclusive_cpu_allocation_count", help, taken)?;
        if nodes.is_empty() {
            return Ok(());
        }
        let (name, help) =
            ("kubelet_cpu_manager_allocation_per_numa", "[ALPHA] Number of CPUs allocated per NUMA node");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (node, count) in nodes {
            let node = node.to_string();
            ConstGauge::new(number(count)).encode(family.encode_family(&[("numa_node", node.as_str())])?)?;
        }
        Ok(())
    }
}

impl PlacementMetrics {
    fn admissions(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counts = self.0.counts();
        let help = "[ALPHA] The number of admission requests where resources have to be aligned";
        counter(encoder, "topology_manager_admission_requests", help, &counts.admissions)?;
        let help = "[ALPHA] The number of admission request failures where resources could not be aligned";
        counter(encoder, "topology_manager_admission_errors", help, &counts.admission_errors)?;
        let (name, help) = (
            "kubelet_topology_manager_admission_duration_ms",
            "[ALPHA] Duration in milliseconds to serve a pod admission request",
        );
        counts.duration.encode(encoder.encode_descriptor(name, help, None, MetricType::Histogram)?)?;
        if matches!(self.0.alignment(), Alignment::None) {
            return Ok(());
        }
        let help = "[ALPHA] Cumulative number of aligned compute resources allocated to containers by alignment type";
        by_scope(encoder, "count", help, &counts.aligned)?;
        let help = "[ALPHA] Cumulative number of failures to allocate aligned compute resources to containers by alignment type";
        by_scope(encoder, "failure_count", help, &counts.misaligned)
    }

    /// How many are shared, how many are somebody's own, and of those how many on each NUMA node.
    fn state(&self) -> (usize, usize, Vec<(usize, usize)>) {
        let Some(policy) = self.0.policy() else { return (0, 0, Vec::new()) };
        let policy = policy.lock();
        let taken = policy.assignments().taken();
        let of = policy.topology().cpus.only(&taken);
        let nodes = of.groups(Level::Node).iter().map(|node| (node, of.within(Level::Node, node).len())).collect();
        (policy.available().len(), taken.len(), nodes)
    }
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: &AtomicU64) -> Result<(), fmt::Error> {
    let (name, value) = (format!("kubelet_{name}"), value.load(Ordering::Relaxed));
    ConstCounter::new(value).encode(encoder.encode_descriptor(&name, help, None, MetricType::Counter)?)
}

/// Upstream's name has no `_total`, without which a counter cannot be shown here: it is shown as a gauge.
fn by_scope(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, counts: &ByScope) -> Result<(), fmt::Error> {
    let name = format!("kubelet_container_aligned_compute_resources_{name}");
    let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
    for (scope, text) in [(Scope::Container, "container"), (Scope::Pod, "pod")] {
        let value = i64::try_from(counts.of(scope).load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        ConstGauge::new(value).encode(family.encode_family(&[("scope", text), ("boundary", "numa_node")])?)?;
    }
    Ok(())
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: usize) -> Result<(), fmt::Error> {
    let name = format!("kubelet_cpu_manager_{name}");
    ConstGauge::new(number(value)).encode(encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?)
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
