//! The policy `Static`: containers of guaranteed pods have their memory from as few NUMA nodes as possible, and groups of
//! nodes that give memory together do not overlap.
//!
//! Upstream: `pkg/kubelet/cm/memorymanager/policy_static.go`.

use super::demand::{self, Bytes};
use super::machine::{self, Block, Cells, MEMORY};
use super::state::{Entries, State};
use crate::placement::demand::is_pod_level;
use crate::placement::hints::{Hint, Hints, Mask};
use crate::pod::{PodExt, is_sidecar};
use crate::resources::QosClass;
use k8s_openapi::api::core::v1::{Container, Pod};
use std::collections::BTreeMap;

/// A state that is not one of this machine or configuration; worded as upstream does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    #[error("[memorymanager] machine state can not be empty when it has memory assignments")]
    NoMachine,
    #[error(
        "[memorymanager] (pod: {pod}, container: {container}) the memory assignment uses the NUMA that does not exist"
    )]
    NoNode { pod: String, container: String },
    #[error(
        "[memorymanager] (pod: {pod}, container: {container}) the memory assignment uses memory resource that does not exist"
    )]
    NoResource { pod: String, container: String },
    #[error("[memorymanager] the expected machine state is different from the real one")]
    Differs,
}

/// Why a container does not get its memory; worded as upstream does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryRefusal {
    #[error("[memorymanager] failed to get the default NUMA affinity, no NUMA nodes with enough memory is available")]
    Nowhere,
    #[error("[memorymanager] failed to find the default preferred hint")]
    NotPreferred,
    #[error("[memorymanager] failed to find NUMA nodes to extend the current topology hint")]
    NotExtended,
    #[error("[memorymanager] failed to find the extended preferred hint")]
    ExtendedNotPreferred,
    #[error("[memorymanager] preferred hint violates NUMA node allocation")]
    Overlaps,
}

/// What came of a container's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Its pod is none that has memory to itself.
    Shared,
    /// It had its memory already.
    Kept,
    /// It has its memory now.
    New,
}

/// The policy and what it has decided.
#[derive(Clone, Debug)]
pub struct Static {
    state: State,
    /// What init containers of the pod under way leave to those that come after, by nodes and resource.
    reuse: (String, BTreeMap<(Mask, String), u64>),
}

impl Static {
    /// `fresh` is the machine when nobody has anything, `kept` what the file says.
    ///
    /// # Errors
    /// The state is of another machine or configuration.
    pub fn new(fresh: Cells, kept: State) -> Result<Self, StateError> {
        let mut state = kept;
        if state.cells.is_empty() {
            if !state.entries.is_empty() {
                return Err(StateError::NoMachine);
            }
            state.cells = fresh;
        } else if !machine::are_alike(&state.cells, &expected(fresh, &state.entries)?) {
            return Err(StateError::Differs);
        }
        Ok(Self { state, reuse: Default::default() })
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// What a container has.
    pub fn blocks(&self, pod: &str, container: &str) -> &[Block] {
        self.state.entries.get(pod).and_then(|of| of.get(container)).map_or(&[], Vec::as_slice)
    }

    /// Gives a container its memory, from the nodes of the hint if it names some.
    ///
    /// # Errors
    /// There is not enough that it may have.
    pub fn allocate(&mut self, pod: &Pod, container: &Container, hint: Hint) -> Result<Grant, MemoryRefusal> {
        if !is_concerned(pod) {
            return Ok(Grant::Shared);
        }
        if let Some(blocks) = self.state.entries.get(pod.uid()).and_then(|of| of.get(&container.name)).cloned() {
            self.note_reuse(pod, container, &blocks);
            return Ok(Grant::Kept);
        }
        let wanted = demand::of_container(container);
        let nodes = self.choose(pod.uid(), &wanted, hint)?;
        let numa_affinity: Vec<usize> = nodes.nodes().collect();
        let mut blocks = Vec::new();
        for (resource, size) in wanted {
            let needed = size.saturating_sub(self.reusable(pod.uid(), nodes, &resource));
            machine::take(&mut self.state.cells, &numa_affinity, &resource, needed);
            blocks.push(Block { numa_affinity: numa_affinity.clone(), resource, size });
        }
        self.note_reuse(pod, container, &blocks);
        self.shrink_earlier(pod, container, &blocks);
        self.state.entries.entry(pod.uid().to_owned()).or_default().insert(container.name.clone(), blocks);
        Ok(Grant::New)
    }

    fn choose(&self, pod: &str, wanted: &Bytes, hint: Hint) -> Result<Mask, MemoryRefusal> {
        let memory = || self.hints_for(pod, wanted).remove(MEMORY).unwrap_or_default();
        let mut preferred = hint.preferred;
        let mut nodes = match hint.nodes {
            Some(nodes) => nodes,
            None => {
                let (nodes, is_preferred) = best(memory()).ok_or(MemoryRefusal::Nowhere)?;
                if preferred && !is_preferred {
                    return Err(MemoryRefusal::NotPreferred);
                }
                preferred = is_preferred;
                nodes
            }
        };
        if !self.satisfy(nodes, wanted) {
            let wider = memory().into_iter().filter(|hint| hint.nodes.is_some_and(|wide| wide.and(nodes) == nodes));
            let (wide, is_preferred) = best(wider.collect()).ok_or(MemoryRefusal::NotExtended)?;
            if preferred && !is_preferred {
                return Err(MemoryRefusal::ExtendedNotPreferred);
            }
            nodes = wide;
        }
        if self.overlaps(nodes) { Err(MemoryRefusal::Overlaps) } else { Ok(nodes) }
    }

    fn satisfy(&self, nodes: Mask, wanted: &Bytes) -> bool {
        let free = |resource: &str| self.sum(nodes, |cell| cell.free(resource));
        wanted.iter().all(|(resource, bytes)| free(resource) >= *bytes)
    }

    fn sum(&self, nodes: Mask, of: impl Fn(&machine::Cell) -> u64) -> u64 {
        let cells = nodes.nodes().filter_map(|id| self.state.cells.get(&id));
        cells.fold(0, |sum: u64, cell| sum.saturating_add(of(cell)))
    }

    /// Whether some of several nodes give memory already, alone or in another group.
    fn overlaps(&self, nodes: Mask) -> bool {
        let other = |id: usize| {
            let cell = self.state.cells.get(&id).filter(|cell| cell.number_of_assignments > 0);
            cell.is_some_and(|cell| cell.cells.len() == 1 || cell.cells.iter().copied().collect::<Mask>() != nodes)
        };
        nodes.count() > 1 && nodes.nodes().any(other)
    }

    fn reusable(&self, pod: &str, nodes: Mask, resource: &str) -> u64 {
        if self.reuse.0 != pod {
            return 0;
        }
        self.reuse.1.get(&(nodes, resource.to_owned())).copied().unwrap_or(0)
    }

    /// Init containers leave theirs to those that come after; sidecars and the others keep theirs.
    fn note_reuse(&mut self, pod: &Pod, container: &Container, blocks: &[Block]) {
        if self.reuse.0 != pod.uid() {
            self.reuse = (pod.uid().to_owned(), BTreeMap::new());
        }
        let leaves = pod.init_containers().iter().any(|c| c.name == container.name && !is_sidecar(c));
        for block in blocks {
            let left = self.reuse.1.entry((block.nodes(), block.resource.clone())).or_default();
            *left = if leaves { block.size.max(*left) } else { left.saturating_sub(block.size) };
        }
    }

    /// What init containers before this one had of the same nodes is counted to this one.
    fn shrink_earlier(&mut self, pod: &Pod, container: &Container, blocks: &[Block]) {
        let Some(of) = self.state.entries.get_mut(pod.uid()) else { return };
        let before = pod.init_containers().iter().take_while(|c| c.name != container.name);
        let names: Vec<&str> = before.filter(|c| !is_sidecar(c)).map(|c| c.name.as_str()).collect();
        for block in blocks {
            let mut left = block.size;
            for name in &names {
                for earlier in of.get_mut(*name).into_iter().flatten() {
                    if earlier.resource == block.resource && earlier.nodes() == block.nodes() {
                        let taken = left.min(earlier.size);
                        earlier.size -= taken;
                        left -= taken;
                    }
                }
            }
        }
    }

    /// Takes back what a container had; whether it had something.
    pub fn release(&mut self, pod: &str, container: &str) -> bool {
        let Some(of) = self.state.entries.get_mut(pod) else { return false };
        let Some(blocks) = of.remove(container) else { return false };
        if of.is_empty() {
            self.state.entries.remove(pod);
        }
        blocks.iter().for_each(|block| machine::give_back(&mut self.state.cells, block));
        true
    }

    /// From which nodes a container can have its memory.
    pub fn hints(&self, pod: &Pod, container: &Container) -> Hints {
        if !is_concerned(pod) {
            return Hints::new();
        }
        let wanted = demand::of_container(container);
        match self.state.entries.get(pod.uid()).and_then(|of| of.get(&container.name)) {
            Some(blocks) => again(blocks, &wanted),
            None => self.hints_for(pod.uid(), &wanted),
        }
    }

    /// From which nodes all containers of a pod can have theirs.
    pub fn pod_hints(&self, pod: &Pod) -> Hints {
        let wanted = demand::of_pod(pod);
        if !is_concerned(pod) || wanted.is_empty() {
            return Hints::new();
        }
        let of = self.state.entries.get(pod.uid());
        let mut all = pod.init_containers().iter().chain(&PodExt::spec(pod).containers);
        match all.find_map(|container| of?.get(&container.name)) {
            Some(blocks) => again(blocks, &wanted),
            None => self.hints_for(pod.uid(), &wanted),
        }
    }

    fn hints_for(&self, pod: &str, wanted: &Bytes) -> Hints {
        let ids: Vec<usize> = self.state.cells.keys().copied().collect();
        let mut least = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let mut fitting = Vec::new();
        for mask in Mask::all_of(&ids) {
            let could = |(name, bytes): (&String, &u64)| self.sum(mask, |cell| cell.allocatable(name)) >= *bytes;
            if !wanted.iter().all(could) {
                continue;
            }
            least = least.min(mask.count());
            let in_group = |id| self.state.cells.get(&id).is_some_and(|cell| cell.cells.len() > 1);
            if mask.count() == 1 && mask.nodes().any(in_group) || self.overlaps(mask) {
                continue;
            }
            let can = |(name, bytes): (&String, &u64)| {
                self.sum(mask, |cell| cell.free(name)).saturating_add(self.reusable(pod, mask, name)) >= *bytes
            };
            if wanted.iter().all(can) {
                fitting.push(mask);
            }
        }
        if fitting.is_empty() {
            return Hints::new();
        }
        let hint = |mask: &Mask| Hint { nodes: Some(*mask), preferred: mask.count() == least };
        let hints: Vec<Hint> = fitting.iter().map(hint).collect();
        wanted.keys().map(|name| (name.clone(), hints.clone())).collect()
    }
}

fn is_concerned(pod: &Pod) -> bool {
    QosClass::of(pod) == QosClass::Guaranteed && !is_pod_level(pod)
}

/// The nodes of what is had already, if that is what is asked for; otherwise any will do.
fn again(blocks: &[Block], wanted: &Bytes) -> Hints {
    let asked = |block: &Block| wanted.get(&block.resource) == Some(&block.size);
    if blocks.len() != wanted.len() || !blocks.iter().all(asked) {
        return Hints::new();
    }
    let hint = |block: &Block| (block.resource.clone(), vec![Hint { nodes: Some(block.nodes()), preferred: true }]);
    blocks.iter().map(hint).collect()
}

/// A preferred one before others, then the narrowest.
fn best(hints: Vec<Hint>) -> Option<(Mask, bool)> {
    let mut best: Option<(Mask, bool)> = None;
    for (nodes, preferred) in hints.into_iter().filter_map(|hint| Some((hint.nodes?, hint.preferred))) {
        let better = |(than, its): (Mask, bool)| preferred && !its || preferred == its && nodes.is_narrower(than);
        if best.is_none_or(better) {
            best = Some((nodes, preferred));
        }
    }
    best
}

/// The machine when these have what they have.
fn expected(fresh: Cells, entries: &Entries) -> Result<Cells, StateError> {
    let mut cells = fresh;
    for (pod, containers) in entries {
        for (container, blocks) in containers {
            let owner = || (pod.clone(), container.clone());
            for block in blocks {
                for id in &block.numa_affinity {
                    let no_node = || {
                        let (pod, container) = owner();
                        StateError::NoNode { pod, container }
                    };
                    let cell = cells.get(id).ok_or_else(no_node)?;
                    if !cell.memory_map.contains_key(&block.resource) {
                        let (pod, container) = owner();
                        return Err(StateError::NoResource { pod, container });
                    }
                }
                machine::take(&mut cells, &block.numa_affinity, &block.resource, block.size);
            }
        }
    }
    Ok(cells)
}
