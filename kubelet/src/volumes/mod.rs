//! Volumes of pods: set up before the first container, kept current, taken away at the end.
//!
//! Setting up is idempotent: every sync of a pod runs it again, which is also how changed
//! ConfigMaps, Secrets, labels and tokens get into running pods.
//! Upstream: `pkg/kubelet/volumemanager`, `pkg/volume`.

pub mod atomic;
mod claims;
pub mod error;
pub mod host_path;
mod images;
pub mod mounts;
pub mod ownership;
pub mod payload;
pub mod subpath;
pub mod tokens;
pub mod unmounting;

pub use error::VolumeError;

use crate::cluster::Cluster;
use crate::csi::{Csi, Wish, source::Source};
use crate::env::fields::PodFacts;
use crate::pod::PodExt;
use crate::resources::Amount;
use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Pod, Volume};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokens::Tokens;

/// How long a pod waits for a volume before its events say so (`podAttachAndMountTimeout`).
const PATIENCE: Duration = Duration::from_secs(123);

/// The paths of a pod's volumes on the node, by volume name. That of a device is a link to it.
pub type Mounted = BTreeMap<String, PathBuf>;

/// Sets up and takes down volumes. Cheap to clone.
#[derive(Clone)]
pub struct Volumes {
    root: PathBuf,
    cluster: Arc<dyn Cluster>,
    csi: Csi,
    tokens: Tokens,
    /// Since when a pod waits for its volumes.
    waiting: Arc<Mutex<HashMap<String, Instant>>>,
    /// The volumes of pods that were counted.
    begun: Arc<Mutex<HashMap<String, BTreeSet<String>>>>,
}

impl Volumes {
    /// Volumes below `root` (`--root-dir`).
    pub fn new(root: PathBuf, cluster: Arc<dyn Cluster>, csi: Csi) -> Self {
        Self {
            root,
            tokens: Tokens::new(cluster.clone()),
            cluster,
            csi,
            waiting: Arc::default(),
            begun: Arc::default(),
        }
    }

    /// The pod's folder.
    pub fn pod_dir(&self, uid: &str) -> PathBuf {
        self.root.join("pods").join(uid)
    }

    /// Sets up, or brings up to date, every volume that a container of the pod uses. Images are shown when a
    /// container that mounts them starts.
    pub async fn ensure(&self, facts: &PodFacts<'_>) -> Result<Mounted, VolumeError> {
        let pod = facts.pod;
        let (mounts, devices) = claims::uses(pod);
        let mut mounted = Mounted::new();
        let wanted = |v: &&Volume| (mounts.contains(&v.name) || devices.contains(&v.name)) && v.image.is_none();
        for volume in PodExt::spec(pod).volumes.iter().flatten().filter(wanted) {
            let began = Instant::now();
            let done = self.ensure_one(facts, volume).await;
            if let Some(plugin) = self.newly_done(pod, volume) {
                self.csi.work().done("volume_mount", plugin, began, done.is_ok());
            }
            let path = done.map_err(|e| self.overdue(pod.uid(), &volume.name, e))?;
            mounted.insert(volume.name.clone(), path);
        }
        self.waiting.lock().remove(pod.uid());
        Ok(mounted)
    }

    /// The plugin whose work on a volume counts: each time where contents are kept current, otherwise the first time.
    /// Drivers' volumes, and with them claims, are counted where drivers are called.
    fn newly_done(&self, pod: &Pod, volume: &Volume) -> Option<&'static str> {
        let once = match () {
            () if volume.host_path.is_some() => "host-path",
            () if volume.empty_dir.is_some() => "empty-dir",
            () => return payload::kind(volume).map(|(plugin, _)| plugin),
        };
        let mut begun = self.begun.lock();
        begun.entry(pod.uid().to_owned()).or_default().insert(volume.name.clone()).then_some(once)
    }

    /// The error; where it is that the pod waits, and has for long, that this is so.
    fn overdue(&self, uid: &str, volume: &str, error: VolumeError) -> VolumeError {
        let mut waiting = self.waiting.lock();
        let since = waiting.entry(uid.to_owned()).or_insert_with(Instant::now);
        if matches!(error, VolumeError::Later { .. }) && since.elapsed() >= PATIENCE {
            *since = Instant::now();
            return VolumeError::Overdue(vec![volume.to_owned()]);
        }
        error.of_step("MountVolume.SetUp", volume)
    }

    async fn ensure_one(&self, facts: &PodFacts<'_>, volume: &Volume) -> Result<PathBuf, VolumeError> {
        let pod = facts.pod;
        if let Some(source) = &volume.host_path {
            return host_path::ensure(source);
        }
        if let Some(source) = &volume.empty_dir {
            let dir = self.volume_dir(pod, "empty-dir", &volume.name);
            ensure_empty_dir(&dir, source)?;
            ownership::apply(&dir, fs_group(pod), ownership::Access::ReadWrite)?;
            return Ok(dir);
        }
        if let Some(claim) = claims::of(pod, volume) {
            return claims::ensure(self, pod, volume, claim).await;
        }
        if let Some(csi) = &volume.csi {
            let source = Source::inline(pod, volume, csi);
            let wish = Wish { pod, volume: &volume.name, source, group: fs_group(pod), claim: None };
            return self.csi.ensure(&wish).await;
        }
        let Some((plugin, in_memory)) = payload::kind(volume) else {
            return Err(VolumeError::Unsupported(volume.name.clone()));
        };
        let files = payload::collect(facts, volume, self.cluster.as_ref(), &self.tokens).await?;
        let dir = self.volume_dir(pod, plugin, &volume.name);
        let group = fs_group(pod);
        mounts::blocking(move || {
            create(&dir)?;
            if in_memory {
                mounts::tmpfs(&dir, None)?;
            }
            atomic::write(&dir, &files, group)?;
            Ok(dir)
        })
        .await
    }

    fn volume_dir(&self, pod: &Pod, plugin: &str, name: &str) -> PathBuf {
        self.pod_dir(pod.uid()).join("volumes").join(format!("kubernetes.io~{plugin}")).join(name)
    }

    /// Unmounts and removes all that a pod had on the node, its folder included.
    pub async fn tear_down(&self, uid: &str) -> Result<(), VolumeError> {
        let dir = self.pod_dir(uid);
        self.tokens.forget(uid);
        self.waiting.lock().remove(uid);
        self.begun.lock().remove(uid);
        // What containers saw of a volume goes before the volume.
        let parts = dir.join("volume-subpaths");
        mounts::blocking(move || mounts::unmount_below(&parts)).await?;
        self.csi.release(uid).await?;
        mounts::blocking(move || {
            mounts::unmount_below(&dir)?;
            match std::fs::remove_dir_all(&dir) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(VolumeError::io("remove", &dir, e)),
                _ => Ok(()),
            }
        })
        .await
    }

    /// UIDs of all pods that have a folder.
    pub fn pods_on_disk(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.root.join("pods")) else { return Vec::new() };
        entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect()
    }

    /// Seconds until a token in the pod's volumes wants to be renewed.
    pub fn next_renewal(&self, uid: &str) -> Option<std::time::Duration> {
        self.tokens.next_renewal(uid)
    }
}

fn fs_group(pod: &Pod) -> Option<u32> {
    let group = PodExt::spec(pod).security_context.as_ref()?.fs_group?;
    u32::try_from(group).ok()
}

fn ensure_empty_dir(dir: &Path, source: &EmptyDirVolumeSource) -> Result<(), VolumeError> {
    let fresh = create(dir)?;
    if source.medium.as_deref() == Some("Memory") {
        let size = source.size_limit.as_ref().map(|q| Amount::of(q).value()).filter(|n| *n > 0);
        mounts::tmpfs(dir, size)?;
    }
    // A memory file system is open to all from the start, and its files are safe from others than their owners.
    let mode = std::fs::symlink_metadata(dir).map_err(|e| VolumeError::io("read", dir, e))?.permissions().mode();
    if fresh && mode & 0o777 != 0o777 {
        ownership::set_mode(dir, 0o777)?;
    }
    Ok(())
}

/// Makes a volume's folder; whether it is new. What a container sees, any user in it may enter.
fn create(dir: &Path) -> Result<bool, VolumeError> {
    use std::os::unix::fs::DirBuilderExt;
    if dir.is_dir() {
        return Ok(false);
    }
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o750).create(dir);
    made.map_err(|e| VolumeError::io("create", dir, e))?;
    ownership::set_mode(dir, 0o755)?;
    Ok(true)
}

#[cfg(test)]
mod tests;
