//! Version 2: one unified hierarchy.

use super::usage::{self, GroupUsage};
use super::{CgroupError, Driver, child_dirs, create_all, processes, remove_tree, write};
use crate::resources::linux::{CPU_PERIOD, LinuxResources, weight};
use std::path::{Path, PathBuf};

const CONTROLLERS: [&str; 6] = ["cpu", "cpuset", "memory", "pids", "io", "hugetlb"];

/// The hierarchy at the mount point.
#[derive(Debug)]
pub struct Unified {
    root: PathBuf,
}

impl Unified {
    /// The hierarchy mounted there.
    pub fn new(mount: impl AsRef<Path>) -> Self {
        Self { root: mount.as_ref().to_owned() }
    }

    fn set(&self, path: &Path, file: &str, value: Option<String>) -> Result<(), CgroupError> {
        value.map_or(Ok(()), |value| write(self.root.join(path).join(file), value))
    }
}

impl Driver for Unified {
    fn create(&self, path: &Path) -> Result<(), CgroupError> {
        let mut at = self.root.clone();
        for part in path.components() {
            delegate(&at)?;
            at.push(part);
            create_all(&at)?;
        }
        Ok(())
    }

    fn apply(&self, path: &Path, r: &LinuxResources) -> Result<(), CgroupError> {
        let limit = |n: i64| if n < 0 { "max".to_owned() } else { n.to_string() };
        self.set(path, "cpu.weight", r.shares.map(|s| weight(s).to_string()))?;
        self.set(path, "cpu.max", r.quota.map(|q| format!("{} {CPU_PERIOD}", limit(q))))?;
        self.set(path, "memory.max", r.memory.map(limit))?;
        self.set(path, "pids.max", r.pids.map(limit))
    }

    fn remove(&self, path: &Path) -> Result<(), CgroupError> {
        remove_tree(&self.root.join(path))
    }

    fn children(&self, path: &Path) -> Vec<String> {
        child_dirs(&self.root.join(path))
    }

    fn memory_limit(&self, path: &Path) -> Option<u64> {
        let text = std::fs::read_to_string(self.root.join(path).join("memory.max")).ok()?;
        text.trim().parse().ok()
    }

    fn exists(&self, path: &Path) -> bool {
        self.root.join(path).is_dir()
    }

    fn usage(&self, path: &Path) -> GroupUsage {
        usage::v2(&self.root.join(path))
    }

    fn processes(&self, path: &Path) -> Vec<u32> {
        processes(&self.root.join(path))
    }
}

/// Lets the groups below use the controllers that are there.
fn delegate(group: &Path) -> Result<(), CgroupError> {
    let has = std::fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
    let on = std::fs::read_to_string(group.join("cgroup.subtree_control")).unwrap_or_default();
    let on: Vec<&str> = on.split_whitespace().collect();
    for controller in has.split_whitespace().filter(|c| CONTROLLERS.contains(c) && !on.contains(c)) {
        write(group.join("cgroup.subtree_control"), format!("+{controller}"))?;
    }
    Ok(())
}
