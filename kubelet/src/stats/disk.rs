//! What pods use of the disk: their volumes and logs. Folders are walked, so that what was found is kept for
//! a minute, as long as upstream keeps it.
//!
//! Upstream: `pkg/kubelet/server/stats/volume_stat_calculator.go`.

use super::types::{ClaimReference, FileSystem, Time, VolumeStats};
use crate::eviction::measure::{Folders, tally};
use crate::node::machine::{self, Disk};
use crate::pod::PodExt;
use k8s_openapi::api::core::v1::Pod;
use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What one pod has on the disk.
#[derive(Clone, Debug, Default)]
pub(super) struct OnDisk {
    pub(super) volumes: Vec<VolumeStats>,
    /// By container.
    pub(super) logs: BTreeMap<String, FileSystem>,
    /// Bytes and inodes of its volumes that lie on the node's own disk.
    pub(super) local: (u64, u64),
}

/// What was found, by the pods' UIDs.
#[derive(Clone, Debug, Default)]
pub(super) struct Found(HashMap<String, (Instant, OnDisk)>);

impl Found {
    /// Looks again at what is older than a minute, and forgets pods that are not in `pods`.
    pub(super) fn refresh(&mut self, pods: &[Arc<Pod>], folders: &Folders, lifetime: Duration, time: Time) {
        let mut fresh = HashMap::with_capacity(pods.len());
        for pod in pods {
            let known = self.0.remove(pod.uid()).filter(|(at, _)| at.elapsed() < lifetime);
            fresh.insert(pod.uid().to_owned(), known.unwrap_or_else(|| (Instant::now(), look(pod, folders, time))));
        }
        self.0 = fresh;
    }

    /// What a pod has.
    pub(super) fn of(&self, uid: &str) -> OnDisk {
        self.0.get(uid).map(|(_, found)| found.clone()).unwrap_or_default()
    }
}

fn look(pod: &Pod, folders: &Folders, time: Time) -> OnDisk {
    let mut out = OnDisk::default();
    let logs = crate::runtime::config::log_directory(&folders.logs.to_string_lossy(), pod);
    let spec = PodExt::spec(pod);
    for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
        let used = walked(&Path::new(&logs).join(&container.name), time);
        out.logs.insert(container.name.clone(), used);
    }
    let root = folders.root.join("pods").join(pod.uid()).join("volumes");
    let own = device(&root);
    // Drivers tell themselves what is used of their volumes.
    for kind in folders_in(&root).into_iter().filter(|kind| kind != crate::csi::names::FOLDER) {
        for name in folders_in(&root.join(&kind)) {
            let path = root.join(&kind).join(&name);
            let is_local = device(&path) == own;
            let fs = if is_local { walked(&path, time) } else { mounted(&path, time) };
            if is_local {
                out.local.0 += fs.used_bytes.unwrap_or(0);
                out.local.1 += fs.inodes_used.unwrap_or(0);
            }
            out.volumes.push(VolumeStats { fs, pvc_ref: claim(pod, &name), name });
        }
    }
    out
}

/// The claim of a volume that has one.
fn claim(pod: &Pod, volume: &str) -> Option<ClaimReference> {
    let volume = PodExt::spec(pod).volumes.iter().flatten().find(|v| v.name == volume)?;
    let name = match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(source), _) => source.claim_name.clone(),
        (None, Some(_)) => format!("{}-{}", pod.name(), volume.name),
        (None, None) => return None,
    };
    Some(ClaimReference { name, namespace: pod.namespace().to_owned() })
}

/// A folder's part of the file system that it lies on.
fn walked(path: &Path, time: Time) -> FileSystem {
    let used = tally(path);
    let whole =
        machine::disk(path).map(|disk| whole(&disk, time)).unwrap_or(FileSystem { time, ..FileSystem::default() });
    FileSystem { used_bytes: Some(used.bytes.unsigned_abs()), inodes_used: Some(used.inodes.unsigned_abs()), ..whole }
}

/// A file system of its own.
fn mounted(path: &Path, time: Time) -> FileSystem {
    machine::disk(path).map(|disk| whole(&disk, time)).unwrap_or(FileSystem { time, ..FileSystem::default() })
}

/// A whole file system.
pub(super) fn whole(disk: &Disk, time: Time) -> FileSystem {
    let n = |value: i64| Some(u64::try_from(value).unwrap_or(0));
    FileSystem {
        time,
        available_bytes: n(disk.free),
        capacity_bytes: n(disk.total),
        used_bytes: n(disk.total.saturating_sub(disk.free)),
        inodes_free: n(disk.inodes_free),
        inodes: n(disk.inodes),
        inodes_used: n(disk.inodes.saturating_sub(disk.inodes_free)),
    }
}

fn device(path: &Path) -> Option<u64> {
    std::fs::symlink_metadata(path).ok().map(|metadata| metadata.dev())
}

fn folders_in(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut names: Vec<String> = folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The device that a path is on; empty if the kernel does not say.
pub(super) fn device_name(path: &str) -> String {
    device_in(&std::fs::read_to_string("/proc/self/mounts").unwrap_or_default(), Path::new(path))
}

fn device_in(mounts: &str, path: &Path) -> String {
    let entries = mounts.lines().filter_map(|line| line.split_once(' '));
    let entries = entries.map(|(device, rest)| (device, rest.split(' ').next().unwrap_or_default()));
    let holding = entries.filter(|(_, place)| path.starts_with(place));
    // Of several mounts in one place the last is seen.
    holding.max_by_key(|(_, place)| place.len()).map(|(device, _)| device.to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn volumes_and_logs_are_measured_once_a_minute() {
        let folder = tempfile::tempdir().expect("a folder");
        let folders = Folders { root: folder.path().to_owned(), logs: folder.path().join("logs") };
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u"},
            "spec": {"containers": [{"name": "c"}], "volumes": [
                {"name": "scratch", "emptyDir": {}}, {"name": "data", "persistentVolumeClaim": {"claimName": "claim"}}]},
        }))
        .expect("a pod");
        let volumes = folder.path().join("pods/u/volumes");
        for path in [
            volumes.join("kubernetes.io~empty-dir/scratch"),
            volumes.join("kubernetes.io~local-volume/data"),
            volumes.join("kubernetes.io~csi/pv"),
        ] {
            std::fs::create_dir_all(path.join("deep")).expect("a folder");
        }
        std::fs::create_dir_all(folder.path().join("logs/n_p_u/c")).expect("a folder");
        let file = volumes.join("kubernetes.io~empty-dir/scratch/deep/file");
        std::fs::write(&file, vec![1; 20_000]).expect("written");
        let mut found = Found::default();
        let pods = [Arc::new(pod)];
        found.refresh(&pods, &folders, Duration::from_secs(60), Time::default());
        let first = found.of("u");
        let scratch = first.volumes.iter().find(|v| v.name == "scratch").expect("the volume");
        assert!(scratch.fs.used_bytes >= Some(20_000) && scratch.fs.inodes_used == Some(3), "{scratch:?}");
        assert!(scratch.fs.capacity_bytes > scratch.fs.used_bytes && scratch.pvc_ref.is_none());
        let data = first.volumes.iter().find(|v| v.name == "data").expect("the volume");
        assert_eq!(data.pvc_ref.as_ref().map(|claim| claim.name.as_str()), Some("claim"));
        assert_eq!(first.volumes.len(), 2, "drivers measure theirs");
        assert!(first.logs.contains_key("c") && first.local.0 >= 20_000);
        std::fs::remove_file(&file).expect("removed");
        found.refresh(&pods, &folders, Duration::from_secs(60), Time::default());
        assert_eq!(found.of("u").local, first.local, "what was found a moment ago still counts");
        found.refresh(&[], &folders, Duration::from_secs(60), Time::default());
        assert!(found.of("u").volumes.is_empty());
    }

    #[test]
    fn the_device_below_a_path() {
        let mounts = "overlay / overlay rw 0 0\n/dev/vda /var ext4 rw 0 0\n/dev/vdb /var/lib ext4 rw 0 0\n";
        for (path, want) in
            [("/var/lib/containerd", "/dev/vdb"), ("/var/library", "/dev/vda"), ("/x", "overlay"), ("", "")]
        {
            assert_eq!(device_in(mounts, Path::new(path)), want, "{path}");
        }
    }
}
