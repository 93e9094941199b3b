//! Removing images when the disk that holds them fills up.
//!
//! Upstream: `pkg/kubelet/images/image_gc_manager.go`.

use crate::images::access::Access;
use crate::metrics::images::Removal;
use crate::runtime::Runtime;
use crate::runtime::images::Image;
use k8s_openapi::jiff::Timestamp;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// Pause before a runtime that did not answer is asked again.
const RETRY: Duration = Duration::from_secs(5);

/// When to begin and how far to go.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// Percent of the disk in use from which images are removed.
    pub high: u64,
    /// Percent at which it is enough.
    pub low: u64,
    /// Younger images stay.
    pub min_age: Duration,
    /// What has not been used for longer goes, however much room there is.
    pub max_age: Option<Duration>,
}

/// Looks after the images from time to time; give it to the supervisor.
pub async fn run(runtime: Runtime, access: Option<Access>, thresholds: Thresholds, every: Duration) {
    let mut seen = HashMap::new();
    if let Some(access) = &access {
        settle(&runtime, access).await;
    }
    loop {
        tokio::time::sleep(every).await;
        let began = Timestamp::now();
        if let Err(e) = round(&runtime, thresholds, &mut seen).await {
            tracing::warn!(error = %e, "image garbage collection");
        }
        if let (Some(access), Ok(left)) = (&access, runtime.images().await) {
            access.keep_only(&left.into_iter().map(|image| image.id).collect(), began);
        }
    }
}

/// Has it noted which images a kubelet before this one has pulled, as soon as the runtime tells of its images.
async fn settle(runtime: &Runtime, access: &Access) {
    loop {
        match runtime.images().await {
            Ok(images) => return access.settle(&images),
            Err(error) => tracing::warn!(%error, "cannot see yet which images were pulled"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn round(
    runtime: &Runtime,
    thresholds: Thresholds,
    seen: &mut HashMap<String, Instant>,
) -> Result<(), crate::runtime::RuntimeError> {
    let images = runtime.images().await?;
    let used: HashSet<String> = runtime.images_in_use().await?;
    let now = Instant::now();
    for image in &images {
        let entry = seen.entry(image.id.clone()).or_insert(now);
        if is_used(image, &used) {
            *entry = now;
        }
    }
    seen.retain(|id, _| images.iter().any(|i| &i.id == id));
    if let Some(age) = thresholds.max_age {
        for image in victims(&images, &used, seen, now, age) {
            tracing::info!(image = image.id, bytes = image.size, "removing an image that nobody has used for long");
            runtime.remove_image(&image.id).await?;
            runtime.metrics().images.removed(Removal::Age);
        }
    }
    let Some((mount, _)) = runtime.image_filesystem().await? else { return Ok(()) };
    let Some(excess) = excess_bytes(&mount, thresholds) else { return Ok(()) };
    let mut freed = 0;
    for image in victims(&images, &used, seen, now, thresholds.min_age) {
        if freed >= excess {
            break;
        }
        tracing::info!(image = image.id, bytes = image.size, "removing an unused image");
        runtime.remove_image(&image.id).await?;
        runtime.metrics().images.removed(Removal::Space);
        freed += image.size;
    }
    Ok(())
}

/// Removes every image that no container uses.
pub async fn remove_unused(runtime: &Runtime) -> Result<(), crate::runtime::RuntimeError> {
    let used = runtime.images_in_use().await?;
    for image in runtime.images().await?.iter().filter(|i| !i.pinned && !is_used(i, &used)) {
        tracing::info!(image = image.id, bytes = image.size, "removing an unused image");
        runtime.remove_image(&image.id).await?;
        runtime.metrics().images.removed(Removal::Space);
    }
    Ok(())
}

fn is_used(image: &Image, used: &HashSet<String>) -> bool {
    used.contains(&image.id) || image.tags.iter().chain(&image.digests).any(|n| used.contains(n))
}

fn excess_bytes(mount: &str, t: Thresholds) -> Option<u64> {
    let stat = rustix::fs::statvfs(mount).ok()?;
    let (total, free) = (stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize);
    let used = total.saturating_sub(free);
    (total > 0 && used * 100 / total >= t.high).then(|| used.saturating_sub(total / 100 * t.low))
}

/// Removable images, the longest unused first.
fn victims<'a>(
    images: &'a [Image],
    used: &HashSet<String>,
    seen: &HashMap<String, Instant>,
    now: Instant,
    min_age: Duration,
) -> Vec<&'a Image> {
    let last = |i: &Image| seen.get(&i.id).copied().unwrap_or(now);
    let old = |i: &&Image| now.saturating_duration_since(last(i)) >= min_age;
    let mut out: Vec<_> = images.iter().filter(|i| !i.pinned && !is_used(i, used)).filter(old).collect();
    out.sort_by_key(|i| last(i));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_goes_first() {
        let now = Instant::now() + Duration::from_secs(1000);
        let image = |id: &str, pinned| Image { id: id.into(), pinned, ..Image::default() };
        let images =
            [image("used", false), image("pinned", true), image("new", false), image("b", false), image("a", false)];
        let ago = |s| now - Duration::from_secs(s);
        let seen = [("used", 900), ("pinned", 900), ("new", 1), ("b", 300), ("a", 600)];
        let seen = seen.map(|(id, s)| (id.to_owned(), ago(s))).into();
        let used = ["used".to_owned()].into();
        let got: Vec<_> =
            victims(&images, &used, &seen, now, Duration::from_secs(120)).iter().map(|i| i.id.as_str()).collect();
        assert_eq!(got, ["a", "b"]);
    }
}
