//! How the machine's processors are grouped.
//!
//! Upstream: `pkg/kubelet/cm/cpumanager/topology`.

use super::cpuset::CpuSet;
use std::collections::BTreeMap;

/// What a processor (a hardware thread) is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// The lowest number of its threads.
    pub core: usize,
    pub socket: usize,
    /// The NUMA node.
    pub node: usize,
    /// The processors that share its last cache.
    pub cache: usize,
}

/// Groups of processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Core,
    Socket,
    Node,
    Cache,
}

/// Some of the machine's processors by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpus(BTreeMap<usize, Cpu>);

impl Cpus {
    pub fn get(&self, cpu: usize) -> Option<Cpu> {
        self.0.get(&cpu).copied()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their numbers.
    pub fn all(&self) -> CpuSet {
        self.0.keys().copied().collect()
    }

    pub fn only(&self, cpus: &CpuSet) -> Self {
        Self(self.0.iter().filter(|(cpu, _)| cpus.contains(**cpu)).map(|(cpu, info)| (*cpu, *info)).collect())
    }

    pub fn remove(&mut self, cpus: &CpuSet) {
        self.0.retain(|cpu, _| !cpus.contains(*cpu));
    }

    /// The groups that they are in.
    pub fn groups(&self, level: Level) -> CpuSet {
        self.0.values().map(|cpu| cpu.of(level)).collect()
    }

    /// The processors of one group.
    pub fn within(&self, level: Level, group: usize) -> CpuSet {
        self.0.iter().filter(|(_, cpu)| cpu.of(level) == group).map(|(number, _)| *number).collect()
    }

    /// The groups of a level that have processors in one group of another level.
    pub fn groups_within(&self, level: Level, outer: Level, group: usize) -> CpuSet {
        self.0.values().filter(|cpu| cpu.of(outer) == group).map(|cpu| cpu.of(level)).collect()
    }
}

impl FromIterator<(usize, Cpu)> for Cpus {
    fn from_iter<I: IntoIterator<Item = (usize, Cpu)>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

impl Cpu {
    fn of(&self, level: Level) -> usize {
        match level {
            Level::Core => self.core,
            Level::Socket => self.socket,
            Level::Node => self.node,
            Level::Cache => self.cache,
        }
    }
}

/// The whole machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    pub cpus: Cpus,
    pub cores: usize,
    pub sockets: usize,
    pub nodes: usize,
    pub caches: usize,
}

impl Topology {
    pub fn new(cpus: Cpus) -> Self {
        let count = |level| cpus.groups(level).len();
        Self {
            cores: count(Level::Core),
            sockets: count(Level::Socket),
            nodes: count(Level::Node),
            caches: count(Level::Cache),
            cpus,
        }
    }

    /// Threads of a core; 0 for a machine without processors, as below.
    pub fn per_core(&self) -> usize {
        self.cpus.len().checked_div(self.cores).unwrap_or(0)
    }

    pub fn per_socket(&self) -> usize {
        self.cpus.len().checked_div(self.sockets).unwrap_or(0)
    }

    pub fn per_cache(&self) -> usize {
        self.cpus.len().checked_div(self.caches).unwrap_or(0)
    }

    /// Whether these share their last cache.
    pub fn share_cache(&self, cpus: &CpuSet) -> bool {
        let caches: Vec<_> = cpus.iter().map(|cpu| self.cpus.get(cpu).map(|cpu| cpu.cache)).collect();
        caches.len() <= 1 || caches.iter().all(|cache| cache.is_some() && *cache == caches[0])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A machine whose threads of a core have neighbouring numbers; each socket has so many nodes of so many cores.
    pub(in crate::placement) fn machine(sockets: usize, nodes: usize, cores: usize, threads: usize) -> Topology {
        let all = (0..sockets * nodes * cores * threads).map(|number| {
            let core = number / threads;
            let node = core / cores;
            let cpu = Cpu { core: core * threads, socket: node / nodes, node, cache: node };
            (number, cpu)
        });
        Topology::new(all.collect())
    }

    #[test]
    fn groups_are_counted_and_found() {
        let machine = machine(2, 2, 3, 2);
        assert_eq!((machine.cores, machine.sockets, machine.nodes, machine.caches), (12, 2, 4, 4));
        assert_eq!((machine.per_core(), machine.per_socket(), machine.per_cache()), (2, 12, 6));
        assert_eq!(machine.cpus.within(Level::Node, 1).to_string(), "6-11");
        assert_eq!(machine.cpus.groups_within(Level::Node, Level::Socket, 1).to_string(), "2-3");
        assert!(machine.share_cache(&CpuSet::parse("0-5").unwrap()));
        assert!(!machine.share_cache(&CpuSet::parse("5-6").unwrap()));
    }
}
