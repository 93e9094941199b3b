//! The static policy: containers of guaranteed pods that ask for whole processors get them for themselves.
//!
//! Upstream: `pkg/kubelet/cm/cpumanager/policy_static.go`.

use super::assignments::Assignments;
use super::cpuset::CpuSet;
use super::demand;
use super::distribute::distributed;
use super::hints::{Hint, Mask};
use super::options::Options;
use super::take::{Manner, TakeError, packed};
use super::topology::{Level, Topology};
use crate::pod::{PodExt, is_sidecar};
use k8s_openapi::api::core::v1::{Container, Pod};

/// A policy that cannot be, or a state that is not one of it; worded as upstream does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("[cpumanager] unable to reserve the required amount of CPUs (size of {reserved} did not equal {wanted})")]
    Reserve { reserved: CpuSet, wanted: usize },
    #[error("default cpuset cannot be empty")]
    NothingShared,
    #[error("some of strictly reserved cpus: \"{both}\" are present in defaultCpuSet: \"{shared}\"")]
    ReservedShared { both: CpuSet, shared: CpuSet },
    #[error("not all reserved cpus: \"{reserved}\" are present in defaultCpuSet: \"{shared}\"")]
    ReservedGone { reserved: CpuSet, shared: CpuSet },
    #[error("pod: {pod}, container: {container} cpuset: \"{cpus}\" overlaps with default cpuset \"{shared}\"")]
    Overlap { pod: String, container: String, cpus: CpuSet, shared: CpuSet },
    #[error("current set of available CPUs \"{machine}\" doesn't match with CPUs in state \"{state}\"")]
    Machine { machine: CpuSet, state: CpuSet },
}

/// Why a container does not get its processors; worded as upstream does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuRefusal {
    #[error("SMT Alignment Error: requested {wanted} cpus not multiple cpus per core = {per_core}")]
    PartsOfCores { wanted: usize, per_core: usize },
    #[error(
        "SMT Alignment Error: not enough free physical CPUs: available physical CPUs = {free}, requested CPUs = {wanted}, CPUs per core = {per_core}"
    )]
    Cores { wanted: usize, free: usize, per_core: usize },
    #[error(transparent)]
    Take(#[from] TakeError),
}

/// The policy and what it has decided.
#[derive(Clone, Debug)]
pub struct Static {
    topology: Topology,
    options: Options,
    reserved: CpuSet,
    /// All threads of cores of which some are reserved.
    reserved_cores: CpuSet,
    assignments: Assignments,
    /// What init containers of the pod under way leave to those that come after.
    reuse: Option<(String, CpuSet)>,
}

/// What came of a container's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// It shares.
    Shared,
    /// It had its own already.
    Kept,
    /// It got its own now.
    New(CpuSet),
}

impl Static {
    /// `named` are the processors that are reserved; if empty, so many are chosen. `kept` is what the file says.
    ///
    /// # Errors
    /// So many are not there, or the state is of another machine or configuration.
    pub fn new(
        topology: Topology,
        options: Options,
        (named, count): (&CpuSet, usize),
        kept: Assignments,
    ) -> Result<Self, PolicyError> {
        let mut policy = Self {
            topology,
            options,
            reserved: CpuSet::default(),
            reserved_cores: CpuSet::default(),
            assignments: kept,
            reuse: None,
        };
        let all = policy.topology.cpus.all();
        policy.reserved = if named.is_empty() { policy.take(&all, count).unwrap_or_default() } else { named.clone() };
        if policy.reserved.len() != count {
            return Err(PolicyError::Reserve { reserved: policy.reserved, wanted: count });
        }
        let cores = policy.topology.cpus.only(&policy.reserved).groups(Level::Core);
        policy.reserved_cores = cores.iter().flat_map(|core| policy.threads(core)).collect();
        policy.check()?;
        Ok(policy)
    }

    fn threads(&self, core: usize) -> Vec<usize> {
        self.topology.cpus.within(Level::Core, core).iter().collect()
    }

    /// A new state, or one that is of this machine and configuration.
    fn check(&mut self) -> Result<(), PolicyError> {
        let all = self.topology.cpus.all();
        let shared = self.assignments.shared.clone();
        if shared.is_empty() {
            if !self.assignments.entries.is_empty() {
                return Err(PolicyError::NothingShared);
            }
            self.assignments.shared = if self.options.strict { all.difference(&self.reserved) } else { all };
            return Ok(());
        }
        let both = self.reserved.intersection(&shared);
        if self.options.strict && !both.is_empty() {
            return Err(PolicyError::ReservedShared { both, shared });
        }
        if !self.options.strict && both != self.reserved {
            return Err(PolicyError::ReservedGone { reserved: self.reserved.clone(), shared });
        }
        for (pod, containers) in &self.assignments.entries {
            let overlap = containers.iter().find(|(_, cpus)| !shared.intersection(cpus).is_empty());
            if let Some((container, cpus)) = overlap {
                let (pod, container, cpus) = (pod.clone(), container.clone(), cpus.clone());
                return Err(PolicyError::Overlap { pod, container, cpus, shared });
            }
        }
        let machine = if self.options.strict { all.difference(&self.reserved) } else { all };
        let state = shared.union(&self.assignments.taken());
        if state != machine { Err(PolicyError::Machine { machine, state }) } else { Ok(()) }
    }

    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    pub fn assignments(&self) -> &Assignments {
        &self.assignments
    }

    /// What may become a container's own at all.
    pub fn allocatable(&self) -> CpuSet {
        self.topology.cpus.all().difference(&self.reserved)
    }

    /// What may still become one's own.
    pub fn available(&self) -> CpuSet {
        self.assignments.shared.difference(&self.reserved)
    }

    /// What a container runs on.
    pub fn affinity(&self, pod: &str, container: &str) -> &CpuSet {
        self.assignments.of(pod, container).unwrap_or(&self.assignments.shared)
    }

    /// Whether whole cores are all that is given.
    pub fn full_cores(&self) -> bool {
        self.options.full_cores
    }

    /// Gives a container its own processors, if it is one that has some, from these nodes if possible.
    ///
    /// # Errors
    /// There are not so many.
    pub fn allocate(&mut self, pod: &Pod, container: &Container, nodes: Option<Mask>) -> Result<Grant, CpuRefusal> {
        let wanted = demand::own_cpus(pod, container);
        if wanted == 0 || demand::is_pod_level(pod) {
            return Ok(Grant::Shared);
        }
        if let Some(cpus) = self.assignments.of(pod.uid(), &container.name).cloned() {
            self.note_reuse(pod, container, &cpus);
            return Ok(Grant::Kept);
        }
        self.check_cores(wanted)?;
        let cpus = self.choose(wanted, nodes, &self.reusable(pod.uid()))?;
        self.assignments.shared = self.assignments.shared.difference(&cpus);
        self.assignments.set(pod.uid(), &container.name, cpus.clone());
        self.note_reuse(pod, container, &cpus);
        Ok(Grant::New(cpus))
    }

    fn check_cores(&self, wanted: usize) -> Result<(), CpuRefusal> {
        let per_core = self.topology.per_core();
        if !self.options.full_cores {
            return Ok(());
        }
        if !wanted.is_multiple_of(per_core) {
            return Err(CpuRefusal::PartsOfCores { wanted, per_core });
        }
        let free = self.assignments.shared.difference(&self.reserved_cores).len();
        if wanted > free { Err(CpuRefusal::Cores { wanted, free, per_core }) } else { Ok(()) }
    }

    fn choose(&self, wanted: usize, nodes: Option<Mask>, reusable: &CpuSet) -> Result<CpuSet, TakeError> {
        let free = self.available().union(reusable);
        let mut out = CpuSet::default();
        if let Some(nodes) = nodes {
            let aligned = self.aligned(nodes, &free);
            out = self.take(&aligned, wanted.min(aligned.len()))?;
        }
        let rest = self.take(&free.difference(&out), wanted.saturating_sub(out.len()))?;
        Ok(out.union(&rest))
    }

    fn aligned(&self, nodes: Mask, free: &CpuSet) -> CpuSet {
        let level = if self.options.by_socket { Level::Socket } else { Level::Node };
        let groups: CpuSet = match level {
            Level::Socket => nodes.nodes().flat_map(|node| sockets_of(&self.topology, node)).collect(),
            _ => nodes.nodes().collect(),
        };
        let all = groups.iter().fold(CpuSet::default(), |all, g| all.union(&self.topology.cpus.within(level, g)));
        free.intersection(&all)
    }

    fn take(&self, free: &CpuSet, wanted: usize) -> Result<CpuSet, TakeError> {
        let options = &self.options;
        if options.across_nodes {
            let group = if options.full_cores { self.topology.per_core() } else { 1 };
            return distributed(&self.topology, free, wanted, group, options.across_cores);
        }
        let manner = Manner { spread: options.across_cores, by_cache: options.by_cache };
        packed(&self.topology, free, wanted, manner)
    }

    fn reusable(&self, pod: &str) -> CpuSet {
        self.reuse.as_ref().filter(|(uid, _)| uid == pod).map(|(_, cpus)| cpus.clone()).unwrap_or_default()
    }

    /// Init containers leave theirs to those that come after; sidecars and the others keep theirs.
    fn note_reuse(&mut self, pod: &Pod, container: &Container, cpus: &CpuSet) {
        let before = self.reusable(pod.uid());
        let leaves = pod.init_containers().iter().any(|c| c.name == container.name && !is_sidecar(c));
        let now = if leaves { before.union(cpus) } else { before.difference(cpus) };
        self.reuse = Some((pod.uid().to_owned(), now));
    }

    /// Gives back what a container had, but for what others of its pod have, too; what is free now.
    pub fn release(&mut self, pod: &str, container: &str) -> Option<CpuSet> {
        let containers = self.assignments.entries.get_mut(pod)?;
        let cpus = containers.remove(container)?;
        let others = containers.values().fold(CpuSet::default(), |all, cpus| all.union(cpus));
        if containers.is_empty() {
            self.assignments.entries.remove(pod);
        }
        let free = cpus.difference(&others);
        self.assignments.shared = self.assignments.shared.union(&free);
        Some(free)
    }

    /// From which nodes a container can have its processors; `None` if it shares.
    pub fn hints(&self, pod: &Pod, container: &Container) -> Option<Vec<Hint>> {
        let wanted = demand::own_cpus(pod, container);
        if wanted == 0 || demand::is_pod_level(pod) {
            return None;
        }
        Some(match self.assignments.of(pod.uid(), &container.name) {
            Some(cpus) if cpus.len() != wanted => Vec::new(),
            Some(cpus) => self.hints_for(cpus, &CpuSet::default(), wanted),
            None => self.hints_for(&self.available(), &self.reusable(pod.uid()), wanted),
        })
    }

    /// From which nodes all containers of a pod can have theirs; `None` if all share.
    pub fn pod_hints(&self, pod: &Pod) -> Option<Vec<Hint>> {
        let wanted = demand::own_cpus_of_pod(pod);
        if wanted == 0 || demand::is_pod_level(pod) {
            return None;
        }
        let mut assigned = CpuSet::default();
        for container in pod.init_containers().iter().chain(&PodExt::spec(pod).containers) {
            match self.assignments.of(pod.uid(), &container.name) {
                Some(cpus) if cpus.len() != demand::own_cpus(pod, container) => return Some(Vec::new()),
                Some(cpus) => assigned = assigned.union(cpus),
                None => {}
            }
        }
        if assigned.len() == wanted {
            return Some(self.hints_for(&assigned, &CpuSet::default(), wanted));
        }
        Some(self.hints_for(&self.available(), &self.reusable(pod.uid()).union(&assigned), wanted))
    }

    fn hints_for(&self, free: &CpuSet, reuse: &CpuSet, wanted: usize) -> Vec<Hint> {
        hints_for(&self.topology, self.options, free, reuse, wanted)
    }
}

fn sockets_of(topology: &Topology, node: usize) -> Vec<usize> {
    topology.cpus.groups_within(Level::Socket, Level::Node, node).iter().collect()
}

/// The nodes that hold all that is to be reused and together enough that is free.
pub(super) fn hints_for(
    topology: &Topology,
    options: Options,
    free: &CpuSet,
    reuse: &CpuSet,
    wanted: usize,
) -> Vec<Hint> {
    let cpus = &topology.cpus;
    let nodes: Vec<usize> = cpus.groups(Level::Node).iter().collect();
    let inside = |set: &CpuSet, mask: Mask| {
        set.iter().filter(|cpu| cpus.get(*cpu).is_some_and(|cpu| mask.contains(cpu.node))).count()
    };
    let all = cpus.all();
    let masks = Mask::all_of(&nodes);
    let enough = masks.iter().filter(|mask| inside(&all, **mask) >= wanted).map(|mask| mask.count()).min();
    let least = enough.unwrap_or(u32::MAX).min(u32::try_from(nodes.len()).unwrap_or(u32::MAX));
    let fits = |mask: &Mask| {
        let reused = inside(reuse, *mask);
        reused == reuse.len() && reused + inside(free, *mask) >= wanted
    };
    let hint = |mask: Mask| {
        let preferred = mask.count() == least || options.by_socket && is_socket_wide(topology, mask, least);
        Hint { nodes: Some(mask), preferred }
    };
    masks.into_iter().filter(fits).map(hint).collect()
}

/// Whether the mask spans no more sockets than so many nodes need.
fn is_socket_wide(topology: &Topology, mask: Mask, least: u32) -> bool {
    let per_socket = topology.nodes.checked_div(topology.sockets).unwrap_or(0);
    if per_socket == 0 {
        return false;
    }
    let sockets: CpuSet = mask.nodes().flat_map(|node| sockets_of(topology, node)).collect();
    sockets.len() == usize::try_from(least).unwrap_or(usize::MAX).div_ceil(per_socket)
}

#[cfg(test)]
mod tests;
