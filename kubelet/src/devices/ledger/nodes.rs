//! Devices by NUMA node: from which nodes a container can have them, and which of them are close to the rest.
//!
//! Upstream: `pkg/kubelet/cm/devicemanager/{topology_hints,manager}.go` (`filterByAffinity`).

use super::{Choice, Device, Ids, Ledger, Open, Resource};
use crate::placement::hints::{Hint, Mask};
use std::collections::BTreeSet;

impl Ledger {
    /// From which of the machine's nodes an owner can have so many devices; `None` if it is all the same. The owner is a
    /// container, or without one the pod as a whole.
    pub fn hints(
        &self,
        (pod, container): (&str, Option<&str>),
        resource: &str,
        wanted: usize,
        reusable: &Ids,
        machine: &[usize],
    ) -> Option<Vec<Hint>> {
        let known = self.resources.get(resource).filter(|known| known.cares())?;
        let had = match container {
            Some(container) => self.granted(pod, container, resource).unwrap_or_default(),
            None => self.granted_to_pod(pod, resource),
        };
        if !had.is_empty() {
            let same = had.len() == wanted;
            return Some(if same { known.hints(&had, &Ids::new(), wanted, machine) } else { Vec::new() });
        }
        let free: Ids = known.healthy().difference(&self.in_use(resource)).cloned().collect();
        let enough = free.union(reusable).count() >= wanted;
        Some(if enough { known.hints(&free, reusable, wanted, machine) } else { Vec::new() })
    }

    fn granted_to_pod(&self, pod: &str, resource: &str) -> Ids {
        let grants = self.pods.get(pod).into_iter().flat_map(|pod| pod.values());
        grants.filter_map(|grants| grants.get(resource)).flat_map(super::Grant::ids).collect()
    }

    /// Takes devices from these nodes first, and those that are nowhere last.
    pub fn align(&self, resource: &str, open: Open, nodes: Option<Mask>) -> Choice {
        let known = self.resources.get(resource).filter(|known| known.cares());
        let (Some(known), Some(nodes)) = (known, nodes) else { return Choice::Open(open) };
        let of = |id: &String| known.devices.get(id);
        let aligned: Ids = open.free.iter().filter(|id| of(id).is_some_and(|d| d.is_on(nodes))).cloned().collect();
        if aligned.len() > open.size - open.taken.len() {
            return Choice::Open(Open { free: aligned, ..open });
        }
        let taken: Ids = open.taken.union(&aligned).cloned().collect();
        if taken.len() == open.size {
            return Choice::These(taken);
        }
        let last = open.free.iter().filter(|id| of(id).is_none_or(|d| d.nodes.is_empty())).cloned().collect();
        Choice::Open(Open { free: open.free.difference(&aligned).cloned().collect(), taken, last, ..open })
    }
}

impl Device {
    fn numbers(&self) -> impl Iterator<Item = usize> + '_ {
        self.nodes.iter().filter_map(|node| usize::try_from(*node).ok())
    }

    fn is_on(&self, nodes: Mask) -> bool {
        self.numbers().any(|node| nodes.contains(node))
    }
}

impl Resource {
    /// Whether any of its devices is on a node.
    fn cares(&self) -> bool {
        self.devices.values().any(|device| !device.nodes.is_empty())
    }

    fn hints(&self, free: &Ids, reusable: &Ids, wanted: usize, machine: &[usize]) -> Vec<Hint> {
        let on: BTreeSet<usize> = self.devices.values().flat_map(Device::numbers).collect();
        let mut nodes: Vec<usize> = machine.iter().copied().filter(|node| on.contains(node)).collect();
        if nodes.is_empty() {
            nodes = machine.to_vec();
        }
        let inside = |ids: &Ids, mask: Mask| {
            ids.iter().filter(|id| self.devices.get(*id).is_some_and(|device| device.is_on(mask))).count()
        };
        let placed: Ids =
            reusable.iter().filter(|id| self.devices.get(*id).is_some_and(|d| !d.nodes.is_empty())).cloned().collect();
        let all: Ids = self.devices.keys().cloned().collect();
        let masks = Mask::all_of(&nodes);
        let enough = masks.iter().filter(|mask| inside(&all, **mask) >= wanted).map(|mask| mask.count()).min();
        let least = enough.unwrap_or(u32::MAX).min(u32::try_from(nodes.len()).unwrap_or(u32::MAX));
        let fits = |mask: &Mask| {
            let reused = inside(&placed, *mask);
            reused == placed.len() && reused + inside(free, *mask) >= wanted
        };
        let hint = |mask: Mask| Hint { nodes: Some(mask), preferred: mask.count() == least };
        masks.into_iter().filter(fits).map(hint).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::deviceplugin as api;
    use std::time::Instant;

    const GPU: &str = "example.com/gpu";

    fn ids(names: &[&str]) -> Ids {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Two on node 0, one on node 1, one nowhere.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::restore(&Default::default(), Instant::now());
        ledger.connected(GPU);
        let device = |id: &str, nodes: &[i64]| {
            let nodes: Vec<_> = nodes.iter().map(|id| api::NumaNode { id: *id }).collect();
            let topology = (!nodes.is_empty()).then_some(api::TopologyInfo { nodes });
            api::Device { id: id.into(), health: "Healthy".into(), topology }
        };
        ledger.report(GPU, vec![device("a", &[0]), device("b", &[0]), device("c", &[1]), device("d", &[])]);
        ledger
    }

    fn shown(ledger: &Ledger, container: Option<&str>, wanted: usize, reusable: &[&str]) -> Option<Vec<String>> {
        let hints = ledger.hints(("p", container), GPU, wanted, &ids(reusable), &[0, 1])?;
        let one = |hint: Hint| format!("{}{}", hint.nodes.unwrap(), if hint.preferred { "p" } else { "n" });
        Some(hints.into_iter().map(one).collect())
    }

    #[test]
    fn from_which_nodes() {
        let mut ledger = ledger();
        let some = |all: &[&str]| Some(all.iter().map(|hint| (*hint).to_owned()).collect());
        assert_eq!(shown(&ledger, Some("c"), 1, &[]), some(&["01p", "10p", "11n"]));
        assert_eq!(shown(&ledger, Some("c"), 2, &[]), some(&["01p", "11n"]));
        assert_eq!(shown(&ledger, Some("c"), 1, &["c"]), some(&["10p", "11n"]));
        assert_eq!(shown(&ledger, None, 5, &[]), some(&[]));
        ledger.grant(("p", "c"), GPU, ids(&["c"]), api::ContainerAllocateResponse::default());
        assert_eq!(shown(&ledger, Some("c"), 1, &[]), some(&["10p", "11n"]));
        assert_eq!(shown(&ledger, None, 2, &[]), some(&[]));
        assert_eq!(ledger.hints(("p", None), "x/y", 1, &Ids::new(), &[0]), None);
    }

    #[test]
    fn those_on_the_nodes_come_first() {
        let second = Some([1].into_iter().collect());
        let open = |size| Open { taken: Ids::new(), free: ids(&["a", "b", "c", "d"]), size, last: Ids::new() };
        assert_eq!(ledger().align(GPU, open(1), second), Choice::These(ids(&["c"])));
        let Choice::Open(rest) = ledger().align(GPU, open(2), second) else { panic!("it is open") };
        assert_eq!((rest.taken.clone(), rest.last.clone()), (ids(&["c"]), ids(&["d"])));
        assert_eq!(rest.close(&Ids::new()), ids(&["a", "c"]));
        let first = Some([0].into_iter().collect());
        assert_eq!(ledger().align(GPU, open(1), first), Choice::Open(Open { free: ids(&["a", "b"]), ..open(1) }));
        assert_eq!(ledger().align(GPU, open(1), None), Choice::Open(open(1)));
    }
}
