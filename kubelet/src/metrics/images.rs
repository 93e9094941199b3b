//! What is counted of images.
//!
//! Upstream: `pkg/kubelet/metrics/metrics.go`.

use component::metrics::{Bounds, Durations, Registry};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use std::time::Duration;

/// Seconds that pulls take.
const PULLS: Bounds = Bounds(&[
    1.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 180.0, 240.0, 300.0, 360.0, 480.0, 600.0, 900.0, 1200.0, 1800.0, 2700.0,
    3600.0,
]);

const MEBI: u64 = 1 << 20;
const GIBI: u64 = 1 << 30;

/// Images larger than so many bytes, and what they are called.
const SIZES: [(u64, &str); 12] = [
    (0, "0-10MB"),
    (10 * MEBI, "10MB-100MB"),
    (100 * MEBI, "100MB-500MB"),
    (500 * MEBI, "500MB-1GB"),
    (GIBI, "1GB-5GB"),
    (5 * GIBI, "5GB-10GB"),
    (10 * GIBI, "10GB-20GB"),
    (20 * GIBI, "20GB-30GB"),
    (30 * GIBI, "30GB-40GB"),
    (40 * GIBI, "40GB-60GB"),
    (60 * GIBI, "60GB-100GB"),
    (100 * GIBI, "GT100GB"),
];

/// Why an image is removed, as metrics call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Nobody has used it for long.
    Age,
    /// There has to be room.
    Space,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Size {
    image_size_in_bytes: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Wish {
    pull_policy: String,
    present_locally: &'static str,
    pull_required: &'static str,
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct ImageCounts {
    wishes: Family<Wish, Counter>,
    pull_seconds: Durations<Size>,
    removed: Family<Reason, Counter>,
    volumes: Counter,
    volumes_mounted: Counter,
    volume_errors: Counter,
}

impl Default for ImageCounts {
    fn default() -> Self {
        Self {
            wishes: Family::default(),
            pull_seconds: PULLS.family(),
            removed: Family::default(),
            volumes: Counter::default(),
            volumes_mounted: Counter::default(),
            volume_errors: Counter::default(),
        }
    }
}

impl ImageCounts {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "[ALPHA] Number of ensure-image requests processed by the kubelet";
        registry.register("kubelet_image_manager_ensure_image_requests", help, self.wishes.clone());
        let help = "[ALPHA] Duration in seconds to pull an image";
        registry.register("kubelet_image_pull_duration_seconds", help, self.pull_seconds.clone());
        let help = "[ALPHA] Total number of images garbage collected by the kubelet, whether through disk usage or \
                    image age";
        registry.register("kubelet_image_garbage_collected", help, self.removed.clone());
        let help = "[BETA] Number of requested image volumes";
        registry.register("kubelet_image_volume_requested", help, self.volumes.clone());
        let help = "[BETA] Number of successful image volume mounts";
        registry.register("kubelet_image_volume_mounted_succeed", help, self.volumes_mounted.clone());
        let help = "[BETA] Number of failed image volume mounts";
        registry.register("kubelet_image_volume_mounted_errors", help, self.volume_errors.clone());
    }

    /// A pod wants an image, that is here or not and has to be pulled or not, as far as that is looked at.
    pub(crate) fn asked(&self, policy: &str, present: Option<bool>, pull: Option<bool>) {
        let text = |answer| match answer {
            None => "unknown",
            Some(true) => "true",
            Some(false) => "false",
        };
        let (present_locally, pull_required) = (text(present), text(pull));
        self.wishes.get_or_create(&Wish { pull_policy: policy.to_owned(), present_locally, pull_required }).inc();
    }

    /// An image of so many bytes was pulled.
    pub(crate) fn pulled(&self, bytes: u64, took: Duration) {
        let image_size_in_bytes = size(bytes);
        self.pull_seconds.get_or_create(&Size { image_size_in_bytes }).observe(took.as_secs_f64());
    }

    /// An image was removed.
    pub(crate) fn removed(&self, why: Removal) {
        let reason = match why {
            Removal::Age => "age",
            Removal::Space => "space",
        };
        self.removed.get_or_create(&Reason { reason }).inc();
    }

    /// A container has so many volumes that are images, which it has got or not.
    pub(crate) fn volumes(&self, count: usize, mounted: bool) {
        let count = count as u64;
        self.volumes.inc_by(count);
        if mounted {
            self.volumes_mounted.inc_by(count)
        } else {
            self.volume_errors.inc_by(count)
        };
    }
}

/// As metrics call the size of an image; none is no image.
fn size(bytes: u64) -> &'static str {
    SIZES.iter().rev().find(|(least, _)| bytes > *least).map_or("N/A", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_names() {
        for (bytes, want) in [
            (0, "N/A"),
            (1, "0-10MB"),
            (10 * MEBI, "0-10MB"),
            (10 * MEBI + 1, "10MB-100MB"),
            (3 * GIBI, "1GB-5GB"),
            (u64::MAX, "GT100GB"),
        ] {
            assert_eq!(size(bytes), want, "{bytes}");
        }
    }
}
