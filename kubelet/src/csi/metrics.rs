//! `kubelet_volume_stats_*`: what is used of the claims' volumes.
//!
//! Upstream: `pkg/kubelet/metrics/collectors/volume_stats.go`.

use super::Csi;
use crate::stats::types::FileSystem;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::collections::BTreeMap;
use std::fmt;

type Value = fn(&FileSystem) -> Option<u64>;

const FAMILIES: [(&str, &str, Value); 6] = [
    ("capacity_bytes", "[ALPHA] Capacity in bytes of the volume", |fs| fs.capacity_bytes),
    ("available_bytes", "[ALPHA] Number of available bytes in the volume", |fs| fs.available_bytes),
    ("used_bytes", "[ALPHA] Number of used bytes in the volume", |fs| fs.used_bytes),
    ("inodes", "[ALPHA] Maximum number of inodes in the volume", |fs| fs.inodes),
    ("inodes_free", "[ALPHA] Number of free inodes in the volume", |fs| fs.inodes_free),
    ("inodes_used", "[ALPHA] Number of used inodes in the volume", |fs| fs.inodes_used),
];

/// Reads what was measured last at each scrape.
pub struct VolumeMetrics(pub Csi);

impl fmt::Debug for VolumeMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VolumeMetrics").finish_non_exhaustive()
    }
}

impl Collector for VolumeMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let claims = self.0.claim_stats();
        for (name, help, value) in FAMILIES {
            let values: Vec<_> = claims.iter().filter_map(|(claim, fs)| Some((claim, value(fs)?))).collect();
            if values.is_empty() {
                continue;
            }
            let name = format!("kubelet_volume_stats_{name}");
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
            for ((namespace, claim), value) in values {
                let labels = [("namespace", namespace.as_str()), ("persistentvolumeclaim", claim.as_str())];
                let value = i64::try_from(value).unwrap_or(i64::MAX);
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

impl Csi {
    /// What is used of each claim, by namespace and name: pods share what is measured.
    fn claim_stats(&self) -> BTreeMap<(String, String), FileSystem> {
        let state = self.0.state.lock();
        let all = state.published.iter().filter_map(|(key, place)| {
            let fs = state.measured.get(key)?.fs?;
            Some(((place.namespace.clone(), place.claim.clone()?), fs))
        });
        all.collect()
    }
}
