//! How many volumes are wanted, attached, and were taken by force.
//!
//! Upstream: `pkg/controller/volume/attachdetach/metrics`.

use super::plan::Force;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Volumes by plugin.
type Counts = BTreeMap<String, i64>;

#[derive(Debug, Default)]
struct Metrics {
    forced: Mutex<BTreeMap<&'static str, i64>>,
    nodes: Mutex<BTreeMap<String, (Counts, Counts)>>,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::default);

/// Registers them.
pub(crate) fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(Volumes));
}

/// A volume was taken by force.
pub(super) fn forced(force: Force) {
    let reason = match force {
        Force::Timeout => "timeout",
        Force::OutOfService => "out-of-service",
    };
    *METRICS.forced.lock().entry(reason).or_default() += 1;
}

/// What a node should have and has, by driver.
pub(super) fn count<'a>(node: &str, wanted: impl Iterator<Item = &'a str>, attached: impl Iterator<Item = &'a str>) {
    let counts = (counts(wanted), counts(attached));
    let mut nodes = METRICS.nodes.lock();
    match counts.0.is_empty() && counts.1.is_empty() {
        true => drop(nodes.remove(node)),
        false => drop(nodes.insert(node.to_owned(), counts)),
    }
}

fn counts<'a>(drivers: impl Iterator<Item = &'a str>) -> Counts {
    let mut counts = Counts::new();
    for driver in drivers {
        *counts.entry(format!("kubernetes.io/csi:{driver}")).or_default() += 1;
    }
    counts
}

#[derive(Debug)]
struct Volumes;

impl Collector for Volumes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        // A gauge, as the crate would end the name of a counter with `_total`, which upstream's has not.
        let (name, help) = (
            "attach_detach_controller_attachdetach_controller_forced_detaches",
            "Number of times the A/D Controller performed a forced detach",
        );
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (reason, count) in &*METRICS.forced.lock() {
            ConstGauge::new(*count).encode(family.encode_family(&[("reason", *reason)])?)?;
        }
        let nodes = METRICS.nodes.lock();
        let mut total = BTreeMap::new();
        let help = "Measure number of volumes in use";
        let mut family =
            encoder.encode_descriptor("storage_count_attachable_volumes_in_use", help, None, MetricType::Gauge)?;
        for (node, (wanted, attached)) in &*nodes {
            for (plugin, count) in wanted {
                let labels = [("node", node.as_str()), ("volume_plugin", plugin.as_str())];
                ConstGauge::new(*count).encode(family.encode_family(&labels)?)?;
            }
            for (state, counts) in [("desired_state_of_world", wanted), ("actual_state_of_world", attached)] {
                for (plugin, count) in counts {
                    *total.entry((plugin.clone(), state)).or_insert(0) += count;
                }
            }
        }
        let help = "Number of volumes in A/D Controller";
        let mut family =
            encoder.encode_descriptor("attachdetach_controller_total_volumes", help, None, MetricType::Gauge)?;
        for ((plugin, state), count) in total {
            let labels = [("plugin_name", plugin.as_str()), ("state", state)];
            ConstGauge::new(count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_counted_by_node_and_in_all() {
        let mut registry = Registry::default();
        register(&mut registry);
        count("metrics-a", ["d", "d"].into_iter(), ["d"].into_iter());
        count("metrics-b", ["d"].into_iter(), std::iter::empty());
        forced(Force::Timeout);
        let text = component::metrics::encode(&registry);
        for line in [
            r#"storage_count_attachable_volumes_in_use{node="metrics-a",volume_plugin="kubernetes.io/csi:d"} 2"#,
            r#"attachdetach_controller_total_volumes{plugin_name="kubernetes.io/csi:d",state="actual_state_of_world"} 1"#,
            r#"attachdetach_controller_total_volumes{plugin_name="kubernetes.io/csi:d",state="desired_state_of_world"} 3"#,
            r#"attach_detach_controller_attachdetach_controller_forced_detaches{reason="timeout"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        count("metrics-a", std::iter::empty(), std::iter::empty());
        count("metrics-b", std::iter::empty(), std::iter::empty());
        assert!(!component::metrics::encode(&registry).contains("metrics-a"));
    }
}
