//! `kubelet_volume_stats_*`: what is used of the claims' volumes; `csi_operations_seconds`: what drivers are asked.
//!
//! Upstream: `pkg/kubelet/metrics/collectors/volume_stats.go`, `pkg/volume/util/metrics.go`.

use super::Csi;
use crate::stats::types::FileSystem;
use component::metrics::{Bounds, Durations, Registry};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

/// Seconds that work on volumes takes.
const STORAGE: Bounds = Bounds(&[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 25.0, 50.0, 120.0, 300.0, 600.0]);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    driver_name: String,
    method_name: String,
    grpc_status_code: String,
    /// No volume has been another plugin's.
    migrated: bool,
}

/// Calls of drivers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Calls(Durations<Call>);

impl Default for Calls {
    fn default() -> Self {
        Self(STORAGE.family())
    }
}

impl Calls {
    /// Serves how long they take.
    pub fn register(&self, registry: &mut Registry) {
        let help = "[ALPHA] Container Storage Interface operation duration with gRPC error code status total";
        registry.register("csi_operations_seconds", help, self.0.clone());
    }

    /// A driver has answered with this code, or has not.
    pub(super) fn called(&self, driver: &str, method: &str, began: Instant, code: String) {
        let method_name = format!("/csi.v1.Node/{method}");
        let labels = Call { driver_name: driver.to_owned(), method_name, grpc_status_code: code, migrated: false };
        self.0.get_or_create(&labels).observe(began.elapsed().as_secs_f64());
    }
}

type Value = fn(&FileSystem) -> Option<u64>;

const FAMILIES: [(&str, &str, Value); 6] = [
    ("capacity_bytes", "[ALPHA] Capacity in bytes of the volume", |fs| fs.capacity_bytes),
    ("available_bytes", "[ALPHA] Number of available bytes in the volume", |fs| fs.available_bytes),
    ("used_bytes", "[ALPHA] Number of used bytes in the volume", |fs| fs.used_bytes),
    ("inodes", "[ALPHA] Maximum number of inodes in the volume", |fs| fs.inodes),
    ("inodes_free", "[ALPHA] Number of free inodes in the volume", |fs| fs.inodes_free),
    ("inodes_used", "[ALPHA] Number of used inodes in the volume", |fs| fs.inodes_used),
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Work {
    volume_plugin: String,
    operation_name: &'static str,
    status: &'static str,
    /// No volume has been another plugin's.
    migrated: bool,
}

/// What is done to volumes of all plugins. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StorageWork(Durations<Work>);

impl Default for StorageWork {
    fn default() -> Self {
        Self(STORAGE.family())
    }
}

impl StorageWork {
    /// Serves how long it takes.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("storage_operation_duration_seconds", "[ALPHA] Storage operation duration", self.0.clone());
    }

    /// Something was done to a volume of the plugin of this name, without what upstream's names begin with.
    pub(crate) fn done(&self, operation_name: &'static str, plugin: &str, began: Instant, success: bool) {
        let status = if success { "success" } else { "fail-unknown" };
        let volume_plugin = format!("kubernetes.io/{plugin}");
        let labels = Work { volume_plugin, operation_name, status, migrated: false };
        self.0.get_or_create(&labels).observe(began.elapsed().as_secs_f64());
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_and_calls_are_served_under_upstreams_names() {
        let (work, calls, mut registry) = (StorageWork::default(), Calls::default(), Registry::default());
        work.register(&mut registry);
        calls.register(&mut registry);
        work.done("volume_mount", "csi:d.test", Instant::now(), true);
        work.done("volume_mount", "configmap", Instant::now(), false);
        calls.called("d.test", "NodeStageVolume", Instant::now(), "OK".to_owned());
        let text = component::metrics::encode(&registry);
        for (name, labels) in [
            (
                "storage_operation_duration_seconds_count",
                r#"volume_plugin="kubernetes.io/csi:d.test",operation_name="volume_mount",status="success",migrated="false""#,
            ),
            (
                "storage_operation_duration_seconds_count",
                r#"volume_plugin="kubernetes.io/configmap",operation_name="volume_mount",status="fail-unknown",migrated="false""#,
            ),
            (
                "csi_operations_seconds_count",
                r#"driver_name="d.test",method_name="/csi.v1.Node/NodeStageVolume",grpc_status_code="OK",migrated="false""#,
            ),
        ] {
            let line = format!("{name}{{{labels}}} 1");
            assert!(text.lines().any(|other| other == line), "no {line} in {text}");
        }
    }
}
