//! Control groups of pods: `kubepods`, one group per quality of service, one per pod; folders of our own, or slices of
//! systemd.
//!
//! Upstream: `pkg/kubelet/cm`.

pub mod naming;
pub mod systemd;
pub mod usage;
pub mod v1;
pub mod v2;

pub use naming::Naming;

use crate::pod::PodExt;
use crate::resize::apply::between;
use crate::resources::linux::{self, LinuxResources};
use crate::resources::requests::{self, Side};
use crate::resources::{Amount, QosClass};
use component::metrics::{Durations, Registry, SECONDS};
use k8s_openapi::api::core::v1::Pod;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::gauge::Gauge;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use usage::GroupUsage;

/// Where the kernel shows its control groups.
pub const MOUNT: &str = "/sys/fs/cgroup";

/// A group could not be made, set or removed.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    #[error("create cgroup {path}")]
    Create { path: PathBuf, source: io::Error },
    #[error("write {value:?} to {path}")]
    Write { path: PathBuf, value: String, source: io::Error },
    #[error("remove cgroup {path}")]
    Remove { path: PathBuf, source: io::Error },
    #[error("systemd cannot do that to {unit}: {why}")]
    Systemd { unit: String, why: String },
    #[error("\"{0}\" cgroup does not exist")]
    Missing(String),
}

/// One version of the kernel's interface. Paths are relative to the hierarchy's root.
pub trait Driver: Send + Sync + std::fmt::Debug {
    /// Makes a group and those above it; fine if it exists.
    fn create(&self, path: &Path) -> Result<(), CgroupError>;
    /// Sets the group's limits.
    fn apply(&self, path: &Path, resources: &LinuxResources) -> Result<(), CgroupError>;
    /// Removes a group with those below it; fine if it is gone. Processes left in it are killed.
    fn remove(&self, path: &Path) -> Result<(), CgroupError>;
    /// The names of the groups directly below.
    fn children(&self, path: &Path) -> Vec<String>;
    /// Bytes that the processes below `path` may use at most, if there is a limit.
    fn memory_limit(&self, path: &Path) -> Option<u64>;
    /// Whether there is a group.
    fn exists(&self, path: &Path) -> bool;
    /// What the processes below `path` use.
    fn usage(&self, path: &Path) -> GroupUsage;
    /// The processes of the group itself.
    fn processes(&self, path: &Path) -> Vec<u32>;
}

/// The pods' groups. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cgroups {
    driver: Arc<dyn Driver>,
    naming: Naming,
    root: PathBuf,
    policy: Policy,
    seconds: Durations<Operation>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation_type: &'static str,
}

/// What the groups of pods are for.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Whether pods have groups, below one for each class.
    pub per_qos: bool,
    /// Whether CPU limits are enforced.
    pub enforce_quota: bool,
    /// How many processes a pod may have; `None`: as many as its node.
    pub pids: Option<i64>,
}

impl Cgroups {
    /// The groups below `root` (`cgroupRoot`, usually `/`).
    pub fn new(driver: Arc<dyn Driver>, naming: Naming, root: &str, policy: Policy) -> Self {
        let root = Path::new(root.trim_start_matches('/')).to_owned();
        Self { driver, naming, root, policy, seconds: SECONDS.family() }
    }

    /// Adds how long groups take to be made, set and removed, and their version, to what is served.
    pub fn register(&self, registry: &mut Registry) {
        let help = "[ALPHA] Duration in seconds for cgroup manager operations. Broken down by method";
        registry.register("kubelet_cgroup_manager_duration_seconds", help, self.seconds.clone());
        let version = Gauge::<i64>::default();
        version.set(if is_unified() { 2 } else { 1 });
        registry.register("kubelet_cgroup_version", "[ALPHA] cgroup version on the hosts", version);
    }

    fn timed<T>(&self, operation_type: &'static str, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = work();
        self.seconds.get_or_create(&Operation { operation_type }).observe(began.elapsed().as_secs_f64());
        done
    }

    fn create(&self, path: &Path) -> Result<(), CgroupError> {
        self.timed("create", || self.driver.create(path))
    }

    fn apply(&self, path: &Path, resources: &LinuxResources) -> Result<(), CgroupError> {
        self.timed("update", || self.driver.apply(path, resources))
    }

    /// The driver of the version that is mounted.
    pub fn detect() -> Arc<dyn Driver> {
        if is_unified() { Arc::new(v2::Unified::new(MOUNT)) } else { Arc::new(v1::Hierarchies::new(MOUNT)) }
    }

    /// The driver for groups of these names.
    pub fn driver(naming: Naming) -> io::Result<Arc<dyn Driver>> {
        match naming {
            Naming::Folders => Ok(Self::detect()),
            Naming::Slices => Ok(Arc::new(systemd::Slices::new(Self::detect(), is_unified())?)),
        }
    }

    /// Makes the groups above the pods' and limits them to what the node has for pods.
    pub fn prepare(&self, cores: Amount, memory: Option<Amount>) -> Result<(), CgroupError> {
        if !self.policy.per_qos {
            return Ok(());
        }
        let top = LinuxResources {
            shares: Some(linux::shares(cores.milli_value())),
            memory: memory.map(Amount::value),
            ..LinuxResources::default()
        };
        self.create(&self.kubepods())?;
        self.apply(&self.kubepods(), &top)?;
        for class in [QosClass::Burstable, QosClass::BestEffort] {
            self.create(&self.class(class))?;
        }
        let least = LinuxResources { shares: Some(2), ..LinuxResources::default() };
        self.apply(&self.class(QosClass::BestEffort), &least)
    }

    /// Limits a group that somebody else has made.
    pub fn limit(&self, group: &str, limits: &LinuxResources) -> Result<(), CgroupError> {
        let path = Path::new(group.trim_start_matches('/'));
        if !self.driver.exists(path) {
            return Err(CgroupError::Missing(group.to_owned()));
        }
        self.apply(path, limits)
    }

    /// Shares the processor among the classes by what their pods request.
    pub fn balance(&self, pods: &[Arc<Pod>]) -> Result<(), CgroupError> {
        if !self.policy.per_qos {
            return Ok(());
        }
        let burstable = pods.iter().filter(|p| QosClass::of(p) == QosClass::Burstable);
        let sum: Amount =
            burstable.map(|p| requests::of_pod(p, Side::Requests).get("cpu").copied().unwrap_or_default()).sum();
        let shares = LinuxResources { shares: Some(linux::shares(sum.milli_value())), ..LinuxResources::default() };
        self.apply(&self.class(QosClass::Burstable), &shares)
    }

    /// Makes the pod's group and sets its limits.
    /// `pinned` pods have processors of their own, on which their time is not limited.
    pub fn ensure(&self, pod: &Pod, pinned: bool) -> Result<(), CgroupError> {
        if !self.policy.per_qos {
            return Ok(());
        }
        let path = self.pod(QosClass::of(pod), pod.uid());
        self.create(&path)?;
        self.apply(&path, &self.limits(pod, pinned))
    }

    /// Sets limits under which the containers of the pod as it was and as it is to be both fit; `pinned` as for
    /// [`Self::ensure`].
    pub fn widen(&self, old: &Pod, new: &Pod, pinned: bool) -> Result<(), CgroupError> {
        if !self.policy.per_qos {
            return Ok(());
        }
        let path = self.pod(QosClass::of(new), new.uid());
        self.create(&path)?;
        self.apply(&path, &between(&self.limits(old, pinned), &self.limits(new, pinned)))
    }

    /// Removes the group of a pod, of whichever class.
    pub fn remove(&self, uid: &str) -> Result<(), CgroupError> {
        for class in [QosClass::Guaranteed, QosClass::Burstable, QosClass::BestEffort] {
            self.timed("destroy", || self.driver.remove(&self.pod(class, uid)))?;
        }
        Ok(())
    }

    /// What the whole node uses.
    pub fn usage_of_node(&self) -> GroupUsage {
        self.driver.usage(Path::new(""))
    }

    /// What all pods use together.
    pub fn usage_of_pods(&self) -> GroupUsage {
        self.driver.usage(&self.kubepods())
    }

    /// What a pod uses.
    pub fn usage_of(&self, pod: &Pod) -> GroupUsage {
        if self.policy.per_qos {
            self.driver.usage(&self.pod(QosClass::of(pod), pod.uid()))
        } else {
            GroupUsage::default()
        }
    }

    /// One of a pod's processes, which are all in the pod's network.
    pub fn a_process_of(&self, pod: &Pod) -> Option<u32> {
        let group = self.pod(QosClass::of(pod), pod.uid());
        let containers = self.driver.children(&group).into_iter().map(|name| group.join(name));
        containers.flat_map(|container| self.driver.processes(&container)).next()
    }

    /// UIDs of all pods that have a group.
    pub fn pods(&self) -> Vec<String> {
        let classes = [QosClass::Guaranteed, QosClass::Burstable, QosClass::BestEffort];
        let names = classes.iter().flat_map(|c| self.driver.children(&self.class(*c)));
        names.filter_map(|name| self.naming.uid(&name)).collect()
    }

    /// What the runtime puts the pod's containers under.
    pub fn parent(&self, pod: &Pod) -> String {
        if self.policy.per_qos {
            format!("/{}", self.pod(QosClass::of(pod), pod.uid()).display())
        } else {
            String::new()
        }
    }

    /// The group of a container below that of its pod, as runtimes call it.
    pub fn group_of_container(&self) -> fn(&str, &str) -> String {
        match self.naming {
            Naming::Folders => |pod, id| format!("{pod}/{id}"),
            Naming::Slices => |pod, id| format!("{pod}/cri-containerd-{id}.scope"),
        }
    }

    /// Whether CPU limits are enforced.
    pub fn enforces_quota(&self) -> bool {
        self.policy.enforce_quota
    }

    fn limits(&self, pod: &Pod, pinned: bool) -> LinuxResources {
        LinuxResources { pids: self.policy.pids, ..linux::of_pod(pod, self.policy.enforce_quota && !pinned) }
    }

    fn kubepods(&self) -> PathBuf {
        self.class(QosClass::Guaranteed)
    }

    fn class(&self, class: QosClass) -> PathBuf {
        self.naming.class(&self.root, class)
    }

    fn pod(&self, class: QosClass, uid: &str) -> PathBuf {
        self.naming.pod(&self.root, class, uid)
    }
}

/// Whether the kernel limits swap: its file for that is there.
pub fn limits_swap() -> bool {
    if !is_unified() {
        return Path::new(MOUNT).join("memory/memory.memsw.limit_in_bytes").exists();
    }
    // The topmost group has none.
    let text = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    Path::new(MOUNT).join(own).join("memory.swap.max").exists()
}

/// Whether the kernel shows all controllers in one hierarchy.
pub fn is_unified() -> bool {
    Path::new(MOUNT).join("cgroup.controllers").exists()
}

fn create_all(path: &Path) -> Result<(), CgroupError> {
    std::fs::create_dir_all(path).map_err(|source| CgroupError::Create { path: path.to_owned(), source })
}

fn write(path: PathBuf, value: String) -> Result<(), CgroupError> {
    match std::fs::write(&path, &value) {
        Ok(()) => Ok(()),
        Err(source) => Err(CgroupError::Write { path, value, source }),
    }
}

/// Removes a group bottom-up; processes that are still inside are killed first.
fn remove_tree(path: &Path) -> Result<(), CgroupError> {
    for child in child_dirs(path) {
        remove_tree(&path.join(child))?;
    }
    kill_all(path);
    match std::fs::remove_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(CgroupError::Remove { path: path.to_owned(), source: e }),
        _ => Ok(()),
    }
}

fn processes(group: &Path) -> Vec<u32> {
    let procs = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    procs.lines().filter_map(|line| line.parse().ok()).collect()
}

fn child_dirs(path: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
    let dirs = entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
    dirs.filter_map(|e| e.file_name().into_string().ok()).collect()
}

fn kill_all(path: &Path) {
    let procs = std::fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    for pid in procs.lines().filter_map(|l| l.parse().ok()).filter_map(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

#[cfg(test)]
mod tests;
