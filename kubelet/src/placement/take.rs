//! Which processors a container gets of those that are free: as close together as they can be.
//!
//! Upstream: `pkg/kubelet/cm/cpumanager/cpu_assignment.go`.

use super::cpuset::CpuSet;
use super::topology::{Cpus, Level, Topology};

/// How processors are picked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// One thread of each core first (`distribute-cpus-across-cores`).
    pub spread: bool,
    /// As few last caches as possible (`prefer-align-cpus-by-uncorecache`).
    pub by_cache: bool,
}

/// Why there are none; worded as upstream does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TakeError {
    #[error("not enough cpus available to satisfy request: requested={wanted}, available={free}")]
    TooFew { wanted: usize, free: usize },
    #[error("failed to allocate cpus")]
    Failed,
    #[error("accounting error, not enough CPUs allocated, remaining: {0}")]
    Accounting(usize),
}

/// Takes so many: whole NUMA nodes and sockets first, then caches if that is wanted, cores, and threads.
///
/// # Errors
/// There are not so many.
pub fn packed(topology: &Topology, free: &CpuSet, wanted: usize, manner: Manner) -> Result<CpuSet, TakeError> {
    let mut taking = Taking::new(topology, free, wanted);
    taking.check(free)?;
    let (first, second) = taking.order();
    taking.whole(first);
    taking.whole(second);
    if manner.by_cache {
        taking.caches();
    }
    if !manner.spread {
        taking.whole(Level::Core);
    }
    taking.threads(manner.spread);
    if taking.needed == 0 { Ok(taking.taken) } else { Err(TakeError::Failed) }
}

/// Processors being taken.
pub(super) struct Taking<'t> {
    pub(super) topology: &'t Topology,
    pub(super) free: Cpus,
    pub(super) needed: usize,
    pub(super) taken: CpuSet,
}

impl<'t> Taking<'t> {
    pub(super) fn new(topology: &'t Topology, free: &CpuSet, needed: usize) -> Self {
        Self { topology, free: topology.cpus.only(free), needed, taken: CpuSet::default() }
    }

    pub(super) fn check(&self, free: &CpuSet) -> Result<(), TakeError> {
        if self.needed <= self.free.len() {
            return Ok(());
        }
        Err(TakeError::TooFew { wanted: self.needed, free: free.len() })
    }

    /// Of sockets and NUMA nodes, what lies inside of the other comes second.
    fn order(&self) -> (Level, Level) {
        if self.topology.sockets >= self.topology.nodes {
            (Level::Node, Level::Socket)
        } else {
            (Level::Socket, Level::Node)
        }
    }

    pub(super) fn take(&mut self, cpus: &CpuSet) {
        self.taken = self.taken.union(cpus);
        self.free.remove(&self.taken);
        self.needed = self.needed.saturating_sub(cpus.len());
    }

    /// Takes groups that are free as a whole, as long as so many processors are needed.
    fn whole(&mut self, level: Level) {
        for group in self.sorted(level) {
            if !self.is_whole(level, group) {
                continue;
            }
            let cpus = self.topology.cpus.within(level, group);
            if self.needed > 0 && self.needed >= cpus.len() {
                self.take(&cpus);
            }
        }
    }

    fn is_whole(&self, level: Level, group: usize) -> bool {
        let free = self.free.within(level, group).len();
        free > 0
            && free
                == match level {
                    // On machines whose groups differ in size the average counts, as upstream.
                    Level::Core => self.topology.per_core(),
                    Level::Socket => self.topology.per_socket(),
                    Level::Node | Level::Cache => self.topology.cpus.within(level, group).len(),
                }
    }

    /// Whole caches while so many processors are needed, or else the rest from one.
    fn caches(&mut self) {
        for cache in self.sorted(Level::Cache) {
            if self.needed >= self.topology.per_cache() {
                self.whole(Level::Cache);
            }
            if self.needed > 0 {
                self.rest_of_cache(cache);
            }
            if self.needed == 0 {
                return;
            }
        }
    }

    fn rest_of_cache(&mut self, cache: usize) {
        let per_core = self.topology.per_core().max(1);
        let cores = self.free.groups_within(Level::Core, Level::Cache, cache);
        let cores: CpuSet = cores.iter().take(self.needed.div_ceil(per_core)).collect();
        let mut cpus: Vec<usize> = cores.iter().flat_map(|core| self.within_free(Level::Core, core)).collect();
        cpus.sort_unstable();
        if !self.needed.is_multiple_of(2) && per_core > 1 && cpus.len() > self.needed {
            cpus.pop();
        }
        if cpus.len() == self.needed {
            self.take(&cpus.into_iter().collect());
        }
    }

    fn threads(&mut self, spread: bool) {
        if self.needed == 0 {
            return;
        }
        let level = if spread { Level::Socket } else { Level::Core };
        let groups = self.sorted(level);
        let cpus: Vec<usize> = groups.iter().flat_map(|group| self.within_free(level, *group)).collect();
        for cpu in cpus {
            self.take(&[cpu].into_iter().collect());
            if self.needed == 0 {
                return;
            }
        }
    }

    fn within_free(&self, level: Level, group: usize) -> Vec<usize> {
        self.free.within(level, group).iter().collect()
    }

    /// The groups that have free processors, those with the fewest first, inside of what they are part of.
    pub(super) fn sorted(&self, level: Level) -> Vec<usize> {
        let outer = match (level, self.order()) {
            (level, (first, _)) if level == first => return self.by_size(self.free.groups(level), level),
            (Level::Cache, _) => Level::Node,
            (Level::Core, (_, second)) => second,
            (_, (first, _)) => first,
        };
        let outer_groups = self.sorted(outer);
        let inside = |group: usize| self.by_size(self.free.groups_within(level, outer, group), level);
        outer_groups.into_iter().flat_map(inside).collect()
    }

    fn by_size(&self, groups: CpuSet, level: Level) -> Vec<usize> {
        let mut all: Vec<(usize, usize)> = groups.iter().map(|g| (self.free.within(level, g).len(), g)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, group)| group).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::topology::tests::machine;
    use super::*;

    fn taken(free: &str, wanted: usize, manner: Manner) -> String {
        let machine = machine(2, 1, 4, 2);
        packed(&machine, &CpuSet::parse(free).unwrap(), wanted, manner).unwrap().to_string()
    }

    #[test]
    fn what_is_close_together_is_taken() {
        let plain = Manner::default();
        for (free, wanted, want) in [
            ("0-15", 8, "0-7"),
            ("1-15", 8, "8-15"),
            ("0-15", 2, "0-1"),
            ("0-15", 3, "0-2"),
            ("1-15", 1, "1"),
            ("0-15", 10, "0-9"),
            ("1-3,8-15", 2, "2-3"),
            ("0-15", 0, ""),
        ] {
            assert_eq!(taken(free, wanted, plain), want, "{free} {wanted}");
        }
        assert_eq!(taken("0-15", 3, Manner { by_cache: true, ..plain }), "0-2");
    }

    #[test]
    fn there_are_no_more_than_there_are() {
        let machine = machine(1, 1, 2, 1);
        let error = packed(&machine, &CpuSet::parse("0-1").unwrap(), 3, Manner::default()).unwrap_err();
        assert_eq!(error.to_string(), "not enough cpus available to satisfy request: requested=3, available=2");
    }
}
