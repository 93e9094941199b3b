//! The shapes that most metrics have: histograms whose bounds grow by a factor, and gauges that are
//! counted when somebody looks.

use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use std::hash::Hash;

/// Makes histograms: `count` bounds from `first` on, each `factor` times the one before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exponential {
    /// The lowest bound.
    pub first: f64,
    /// More than 1.
    pub factor: f64,
    /// How many bounds.
    pub count: u16,
}

/// Histograms by their labels.
pub type Histograms<L> = Family<L, Histogram, Exponential>;

impl Exponential {
    /// One histogram.
    pub fn histogram(self) -> Histogram {
        Histogram::new(exponential_buckets(self.first, self.factor, self.count))
    }

    /// Histograms by their labels.
    pub fn family<L: Clone + Hash + Eq>(self) -> Histograms<L> {
        Family::new_with_constructor(self)
    }
}

impl MetricConstructor<Histogram> for Exponential {
    fn new_metric(&self) -> Histogram {
        self.histogram()
    }
}

/// Writes a family of gauges for a collector.
pub fn gauges<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: impl IntoIterator<Item = (L, usize)>,
) -> Result<(), std::fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in rows {
        ConstGauge::new(value as f64).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::collector::Collector;
    use prometheus_client::registry::Registry;

    #[derive(Debug)]
    struct Cages;

    impl Collector for Cages {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
            gauges(&mut encoder, "cages", "All cages", [([("of", "birds")], 2), ([("of", "bears")], 0)])
        }
    }

    #[test]
    fn both_shapes_show_up() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Cages));
        let waits: Histograms<[(&str, &str); 1]> = Exponential { first: 1.0, factor: 10.0, count: 2 }.family();
        waits.get_or_create(&[("of", "birds")]).observe(5.0);
        registry.register("waits", "All waits", waits);
        let text = crate::metrics::encode(&registry);
        for line in ["cages{of=\"birds\"} 2", "cages{of=\"bears\"} 0", "waits_bucket{le=\"10.0\",of=\"birds\"} 1"] {
            assert!(text.lines().any(|other| other.starts_with(line)), "no {line} in {text}");
        }
    }
}
