//! On which NUMA nodes a resource can be had.
//!
//! Upstream: `pkg/kubelet/cm/topologymanager/{bitmask,topology_manager.go}`.

use std::collections::BTreeMap;
use std::fmt;

/// The highest number of NUMA nodes that a mask can tell apart.
pub const MOST_NODES: usize = 64;

/// A set of NUMA nodes below 64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mask(u64);

impl Mask {
    pub fn count(self) -> u32 {
        self.0.count_ones()
    }

    pub fn contains(self, node: usize) -> bool {
        node < MOST_NODES && self.0 & (1 << node) != 0
    }

    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn nodes(self) -> impl Iterator<Item = usize> {
        (0..MOST_NODES).filter(move |node| self.contains(*node))
    }

    /// Fewer nodes, or as many with lower numbers.
    pub fn is_narrower(self, other: Self) -> bool {
        if self.count() == other.count() { self.is_less(other) } else { self.count() < other.count() }
    }

    /// Of two as wide ones, the one with the lower numbers.
    pub fn is_less(self, other: Self) -> bool {
        self.0 < other.0
    }

    /// All sets of these nodes but the empty one: the narrow ones first.
    pub fn all_of(nodes: &[usize]) -> Vec<Self> {
        let mut out = Vec::new();
        for size in 1..=nodes.len() {
            choose(nodes, size, Self(0), &mut out);
        }
        out
    }
}

fn choose(nodes: &[usize], size: usize, so_far: Mask, out: &mut Vec<Mask>) {
    if size == 0 {
        out.push(so_far);
        return;
    }
    for (at, node) in nodes.iter().enumerate() {
        let with = so_far.0 | [*node].into_iter().collect::<Mask>().0;
        choose(&nodes[at + 1..], size - 1, Mask(with), out);
    }
}

impl FromIterator<usize> for Mask {
    /// Numbers of 64 and more are left out.
    fn from_iter<I: IntoIterator<Item = usize>>(nodes: I) -> Self {
        Self(nodes.into_iter().filter(|node| *node < MOST_NODES).fold(0, |mask, node| mask | 1 << node))
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >> 2 == 0 { write!(f, "{:02b}", self.0) } else { write!(f, "{:b}", self.0) }
    }
}

/// Nodes from which a resource can be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hint {
    /// `None`: from any.
    pub nodes: Option<Mask>,
    /// Not more nodes than it takes.
    pub preferred: bool,
}

/// The hints of one provider by resource; no entry means that any node will do, an empty list that none will.
pub type Hints = BTreeMap<String, Vec<Hint>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks() {
        let all = Mask::all_of(&[0, 1, 2]);
        let texts: Vec<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["01", "10", "100", "11", "101", "110", "111"]);
        assert!(all[1].is_narrower(all[3]) && all[0].is_narrower(all[1]) && !all[3].is_narrower(all[3]));
        assert_eq!(all[4].nodes().collect::<Vec<_>>(), [0, 2]);
        assert_eq!([99].into_iter().collect::<Mask>().count(), 0);
    }
}
