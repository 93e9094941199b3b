//! One choice of NUMA nodes out of what each resource could have: the topology manager's policies.
//!
//! Upstream: `pkg/kubelet/cm/topologymanager/{policy,policy_*,numa_info}.go`, which goes through all combinations of hints.
//! Here equal intermediate results are looked at once, which comes to the same as upstream's comparison orders all results.

use super::hints::{Hint, Hints, Mask};
use super::numa::Node;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// `topologyManagerPolicy`, apart from `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The best there is, whatever it is.
    BestEffort,
    /// The best there is, and only if no resource could have been closer together.
    Restricted,
    /// One NUMA node for everything.
    SingleNode,
}

/// A policy on a machine.
#[derive(Clone, Debug)]
pub struct Merger {
    pub policy: Policy,
    /// Of as many nodes, those that are closest to each other.
    pub closest: bool,
    pub nodes: Vec<Node>,
}

/// A combination of hints so far: the nodes that are in all of them, and whether all are preferred and the same.
type Combined = (Option<Mask>, bool);

impl Merger {
    /// The best that suits all providers; whether the policy admits it.
    pub fn merge(&self, providers: &[Hints]) -> (Hint, bool) {
        let all = self.every_node();
        let lists = self.lists(providers);
        let best = self.best(&lists).unwrap_or(Hint { nodes: Some(all), preferred: false });
        let best = match self.policy {
            Policy::SingleNode if best.nodes == Some(all) => Hint { nodes: None, ..best },
            _ => best,
        };
        (best, self.policy == Policy::BestEffort || best.preferred)
    }

    /// The numbers of the machine's nodes.
    pub fn ids(&self) -> Vec<usize> {
        self.nodes.iter().map(|node| node.id).collect()
    }

    fn every_node(&self) -> Mask {
        self.nodes.iter().map(|node| node.id).collect()
    }

    fn lists(&self, providers: &[Hints]) -> Vec<Vec<Hint>> {
        let alone = |hint: &Hint| hint.preferred && hint.nodes.is_none_or(|nodes| nodes.count() == 1);
        let list = |hints: &Vec<Hint>| {
            let nowhere = vec![Hint { nodes: None, preferred: false }];
            let hints = if hints.is_empty() { nowhere } else { hints.clone() };
            let keep = |hint: &Hint| self.policy != Policy::SingleNode || alone(hint);
            hints.into_iter().filter(keep).collect()
        };
        providers.iter().flat_map(|hints| hints.values()).map(list).collect()
    }

    fn best(&self, lists: &[Vec<Hint>]) -> Option<Hint> {
        let narrowest = |hints: &Vec<Hint>| hints.iter().filter_map(|hint| hint.nodes).map(Mask::count).min();
        let needed = lists.iter().filter_map(narrowest).max().unwrap_or(0);
        let mut combined: BTreeSet<Combined> = [(None, true)].into();
        for hints in lists {
            combined = combined.iter().flat_map(|so_far| hints.iter().map(|hint| combine(*so_far, *hint))).collect();
        }
        let all = self.every_node();
        let whole = |(nodes, preferred): Combined| (nodes.map_or(all, |nodes| nodes.and(all)), preferred);
        let some = combined.into_iter().map(whole).filter(|(nodes, _)| nodes.count() > 0);
        let best = some.min_by(|one, other| self.order(*one, *other, needed));
        best.map(|(nodes, preferred)| Hint { nodes: Some(nodes), preferred })
    }

    /// The better one first. Of what is not preferred, it is best to have as many nodes as the resource that needs
    /// most of them, then fewer, then more.
    fn order(&self, one: (Mask, bool), other: (Mask, bool), needed: u32) -> Ordering {
        let by_preference = other.1.cmp(&one.1);
        let distance = |mask: Mask| match mask.count().cmp(&needed) {
            Ordering::Equal => (0, 0),
            Ordering::Less => (1, needed - mask.count()),
            Ordering::Greater => (2, mask.count() - needed),
        };
        let by_width = if one.1 { Ordering::Equal } else { distance(one.0).cmp(&distance(other.0)) };
        by_preference.then(by_width).then_with(|| self.order_masks(one.0, other.0))
    }

    fn order_masks(&self, one: Mask, other: Mask) -> Ordering {
        let by_distance = if self.closest && self.policy != Policy::SingleNode {
            self.average(one).total_cmp(&self.average(other))
        } else {
            Ordering::Equal
        };
        one.count().cmp(&other.count()).then(by_distance).then(one.cmp(&other))
    }

    /// The average distance of the nodes to each other and themselves.
    fn average(&self, mask: Mask) -> f64 {
        let of = |id| self.nodes.iter().find(|node| node.id == id);
        let to = |node: &Node, other: usize| node.distances.get(other).copied().unwrap_or(0) as f64;
        let sum: f64 =
            mask.nodes().filter_map(of).map(|node| mask.nodes().map(|other| to(node, other)).sum::<f64>()).sum();
        let count = f64::from(mask.count().max(1));
        sum / (count * count)
    }
}

fn combine((so_far, preferred): Combined, hint: Hint) -> Combined {
    let same = so_far.is_none() || hint.nodes.is_none() || so_far == hint.nodes;
    let nodes = match (so_far, hint.nodes) {
        (Some(one), Some(other)) => Some(one.and(other)),
        (one, other) => one.or(other),
    };
    (nodes, preferred && hint.preferred && same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(masks: &[(&[usize], bool)]) -> Hints {
        let hint = |(nodes, preferred): &(&[usize], bool)| Hint {
            nodes: Some(nodes.iter().copied().collect()),
            preferred: *preferred,
        };
        Hints::from([("x".to_owned(), masks.iter().map(hint).collect())])
    }

    fn merged(policy: Policy, providers: &[Hints]) -> (String, bool, bool) {
        let node = |id| Node { id, distances: vec![10; 2], ..Node::default() };
        let merger = Merger { policy, closest: false, nodes: vec![node(0), node(1)] };
        let (hint, admitted) = merger.merge(providers);
        (hint.nodes.map_or("any".to_owned(), |nodes| nodes.to_string()), hint.preferred, admitted)
    }

    #[test]
    fn policies_differ_in_what_they_admit() {
        let apart = [hints(&[(&[0], true), (&[0, 1], false)]), hints(&[(&[1], true), (&[0, 1], false)])];
        for (policy, want) in [
            (Policy::BestEffort, ("01", false, true)),
            (Policy::Restricted, ("01", false, false)),
            (Policy::SingleNode, ("any", false, false)),
        ] {
            assert_eq!(merged(policy, &apart), (want.0.to_owned(), want.1, want.2), "{policy:?}");
        }
        let wide = [hints(&[(&[0, 1], true)]), Hints::new()];
        assert_eq!(merged(Policy::Restricted, &wide), ("11".to_owned(), true, true));
        assert_eq!(merged(Policy::SingleNode, &wide), ("any".to_owned(), false, false));
        assert_eq!(merged(Policy::SingleNode, &[Hints::new()]), ("any".to_owned(), true, true));
    }
}
