//! `kubelet_cpu_manager_*`, under upstream's names.
//!
//! Upstream: `pkg/kubelet/metrics/metrics.go`.

use super::manager::Placement;
use super::topology::Level;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::atomic::Ordering;

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
        counter(&mut encoder, "requests", requests, counts.requests.load(Ordering::Relaxed))?;
        let errors = "[ALPHA] The number of cpu core allocations which required pinning failed";
        counter(&mut encoder, "errors", errors, counts.errors.load(Ordering::Relaxed))?;
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

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> Result<(), fmt::Error> {
    let name = format!("kubelet_cpu_manager_pinning_{name}");
    ConstCounter::new(value).encode(encoder.encode_descriptor(&name, help, None, MetricType::Counter)?)
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: usize) -> Result<(), fmt::Error> {
    let name = format!("kubelet_cpu_manager_{name}");
    ConstGauge::new(number(value)).encode(encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?)
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
