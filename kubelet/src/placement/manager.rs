//! Gives containers their processors when their pod comes, takes them back when it has gone, keeps the file.
//!
//! Upstream: `pkg/kubelet/cm/cpumanager/cpu_manager.go`.

use super::admission::unexpected;
use super::alignment::{Alignment, AlignmentError};
use super::assignments::{self, Assignments, RestoreError};
use super::cpuset::{CpuSet, CpuSetError};
use super::discover::{self, DiscoverError};
use super::hints::Mask;
use super::memory::manager::Settings;
use super::memory::{Memory, MemoryError};
use super::metrics::Counts;
use super::numa;
use super::options::{Options, OptionsError};
use super::policy::{CpuRefusal, Grant, PolicyError, Static};
use super::topology::Topology;
use crate::config::KubeletConfiguration;
use crate::pod::PodExt;
use crate::resize::Refusal;
use crate::resources::{Amount, QosClass};
use crate::workers::admission::Rejection;
use component::Gates;
use k8s_openapi::api::core::v1::{Container, Pod};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

const NONE: &str = "none";
const STATIC: &str = "static";

/// A configuration, machine or state with which the kubelet does not start; worded as upstream does.
#[derive(Debug, thiserror::Error)]
pub enum PlacementError {
    #[error("unknown policy: {0:?}")]
    Policy(String),
    #[error("new none policy error: None policy: received unsupported options=map[{0}]")]
    NoOptions(String),
    #[error("new static policy error: {0}")]
    Options(#[from] OptionsError),
    #[error("new static policy error: {0}")]
    Static(PolicyError),
    #[error("[cpumanager] the static policy requires systemreserved.cpu + kubereserved.cpu to be greater than zero")]
    NothingReserved,
    #[error("reserved-cpus: {named} is not a subset of online-cpus: {online}")]
    NotOnline { named: String, online: CpuSet },
    #[error("unable to parse reserved-cpus list: {0}")]
    Reserved(#[from] CpuSetError),
    #[error("unable to discover CPU topology info")]
    Discover(#[from] DiscoverError),
    #[error(
        "could not restore state from checkpoint: {why}, please drain this node and delete the CPU manager checkpoint file {file:?} before restarting Kubelet"
    )]
    Restore { why: RestoreError, file: PathBuf },
    #[error("invalid state, please drain node and remove policy state file: {0}")]
    State(PolicyError),
    #[error("initialize the memory manager")]
    Memory(#[from] MemoryError),
    #[error("initialize the topology manager")]
    Alignment(#[from] AlignmentError),
    #[error("cannot keep which processors containers have")]
    Keep(#[from] crate::checkpoint::CheckpointError),
}

/// Processors of containers. Cheap to clone.
#[derive(Clone)]
pub struct Placement(Arc<Shared>);

struct Shared {
    file: PathBuf,
    /// `None`: the kernel spreads all containers over all processors.
    policy: Option<Mutex<Static>>,
    memory: Memory,
    alignment: Alignment,
    /// One aligned admission at a time.
    turn: tokio::sync::Mutex<()>,
    counts: Counts,
}

/// The machine, and what it does not give to pods.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'m> {
    /// Where the kernel tells of it: /sys.
    pub sys: &'m Path,
    /// Bytes of memory.
    pub memory: u64,
    /// Of memory and huge pages.
    pub held_back: &'m BTreeMap<String, Amount>,
}

/// The processors that `reservedSystemCPUs` names take the place of the number of them in `systemReserved` and
/// `kubeReserved`.
///
/// # Errors
/// They are not there.
pub fn reserve_named(config: &mut KubeletConfiguration, sys: &Path) -> Result<(), PlacementError> {
    let text = config.reserved_system_cpus.clone();
    if text.is_empty() {
        return Ok(());
    }
    let (named, online) = (CpuSet::parse(&text)?, discover::discover(sys)?.cpus.all());
    if !named.is_within(&online) {
        return Err(PlacementError::NotOnline { named: text, online });
    }
    config.kube_reserved.remove("cpu");
    config.system_reserved.insert("cpu".to_owned(), named.len().to_string());
    Ok(())
}

impl Placement {
    /// The configured policies on the machine, with what the files below `root` have kept.
    ///
    /// # Errors
    /// A policy cannot be, or a file is not one of it.
    pub fn load(
        root: &Path,
        config: &KubeletConfiguration,
        gates: &Gates,
        machine: Machine<'_>,
    ) -> Result<Self, PlacementError> {
        let nodes = numa::nodes(machine.sys, machine.memory)?;
        let file = root.join(assignments::FILE);
        let policy = load_policy(&file, config, gates, machine.sys)?;
        let reserved = &config.reserved_memory;
        let settings = Settings { policy: &config.memory_manager_policy, reserved, held_back: machine.held_back };
        let memory = Memory::load(root, settings, &nodes)?;
        let (policy_name, scope) = (&config.topology_manager_policy, &config.topology_manager_scope);
        let alignment = Alignment::new(policy_name, scope, &config.topology_manager_policy_options, nodes)?;
        Ok(Self::shared(file, policy, memory, alignment))
    }

    /// All containers share all processors and all memory, and nothing is kept.
    pub fn none() -> Self {
        Self::shared(PathBuf::new(), None, Memory::default(), Alignment::None)
    }

    fn shared(file: PathBuf, policy: Option<Static>, memory: Memory, alignment: Alignment) -> Self {
        let (policy, turn, counts) = (policy.map(Mutex::new), tokio::sync::Mutex::default(), Counts::default());
        Self(Arc::new(Shared { file, policy, memory, alignment, turn, counts }))
    }

    /// The memory of containers.
    pub fn memory(&self) -> &Memory {
        &self.0.memory
    }

    pub(super) fn alignment(&self) -> &Alignment {
        &self.0.alignment
    }

    pub(super) fn turn(&self) -> &tokio::sync::Mutex<()> {
        &self.0.turn
    }

    pub(super) fn policy(&self) -> Option<&Mutex<Static>> {
        self.0.policy.as_ref()
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// Gives a container the processors that it is to have for itself, from these nodes if possible.
    ///
    /// # Errors
    /// There is not enough: the pod fails.
    pub(super) fn allocate(&self, pod: &Pod, container: &Container, nodes: Option<Mask>) -> Result<(), Rejection> {
        let Some(policy) = self.policy() else { return Ok(()) };
        let mut policy = policy.lock();
        let granted = policy.allocate(pod, container, nodes);
        if !matches!(granted, Ok(Grant::Shared)) {
            self.0.counts.requests.fetch_add(1, Ordering::Relaxed);
        }
        match granted {
            Ok(Grant::New(cpus)) => {
                tracing::info!(pod = pod.formatted(), container = container.name, %cpus, "processors of its own");
                self.save(&policy);
            }
            Ok(Grant::Shared | Grant::Kept) => {}
            Err(refusal) => {
                self.0.counts.errors.fetch_add(1, Ordering::Relaxed);
                return Err(rejection(&refusal));
            }
        }
        Ok(())
    }

    /// A container starts: memory of init containers before it is free.
    pub fn starts(&self, pod: &Pod, container: &Container) {
        self.0.memory.starts(pod, container);
    }

    /// What a container is to run on; empty if on anything.
    pub fn affinity(&self, uid: &str, container: &str) -> CpuSet {
        self.policy().map(|policy| policy.lock().affinity(uid, container).clone()).unwrap_or_default()
    }

    /// A container's own processors; empty if it shares.
    pub fn own(&self, uid: &str, container: &str) -> CpuSet {
        let own = |policy: &Mutex<Static>| policy.lock().assignments().of(uid, container).cloned();
        self.policy().and_then(own).unwrap_or_default()
    }

    /// Whether a container has processors of its own. Its time on them is not limited then.
    pub fn is_pinned(&self, pod: &Pod, container: &Container) -> bool {
        !self.own(pod.uid(), &container.name).is_empty()
    }

    /// Whether any container of a pod has processors of its own.
    pub fn has_pinned(&self, pod: &Pod) -> bool {
        self.policy().is_some_and(|policy| policy.lock().assignments().entries.contains_key(pod.uid()))
    }

    /// What containers may have for themselves at all; empty without the static policy.
    pub fn allocatable(&self) -> CpuSet {
        self.policy().map(|policy| policy.lock().allocatable()).unwrap_or_default()
    }

    /// Whether containers get processors of their own.
    pub fn is_static(&self) -> bool {
        self.policy().is_some()
    }

    /// Pods that may have processors of their own keep what they have; `of_cpu` says that they want to change that.
    ///
    /// # Errors
    /// The pod is one of them.
    pub fn judge_resize(&self, pod: &Pod, of_cpu: bool) -> Result<(), Refusal> {
        if !of_cpu || !self.is_static() || QosClass::of(pod) != QosClass::Guaranteed {
            return Ok(());
        }
        let message = "Resize is infeasible for Guaranteed Pods alongside CPU Manager policy \"static\"".to_owned();
        Err(Refusal { reason: "Infeasible", message })
    }

    /// A pod has ended: its processors are shared again.
    pub fn release(&self, uid: &str) {
        self.keep(|other| other != uid);
    }

    /// No other pods than these are on the node.
    pub fn keep_only(&self, uids: &BTreeSet<String>) {
        self.keep(|uid| uids.contains(uid));
    }

    fn keep(&self, stays: impl Fn(&str) -> bool) {
        self.0.memory.release(|uid| !stays(uid));
        let Some(policy) = self.policy() else { return };
        let mut policy = policy.lock();
        let entries = policy.assignments().entries.iter().filter(|(uid, _)| !stays(uid));
        let gone: Vec<_> = entries.flat_map(|(uid, of)| of.keys().map(|c| (uid.clone(), c.clone()))).collect();
        for (uid, container) in &gone {
            policy.release(uid, container);
        }
        if !gone.is_empty() {
            self.save(&policy);
        }
    }

    fn save(&self, policy: &Static) {
        if let Err(error) = assignments::write(&self.0.file, STATIC, policy.assignments()) {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot keep which processors containers have");
        }
    }
}

fn load_policy(
    file: &Path,
    config: &KubeletConfiguration,
    gates: &Gates,
    sys: &Path,
) -> Result<Option<Static>, PlacementError> {
    let options = &config.cpu_manager_policy_options;
    match config.cpu_manager_policy.as_str() {
        NONE if !options.is_empty() => {
            let all: Vec<_> = options.iter().map(|(name, value)| format!("{name}:{value}")).collect();
            Err(PlacementError::NoOptions(all.join(" ")))
        }
        NONE => {
            if restore(file, NONE)?.is_none() {
                assignments::write(file, NONE, &Assignments::default())?;
            }
            Ok(None)
        }
        STATIC => {
            let topology = discover::discover(sys)?;
            let policy = new_static(topology, Options::new(options, gates)?, config, file)?;
            tracing::info!(reserved = %policy.topology().cpus.all().difference(&policy.allocatable()), "static CPU policy");
            assignments::write(file, STATIC, policy.assignments())?;
            Ok(Some(policy))
        }
        other => Err(PlacementError::Policy(other.to_owned())),
    }
}

fn restore(file: &Path, policy: &'static str) -> Result<Option<Assignments>, PlacementError> {
    assignments::read(file, policy).map_err(|why| PlacementError::Restore { why, file: file.to_owned() })
}

fn new_static(
    topology: Topology,
    options: Options,
    config: &KubeletConfiguration,
    file: &Path,
) -> Result<Static, PlacementError> {
    let of = |map: &BTreeMap<String, String>| map.get("cpu").and_then(|text| Amount::parse(text));
    let reserved = [&config.kube_reserved, &config.system_reserved].into_iter().filter_map(of).sum::<Amount>();
    let count = usize::try_from(reserved.value()).unwrap_or(0);
    if count == 0 {
        return Err(PlacementError::NothingReserved);
    }
    options.check(&topology, config.topology_manager_policy == "single-numa-node")?;
    let named = CpuSet::parse(&config.reserved_system_cpus)?;
    let kept = restore(file, STATIC)?.unwrap_or_default();
    Static::new(topology, options, (&named, count), kept).map_err(|error| match error {
        PolicyError::Reserve { .. } => PlacementError::Static(error),
        error => PlacementError::State(error),
    })
}

fn rejection(refusal: &CpuRefusal) -> Rejection {
    match refusal {
        CpuRefusal::PartsOfCores { .. } | CpuRefusal::Cores { .. } => {
            Rejection { reason: "SMTAlignmentError".into(), message: refusal.to_string() }
        }
        CpuRefusal::Take(_) => unexpected(refusal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::requests::tests as fixture;

    /// A /sys with one socket of four cores of one thread.
    fn sys() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let file = root.path().join("devices/system").join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        write("cpu/online", "0-3");
        write("node/node0/cpulist", "0-3");
        write("node/node0/meminfo", "Node 0 MemTotal: 1024 kB");
        for cpu in 0..4 {
            write(&format!("cpu/cpu{cpu}/topology/physical_package_id"), "0");
            write(&format!("cpu/cpu{cpu}/topology/thread_siblings_list"), &cpu.to_string());
        }
        root
    }

    fn config(policy: &str, reserved: &str) -> KubeletConfiguration {
        let cpu = |text: &str| [("cpu".to_owned(), text.to_owned())].into();
        KubeletConfiguration {
            cpu_manager_policy: policy.to_owned(),
            kube_reserved: cpu(reserved),
            ..KubeletConfiguration::default()
        }
    }

    fn pod(uid: &str, cpu: &str) -> Pod {
        let mut pod = fixture::pod(vec![], vec![fixture::container("c", &[], &[("cpu", cpu), ("memory", "1Mi")])]);
        pod.metadata.uid = Some(uid.to_owned());
        pod
    }

    fn load(root: &Path, config: &KubeletConfiguration, sys: &Path) -> Result<Placement, PlacementError> {
        let machine = Machine { sys, memory: 0, held_back: &BTreeMap::new() };
        Placement::load(root, config, &Gates::default(), machine)
    }

    fn admit(placement: &Placement, pod: &Pod) -> Result<(), Rejection> {
        PodExt::spec(pod).containers.iter().try_for_each(|container| placement.allocate(pod, container, None))
    }

    #[test]
    fn pods_come_and_go_over_restarts() {
        let (root, sys) = (tempfile::tempdir().unwrap(), sys());
        let load = || load(root.path(), &config("static", "500m"), sys.path());
        let first = load().unwrap();
        admit(&first, &pod("a", "2")).unwrap();
        assert_eq!(first.affinity("b", "c").to_string(), "0,3");
        let refused = admit(&first, &pod("b", "2")).unwrap_err();
        assert_eq!(refused.reason, "UnexpectedAdmissionError");
        assert_eq!(
            refused.message,
            "Allocate failed due to not enough cpus available to satisfy request: requested=2, available=1, which is unexpected"
        );
        drop(first);
        let second = load().unwrap();
        assert_eq!(second.own("a", "c").to_string(), "1-2");
        assert_eq!(second.allocatable().to_string(), "1-3");
        assert!(second.has_pinned(&pod("a", "2")) && !second.has_pinned(&pod("b", "2")));
        assert_eq!(second.judge_resize(&pod("a", "2"), true).unwrap_err().reason, "Infeasible");
        second.keep_only(&BTreeSet::new());
        admit(&second, &pod("b", "3")).unwrap();
        assert_eq!(second.own("b", "c").to_string(), "1-3");
        let other = super::tests::load(root.path(), &config("none", "1"), sys.path()).err().unwrap();
        let want = "could not restore state from checkpoint: configured policy \"none\" differs from state checkpoint policy \"static\", please drain this node and delete the CPU manager checkpoint file";
        assert!(other.to_string().starts_with(want), "{other}");
    }

    #[test]
    fn configurations_that_cannot_be() {
        let sys = sys();
        let refusal = |config: &KubeletConfiguration| {
            let root = tempfile::tempdir().unwrap();
            load(root.path(), config, sys.path()).err().map(|e| e.to_string())
        };
        let nothing =
            "[cpumanager] the static policy requires systemreserved.cpu + kubereserved.cpu to be greater than zero";
        assert_eq!(refusal(&config("static", "0")).as_deref(), Some(nothing));
        assert_eq!(refusal(&config("x", "1")).as_deref(), Some("unknown policy: \"x\""));
        assert_eq!(refusal(&config("none", "0")), None);
        let mut named = config("static", "3");
        named.reserved_system_cpus = "0,2".into();
        reserve_named(&mut named, sys.path()).unwrap();
        assert_eq!((named.kube_reserved.get("cpu"), named.system_reserved["cpu"].as_str()), (None, "2"));
        assert_eq!(refusal(&named), None);
        named.reserved_system_cpus = "7".into();
        let error = reserve_named(&mut named, sys.path()).unwrap_err().to_string();
        assert_eq!(error, "reserved-cpus: 7 is not a subset of online-cpus: 0-3");
    }
}
