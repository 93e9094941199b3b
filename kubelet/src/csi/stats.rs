//! What is used of volumes, as their drivers say.
//!
//! Upstream: `pkg/volume/csi/csi_metrics.go`, `pkg/kubelet/metrics/collectors/volume_stats.go`.

use super::driver::Capability;
use super::{Csi, DriverError, Key};
use crate::stats::types::{ClaimReference, FileSystem, Time, VolumeStats};
use k8s_openapi::jiff::Timestamp;
use proto::csi::volume_usage::Unit;
use proto::csi::{NodeGetVolumeStatsRequest, NodeGetVolumeStatsResponse};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where a volume of a pod is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Its name in the pod.
    pub(super) volume: String,
    pub(super) claim: Option<String>,
    pub(super) namespace: String,
    pub(super) driver: String,
    pub(super) handle: String,
    /// What containers get.
    pub(super) shown: PathBuf,
    /// What the driver has mounted.
    pub(super) target: PathBuf,
    pub(super) staging: String,
}

/// What a driver said, and when.
pub(super) struct Measured {
    pub(super) at: Instant,
    /// `None` from a driver that does not measure.
    pub(super) fs: Option<FileSystem>,
}

impl Csi {
    /// Asks drivers for ever, a minute after they were asked last; give it to the supervisor.
    pub async fn measure(self, lifetime: Duration) {
        loop {
            for (key, place) in self.stale(lifetime) {
                let fs = self.usage(&place).await.unwrap_or_else(|error| {
                    tracing::debug!(%error, volume = place.handle, "a volume is not measured");
                    None
                });
                let mut state = self.0.state.lock();
                if state.published.contains_key(&key) {
                    state.measured.insert(key, Measured { at: Instant::now(), fs });
                }
            }
            tokio::select! {
                () = self.0.mounted.notified() => {}
                () = tokio::time::sleep(lifetime / 6) => {}
            }
        }
    }

    fn stale(&self, lifetime: Duration) -> Vec<(Key, Place)> {
        let state = self.0.state.lock();
        let fresh = |key: &Key| state.measured.get(key).is_some_and(|measured| measured.at.elapsed() < lifetime);
        state.published.iter().filter(|(key, _)| !fresh(key)).map(|(k, p)| (k.clone(), p.clone())).collect()
    }

    async fn usage(&self, place: &Place) -> Result<Option<FileSystem>, DriverError> {
        let mut driver = self.connect(&place.driver).await?;
        if !driver.capabilities().await?.contains(&Capability::GetVolumeStats) {
            return Ok(None);
        }
        let request = NodeGetVolumeStatsRequest {
            volume_id: place.handle.clone(),
            volume_path: place.target.to_string_lossy().into_owned(),
            staging_target_path: place.staging.clone(),
        };
        Ok(Some(of_answer(&driver.stats(request).await?, Time(Some(Timestamp::now())))))
    }

    /// The measured volumes of a pod.
    pub fn volume_stats(&self, uid: &str) -> Vec<VolumeStats> {
        let state = self.0.state.lock();
        let of_pod = state.published.iter().filter(|((pod, _), _)| pod == uid);
        let mut all: Vec<VolumeStats> = of_pod
            .filter_map(|(key, place)| {
                let fs = state.measured.get(key)?.fs?;
                let namespace = place.namespace.clone();
                let pvc_ref = place.claim.clone().map(|name| ClaimReference { name, namespace });
                Some(VolumeStats { fs, name: place.volume.clone(), pvc_ref })
            })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

fn of_answer(answer: &NodeGetVolumeStatsResponse, time: Time) -> FileSystem {
    let n = |value: i64| Some(u64::try_from(value).unwrap_or(0));
    let mut out = FileSystem { time, ..FileSystem::default() };
    for usage in &answer.usage {
        match usage.unit() {
            Unit::Bytes => {
                out.available_bytes = n(usage.available);
                out.capacity_bytes = n(usage.total);
                out.used_bytes = n(usage.used);
            }
            Unit::Inodes => {
                out.inodes_free = n(usage.available);
                out.inodes = n(usage.total);
                out.inodes_used = n(usage.used);
            }
            Unit::Unknown => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::csi::VolumeUsage;

    #[test]
    fn bytes_and_inodes() {
        let usage = |unit: Unit, total| VolumeUsage { available: 1, total, used: 2, unit: unit.into() };
        let answer = NodeGetVolumeStatsResponse {
            usage: vec![usage(Unit::Bytes, 30), usage(Unit::Inodes, 40), usage(Unit::Unknown, 50)],
            volume_condition: None,
        };
        let fs = of_answer(&answer, Time::default());
        assert_eq!(
            (fs.capacity_bytes, fs.inodes, fs.used_bytes, fs.inodes_free),
            (Some(30), Some(40), Some(2), Some(1))
        );
    }
}
