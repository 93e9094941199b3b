//! The shapes that most metrics have: histograms whose bounds grow by a factor, histograms of short times, counters
//! whose names do not say so, and gauges that are counted when somebody looks.

use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::{MetricType, TypedMetric};
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

/// Makes histograms with these bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds(pub &'static [f64]);

/// Seconds that most things take: the default of Prometheus' library.
pub const SECONDS: Bounds = Bounds(&[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);

/// Histograms with given bounds by their labels.
pub type Durations<L> = Family<L, Histogram, Bounds>;

impl Bounds {
    /// One histogram.
    pub fn histogram(self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }

    /// Histograms by their labels.
    pub fn family<L: Clone + Hash + Eq>(self) -> Durations<L> {
        Family::new_with_constructor(self)
    }
}

impl MetricConstructor<Histogram> for Bounds {
    fn new_metric(&self) -> Histogram {
        self.histogram()
    }
}

/// A counter whose name does not end with `_total`, which the library would add. The library knows it as something
/// unknown, [`super::encode`] as a counter.
#[derive(Clone, Debug, Default)]
pub struct PlainCounter(Counter);

impl PlainCounter {
    /// One more.
    pub fn inc(&self) {
        self.0.inc();
    }

    /// How many there were.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

impl TypedMetric for PlainCounter {
    const TYPE: MetricType = MetricType::Unknown;
}

impl EncodeMetric for PlainCounter {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.encode_gauge(&self.get())
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// Writes a gauge without labels for a collector.
pub fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: usize) -> Result<(), std::fmt::Error> {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
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
        ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(family.encode_family(&labels)?)?;
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
            gauge(&mut encoder, "keepers", "All keepers", 3)?;
            gauges(&mut encoder, "cages", "All cages", [([("of", "birds")], 2), ([("of", "bears")], 0)])
        }
    }

    #[test]
    fn all_shapes_show_up() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Cages));
        let waits: Histograms<[(&str, &str); 1]> = Exponential { first: 1.0, factor: 10.0, count: 2 }.family();
        waits.get_or_create(&[("of", "birds")]).observe(5.0);
        registry.register("waits", "All waits", waits);
        let looks: Durations<[(&str, &str); 1]> = SECONDS.family();
        looks.get_or_create(&[("of", "birds")]).observe(0.02);
        registry.register("looks", "All looks", looks);
        let feedings = PlainCounter::default();
        feedings.inc();
        registry.register("feedings", "All feedings", feedings);
        let text = crate::metrics::encode(&registry);
        for line in [
            "keepers 3",
            "cages{of=\"birds\"} 2",
            "cages{of=\"bears\"} 0",
            "waits_bucket{le=\"10.0\",of=\"birds\"} 1",
            "looks_bucket{le=\"0.01\",of=\"birds\"} 0",
            "looks_bucket{le=\"0.025\",of=\"birds\"} 1",
            "# TYPE feedings counter",
            "feedings 1",
        ] {
            assert!(text.lines().any(|other| other.starts_with(line)), "no {line} in {text}");
        }
    }
}
