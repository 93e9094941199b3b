//! What there is, and what pods use of it.

use super::{Observation, Observations, Resource, Signal};
use crate::node::machine::{self, Disk};
use crate::pod::PodExt;
use crate::runtime::stats::Usage;
use k8s_openapi::api::core::v1::Pod;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What one container uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerUsage {
    pub name: String,
    /// Bytes of its working set.
    pub memory: i64,
    /// Bytes of its writable layer and its logs.
    pub disk: i64,
}

/// What one pod uses; what is not measured is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodUsage {
    pub memory: Option<i64>,
    pub disk: Option<i64>,
    pub inodes: Option<i64>,
    pub pids: Option<i64>,
    /// Bytes by volume name, of volumes on the node's disk that it makes itself.
    pub volumes: BTreeMap<String, i64>,
    pub each: Vec<ContainerUsage>,
}

impl PodUsage {
    /// Of the whole pod.
    pub fn of(&self, resource: Resource) -> Option<i64> {
        match resource {
            Resource::Memory => self.memory,
            Resource::Disk => self.disk,
            Resource::Inodes => self.inodes,
            Resource::Pids => self.pids,
        }
    }

    /// Of each container, where it can be told apart.
    pub fn containers(&self, resource: Resource) -> impl Iterator<Item = (&str, i64)> {
        self.each.iter().filter_map(move |c| match resource {
            Resource::Memory => Some((c.name.as_str(), c.memory)),
            Resource::Disk => Some((c.name.as_str(), c.disk)),
            Resource::Inodes | Resource::Pids => None,
        })
    }
}

/// The node's memory, file systems and process numbers. `memory` is how much memory it has.
pub fn node(memory: i64, root: &Path, images: &Path) -> Observations {
    let mut out = Observations::from([(
        Signal::MemoryAvailable,
        Observation { available: machine::memory_info("MemAvailable").min(memory), capacity: memory },
    )]);
    let file_systems = [
        (root, Signal::NodeFsAvailable, Signal::NodeFsInodesFree),
        (images, Signal::ImageFsAvailable, Signal::ImageFsInodesFree),
    ];
    for (path, bytes, inodes) in file_systems {
        if let Some(disk) = machine::disk(path) {
            out.extend(file_system(&disk, bytes, inodes));
        }
    }
    out.extend(pids().map(|seen| (Signal::PidAvailable, seen)));
    out
}

/// Some file systems make inodes as they need them, and count none.
fn file_system(disk: &Disk, bytes: Signal, inodes: Signal) -> Vec<(Signal, Observation)> {
    let mut out = vec![(bytes, Observation { available: disk.free, capacity: disk.total })];
    if disk.inodes > 0 {
        out.push((inodes, Observation { available: disk.inodes_free, capacity: disk.inodes }));
    }
    out
}

/// Process numbers: the fourth word of loadavg is `running/all`.
fn pids() -> Option<Observation> {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<i64>().ok();
    let capacity = number("/proc/sys/kernel/pid_max")?.min(number("/proc/sys/kernel/threads-max")?);
    let load = std::fs::read_to_string("/proc/loadavg").ok()?;
    let running: i64 = load.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()?;
    Some(Observation { available: capacity.saturating_sub(running), capacity })
}

/// Where a pod's files are.
#[derive(Clone, Debug)]
pub struct Folders {
    /// `--root-dir`.
    pub root: PathBuf,
    /// `podLogsDir`.
    pub logs: PathBuf,
}

/// What memory pods use, from what the runtime measured.
pub fn memory(usage: &[Usage]) -> HashMap<String, PodUsage> {
    let mut out: HashMap<String, PodUsage> = HashMap::new();
    for u in usage {
        let pod = out.entry(u.uid.clone()).or_default();
        let memory = clamp(u.memory);
        pod.memory = Some(pod.memory.unwrap_or(0) + memory);
        pod.each.push(ContainerUsage { name: u.container.clone(), memory, disk: clamp(u.writable) });
        pod.inodes = Some(pod.inodes.unwrap_or(0) + clamp(u.inodes));
    }
    out
}

/// Adds what pods use of the disk: writable layers, logs and volumes. Walks their folders, so it is
/// not for the runtime's threads.
pub fn add_disk(usage: &mut HashMap<String, PodUsage>, pods: &[Arc<Pod>], folders: &Folders) {
    for pod in pods {
        let logs = PathBuf::from(crate::runtime::config::log_directory(&folders.logs.to_string_lossy(), pod));
        let used = usage.entry(pod.uid().to_owned()).or_default();
        let mut total = Tally::default();
        for container in &mut used.each {
            let own = tally(&logs.join(&container.name));
            container.disk += own.bytes;
            total.bytes += container.disk;
            total.inodes += own.inodes;
        }
        for volume in PodExt::spec(pod.as_ref()).volumes.iter().flatten() {
            let in_memory = volume.empty_dir.as_ref().is_some_and(|e| e.medium.as_deref() == Some("Memory"));
            let Some(kind) = own_kind(volume) else { continue };
            let path = folders.root.join("pods").join(pod.uid()).join("volumes");
            let own = tally(&path.join(format!("kubernetes.io~{kind}")).join(&volume.name));
            used.volumes.insert(volume.name.clone(), own.bytes);
            if !in_memory {
                total.bytes += own.bytes;
                total.inodes += own.inodes;
            }
        }
        used.disk = Some(total.bytes);
        used.inodes = Some(used.inodes.unwrap_or(0) + total.inodes);
    }
}

/// The folder name of volumes that count: those that the kubelet makes on the node's disk.
fn own_kind(volume: &k8s_openapi::api::core::v1::Volume) -> Option<&'static str> {
    match volume {
        v if v.empty_dir.is_some() => Some("empty-dir"),
        v if v.config_map.is_some() => Some("configmap"),
        _ => None,
    }
}

fn clamp(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Bytes and inodes below a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bytes.
    pub bytes: i64,
    /// Inodes.
    pub inodes: i64,
}

/// Counts every file once, whatever it is called, and stays on one file system.
pub fn tally(folder: &Path) -> Tally {
    let Ok(top) = std::fs::symlink_metadata(folder) else { return Tally::default() };
    let (mut out, mut seen, mut todo) = (Tally::default(), HashSet::new(), vec![(folder.to_owned(), top.clone())]);
    while let Some((path, metadata)) = todo.pop() {
        if metadata.dev() != top.dev() || !seen.insert(metadata.ino()) {
            continue;
        }
        // The kernel counts blocks of 512 bytes, whatever the file system's are.
        out.bytes += clamp(metadata.blocks().saturating_mul(512));
        out.inodes += 1;
        if metadata.is_dir() {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            todo.extend(entries.filter_map(|e| Some((e.path(), std::fs::symlink_metadata(e.path()).ok()?))));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_once() {
        let folder = tempfile::tempdir().unwrap();
        let data = vec![1; 8192];
        std::fs::create_dir(folder.path().join("d")).unwrap();
        std::fs::write(folder.path().join("a"), &data).unwrap();
        std::fs::hard_link(folder.path().join("a"), folder.path().join("d/b")).unwrap();
        std::os::unix::fs::symlink("a", folder.path().join("c")).unwrap();
        let got = tally(folder.path());
        assert_eq!(got.inodes, 4, "two folders, one file with two names, one link");
        assert!((8192..65_536).contains(&got.bytes), "{got:?}");
        assert_eq!(tally(&folder.path().join("absent")), Tally::default());
    }

    #[test]
    fn this_machine_has_something_of_everything() {
        let got = node(1 << 40, Path::new("/"), Path::new("/"));
        for signal in [Signal::MemoryAvailable, Signal::NodeFsAvailable, Signal::ImageFsAvailable, Signal::PidAvailable]
        {
            assert!(got[&signal].available > 0 && got[&signal].capacity >= got[&signal].available, "{signal:?}");
        }
    }

    #[test]
    fn a_pod_s_containers_add_up() {
        let usage = |container: &str, memory| Usage {
            uid: "u".into(),
            container: container.into(),
            memory,
            writable: 7,
            ..Usage::default()
        };
        let got = memory(&[usage("a", 1), usage("b", 2)]);
        assert_eq!((got["u"].memory, got["u"].each.len(), got["u"].each[0].disk), (Some(3), 2, 7));
    }
}
