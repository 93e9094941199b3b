//! Processors in equal parts of several NUMA nodes (`distribute-cpus-across-numa`).
//!
//! Upstream: `takeByTopologyNUMADistributed` of `pkg/kubelet/cm/cpumanager/cpu_assignment.go`.

use super::cpuset::CpuSet;
use super::take::{Manner, TakeError, Taking, packed};
use super::topology::{Level, Topology};
use std::collections::BTreeMap;

/// Takes so many, in groups of `group`, from as few nodes as can give equal parts.
///
/// # Errors
/// There are not so many.
pub fn distributed(
    topology: &Topology,
    free: &CpuSet,
    wanted: usize,
    group: usize,
    spread: bool,
) -> Result<CpuSet, TakeError> {
    let manner = Manner { spread, by_cache: false };
    if group == 0 || !wanted.is_multiple_of(group) {
        return packed(topology, free, wanted, manner);
    }
    let mut taking = Taking::new(topology, free, wanted);
    if wanted == 0 {
        return Ok(CpuSet::default());
    }
    taking.check(free)?;
    let nodes = taking.sorted(Level::Node);
    let sizes: BTreeMap<usize, usize> = nodes.iter().map(|n| (*n, taking.free.within(Level::Node, *n).len())).collect();
    for count in range(topology, nodes.len(), wanted, group) {
        let Some(plan) = best_plan(&nodes, &sizes, count, wanted, group) else { continue };
        for node in &plan.nodes {
            give(&mut taking, *node, plan.each, manner)?;
        }
        while taking.needed > 0 {
            let before = taking.needed;
            for node in &plan.remainder {
                if taking.needed > 0 && taking.free.within(Level::Node, *node).len() >= group {
                    give(&mut taking, *node, group, manner)?;
                }
            }
            if taking.needed == before {
                return Err(TakeError::Accounting(before));
            }
        }
        return Ok(taking.taken);
    }
    packed(topology, free, wanted, manner)
}

fn give(taking: &mut Taking<'_>, node: usize, count: usize, manner: Manner) -> Result<(), TakeError> {
    let free = taking.free.within(Level::Node, node);
    let cpus = packed(taking.topology, &free, count, manner)?;
    taking.take(&cpus);
    Ok(())
}

/// How many nodes may do.
fn range(topology: &Topology, available: usize, wanted: usize, group: usize) -> std::ops::RangeInclusive<usize> {
    let groups_per_node = topology.cpus.len().div_ceil(group).div_ceil(topology.nodes.max(1)).max(1);
    let groups = wanted.div_ceil(group);
    groups.div_ceil(groups_per_node)..=groups.min(available)
}

/// Who gives how many.
struct Plan {
    nodes: Vec<usize>,
    /// So many from each.
    each: usize,
    /// These give what is left, one group after the other.
    remainder: Vec<usize>,
}

/// The plan after which what is left is spread most evenly.
fn best_plan(
    nodes: &[usize],
    sizes: &BTreeMap<usize, usize>,
    count: usize,
    wanted: usize,
    group: usize,
) -> Option<Plan> {
    let each = (wanted / count / group) * group;
    let mut best: Option<(f64, Plan)> = None;
    for combination in combinations(nodes, count) {
        if best.as_ref().is_some_and(|(balance, _)| *balance == 0.0) {
            break;
        }
        let size = |node: &usize| sizes.get(node).copied().unwrap_or(0);
        let in_groups: usize = combination.iter().map(|node| size(node) / group * group).sum();
        if in_groups < wanted || combination.iter().any(|node| size(node) < each) {
            continue;
        }
        let mut left = sizes.clone();
        combination.iter().for_each(|node| *left.entry(*node).or_default() -= each);
        let Some((balance, remainder)) = best_remainder(&combination, &left, wanted - each * count, group) else {
            continue;
        };
        if best.as_ref().is_none_or(|(other, _)| balance < *other) {
            best = Some((balance, Plan { nodes: combination, each, remainder }));
        }
    }
    best.map(|(_, plan)| plan)
}

/// From which nodes the rest is best taken, and how uneven what is left then is.
fn best_remainder(
    combination: &[usize],
    left: &BTreeMap<usize, usize>,
    remainder: usize,
    group: usize,
) -> Option<(f64, Vec<usize>)> {
    if remainder == 0 {
        return Some((deviation(left), Vec::new()));
    }
    let size = |node: &usize| left.get(node).copied().unwrap_or(0);
    let able: Vec<usize> = combination.iter().copied().filter(|node| size(node) >= group).collect();
    let mut best: Option<(f64, Vec<usize>)> = None;
    for count in (1..=able.len()).rev() {
        for subset in combinations(&able, count) {
            let Some(after) = without(left, &subset, remainder, group) else { continue };
            let balance = deviation(&after);
            if best.as_ref().is_none_or(|(other, _)| balance < *other) {
                best = Some((balance, subset));
            }
        }
    }
    best
}

/// What is left when these nodes have given the rest in turns; `None` if they cannot.
fn without(
    left: &BTreeMap<usize, usize>,
    subset: &[usize],
    mut remainder: usize,
    group: usize,
) -> Option<BTreeMap<usize, usize>> {
    let mut left = left.clone();
    while remainder > 0 {
        let before = remainder;
        for node in subset {
            let size = left.entry(*node).or_default();
            if remainder > 0 && *size >= group {
                *size -= group;
                remainder = remainder.saturating_sub(group);
            }
        }
        if remainder == before {
            return None;
        }
    }
    Some(left)
}

/// The standard deviation, in thousandths like the mean that it is computed from.
fn deviation(sizes: &BTreeMap<usize, usize>) -> f64 {
    let rounded = |x: f64| (x * 1000.0).round() / 1000.0;
    let count = sizes.len() as f64;
    let mean = rounded(sizes.values().map(|size| *size as f64).sum::<f64>() / count);
    let squares: f64 = sizes.values().map(|size| (*size as f64 - mean).powi(2)).sum();
    rounded((squares / count).sqrt())
}

/// All ways to choose so many, in the order of the list.
fn combinations(all: &[usize], count: usize) -> Combinations<'_> {
    Combinations { all, next: (count > 0 && count <= all.len()).then(|| (0..count).collect()) }
}

struct Combinations<'a> {
    all: &'a [usize],
    /// Places in the list.
    next: Option<Vec<usize>>,
}

impl Iterator for Combinations<'_> {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Vec<usize>> {
        let places = self.next.take()?;
        let out = places.iter().filter_map(|place| self.all.get(*place).copied()).collect();
        let (length, count) = (self.all.len(), places.len());
        let movable = (0..count).rev().find(|at| places[*at] < length - count + at);
        self.next = movable.map(|at| {
            let mut places = places;
            let start = places[at] + 1;
            places[at..].iter_mut().enumerate().for_each(|(step, place)| *place = start + step);
            places
        });
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::super::topology::tests::machine;
    use super::*;

    #[test]
    fn ways_to_choose() {
        let all: Vec<_> = combinations(&[7, 8, 9], 2).collect();
        assert_eq!(all, [vec![7, 8], vec![7, 9], vec![8, 9]]);
        assert_eq!(combinations(&[1], 2).count() + combinations(&[1], 0).count(), 0);
    }

    #[test]
    fn equal_parts() {
        let machine = machine(2, 2, 4, 2);
        let all = machine.cpus.all();
        let got = |wanted, group| distributed(&machine, &all, wanted, group, false).unwrap().to_string();
        assert_eq!(got(4, 1), "0-3");
        assert_eq!(got(12, 2), "0-5,8-13");
        assert_eq!(got(10, 1), "0-4,8-12");
        assert_eq!(got(26, 1), "0-6,8-14,16-21,24-29");
    }
}
