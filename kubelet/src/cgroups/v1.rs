//! Version 1: one hierarchy per controller.

use super::usage::{self, GroupUsage};
use super::{CgroupError, Driver, child_dirs, create_all, processes, remove_tree, write};
use crate::resources::linux::{CPU_PERIOD, LinuxResources};
use std::path::{Path, PathBuf};

const CONTROLLERS: [&str; 11] =
    ["cpu", "cpuacct", "cpuset", "memory", "pids", "blkio", "devices", "freezer", "hugetlb", "perf_event", "systemd"];

/// The hierarchies below the mount point.
#[derive(Debug)]
pub struct Hierarchies {
    roots: Vec<(&'static str, PathBuf)>,
}

impl Hierarchies {
    /// Those of the known controllers that are mounted: a bare folder of the name is no hierarchy, and writing
    /// to it would limit nothing.
    pub fn new(mount: impl AsRef<Path>) -> Self {
        let roots = CONTROLLERS.map(|c| (c, mount.as_ref().join(c)));
        Self { roots: roots.into_iter().filter(|(_, root)| root.join("cgroup.procs").exists()).collect() }
    }

    fn set(&self, controller: &str, path: &Path, file: &str, value: Option<i64>) -> Result<(), CgroupError> {
        let root = self.roots.iter().find(|(c, _)| *c == controller);
        match (root, value) {
            (Some((_, root)), Some(value)) => write(root.join(path).join(file), value.to_string()),
            _ => Ok(()),
        }
    }
}

impl Driver for Hierarchies {
    fn create(&self, path: &Path) -> Result<(), CgroupError> {
        for (controller, root) in &self.roots {
            if *controller == "cpuset" {
                create_cpuset(root, path)?;
            } else {
                create_all(&root.join(path))?;
            }
        }
        Ok(())
    }

    fn apply(&self, path: &Path, r: &LinuxResources) -> Result<(), CgroupError> {
        self.set("cpu", path, "cpu.shares", r.shares)?;
        self.set("cpu", path, "cpu.cfs_period_us", r.quota.map(|_| CPU_PERIOD))?;
        self.set("cpu", path, "cpu.cfs_quota_us", r.quota)?;
        self.set("memory", path, "memory.limit_in_bytes", r.memory)?;
        self.set("pids", path, "pids.max", r.pids)
    }

    fn remove(&self, path: &Path) -> Result<(), CgroupError> {
        self.roots.iter().try_for_each(|(_, root)| remove_tree(&root.join(path)))
    }

    fn children(&self, path: &Path) -> Vec<String> {
        let mut all: Vec<_> = self.roots.iter().flat_map(|(_, root)| child_dirs(&root.join(path))).collect();
        all.sort();
        all.dedup();
        all
    }

    fn memory_limit(&self, path: &Path) -> Option<u64> {
        let (_, root) = self.roots.iter().find(|(c, _)| *c == "memory")?;
        let text = std::fs::read_to_string(root.join(path).join("memory.limit_in_bytes")).ok()?;
        // Without a limit the kernel shows the largest multiple of a page.
        text.trim().parse().ok().filter(|limit| *limit < 1 << 60)
    }

    fn exists(&self, path: &Path) -> bool {
        let limited = self.roots.iter().filter(|(c, _)| ["cpu", "memory", "pids"].contains(c));
        limited.map(|(_, root)| root.join(path)).all(|group| group.is_dir())
    }

    fn usage(&self, path: &Path) -> GroupUsage {
        usage::v1(|controller| Some(self.roots.iter().find(|(c, _)| *c == controller)?.1.join(path)))
    }

    fn processes(&self, path: &Path) -> Vec<u32> {
        self.roots.iter().find(|(c, _)| *c == "memory").map(|(_, root)| processes(&root.join(path))).unwrap_or_default()
    }
}

/// A new cpuset is empty and takes no process: it gets what its parent has.
fn create_cpuset(root: &Path, path: &Path) -> Result<(), CgroupError> {
    let mut at = root.to_owned();
    for part in path.components() {
        let parent = at.clone();
        at.push(part);
        create_all(&at)?;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let own = std::fs::read_to_string(at.join(file)).unwrap_or_default();
            if own.trim().is_empty() {
                let value = std::fs::read_to_string(parent.join(file)).unwrap_or_default();
                write(at.join(file), value.trim().to_owned())?;
            }
        }
    }
    Ok(())
}
