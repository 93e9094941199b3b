//! How much memory each NUMA node has, and who has what of it.
//!
//! Upstream: `pkg/kubelet/cm/memorymanager/state/state.go`.

use super::demand::Bytes;
use crate::placement::hints::Mask;
use crate::placement::numa;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The resource that is no huge page.
pub const MEMORY: &str = "memory";

/// One resource of a node, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    pub total: u64,
    pub system_reserved: u64,
    /// What containers may have at all.
    pub allocatable: u64,
    /// What they have.
    pub reserved: u64,
    pub free: u64,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cell {
    /// How many blocks are from it.
    pub number_of_assignments: i64,
    pub memory_map: BTreeMap<String, Table>,
    /// The nodes that give memory together with it, and itself.
    pub cells: Vec<usize>,
}

/// All nodes.
pub type Cells = BTreeMap<usize, Cell>;

/// What a container has of one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Block {
    pub numa_affinity: Vec<usize>,
    #[serde(rename = "type")]
    pub resource: String,
    /// Bytes.
    pub size: u64,
}

impl Block {
    /// Its nodes.
    pub fn nodes(&self) -> Mask {
        self.numa_affinity.iter().copied().collect()
    }
}

impl Cell {
    /// Bytes that are free of a resource; 0 of one that is not there.
    pub fn free(&self, resource: &str) -> u64 {
        self.memory_map.get(resource).map_or(0, |table| table.free)
    }

    /// Bytes that containers may have of a resource.
    pub fn allocatable(&self, resource: &str) -> u64 {
        self.memory_map.get(resource).map_or(0, |table| table.allocatable)
    }
}

/// The machine before anybody has anything. `reserved` is what the system keeps of each node.
pub fn fresh(nodes: &[numa::Node], reserved: &BTreeMap<usize, Bytes>) -> Cells {
    let cell = |node: &numa::Node| {
        let kept = |resource: &str| reserved.get(&node.id).and_then(|of| of.get(resource)).copied().unwrap_or(0);
        let table = |total: u64, usable: u64, resource: &str| {
            let system_reserved = kept(resource);
            let allocatable = usable.saturating_sub(system_reserved);
            Table { total, system_reserved, allocatable, reserved: 0, free: allocatable }
        };
        let mut memory_map = BTreeMap::new();
        let mut huge: u64 = 0;
        for (kib, count) in &node.huge_pages {
            let (resource, bytes) = (huge_resource(*kib), count.saturating_mul(*kib).saturating_mul(1024));
            memory_map.insert(resource.clone(), table(bytes, bytes, &resource));
            huge = huge.saturating_add(bytes);
        }
        memory_map.insert(MEMORY.to_owned(), table(node.memory, node.memory.saturating_sub(huge), MEMORY));
        (node.id, Cell { number_of_assignments: 0, memory_map, cells: vec![node.id] })
    };
    nodes.iter().map(cell).collect()
}

/// The resource of huge pages of so many KiB.
fn huge_resource(kib: u64) -> String {
    match kib {
        _ if kib >= 1 << 20 && kib.is_multiple_of(1 << 20) => format!("hugepages-{}Gi", kib >> 20),
        _ if kib >= 1 << 10 && kib.is_multiple_of(1 << 10) => format!("hugepages-{}Mi", kib >> 10),
        _ => format!("hugepages-{kib}Ki"),
    }
}

/// Takes so many bytes from these nodes, one after the other.
pub fn take(cells: &mut Cells, nodes: &[usize], resource: &str, mut bytes: u64) {
    for id in nodes {
        let Some(cell) = cells.get_mut(id) else { continue };
        cell.number_of_assignments += 1;
        cell.cells = nodes.to_vec();
        let Some(table) = cell.memory_map.get_mut(resource) else { continue };
        let taken = bytes.min(table.free);
        table.free -= taken;
        table.reserved = table.reserved.saturating_add(taken);
        bytes -= taken;
    }
}

/// Gives a block back.
pub fn give_back(cells: &mut Cells, block: &Block) {
    let mut bytes = block.size;
    for id in &block.numa_affinity {
        let Some(cell) = cells.get_mut(id) else { continue };
        cell.number_of_assignments -= 1;
        if cell.number_of_assignments == 0 {
            cell.cells = vec![*id];
        }
        let Some(table) = cell.memory_map.get_mut(&block.resource) else { continue };
        let given = bytes.min(table.reserved);
        table.reserved -= given;
        table.free = table.free.saturating_add(given);
        bytes -= given;
    }
}

/// Whether two machines are the same, wherever in a group of nodes the memory is taken.
pub fn are_alike(one: &Cells, other: &Cells) -> bool {
    let sorted = |cells: &[usize]| {
        let mut cells = cells.to_vec();
        cells.sort_unstable();
        cells
    };
    let same = |(id, cell): (&usize, &Cell)| {
        let Some(twin) = other.get(id) else { return false };
        let tables = cell.memory_map.iter().all(|(resource, table)| {
            let sizes = |t: &Table| (t.total, t.system_reserved, t.allocatable);
            let sum = |of: &Cells| {
                let tables = cell.cells.iter().filter_map(|id| of.get(id)?.memory_map.get(resource));
                tables.fold((0_u64, 0_u64), |(f, r), t| (f.saturating_add(t.free), r.saturating_add(t.reserved)))
            };
            twin.memory_map.get(resource).is_some_and(|twin| sizes(twin) == sizes(table)) && sum(one) == sum(other)
        });
        cell.number_of_assignments == twin.number_of_assignments
            && sorted(&cell.cells) == sorted(&twin.cells)
            && cell.memory_map.len() == twin.memory_map.len()
            && tables
    };
    one.len() == other.len() && one.iter().all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_taken_and_given_back() {
        let node = |id| numa::Node { id, memory: 10 << 20, huge_pages: [(2048, 1)].into(), ..numa::Node::default() };
        let reserved = BTreeMap::from([(0, Bytes::from([(MEMORY.to_owned(), 1 << 20)]))]);
        let empty = fresh(&[node(0), node(1)], &reserved);
        assert_eq!([empty[&0].free(MEMORY), empty[&1].free(MEMORY)], [7 << 20, 8 << 20]);
        assert_eq!(empty[&0].free("hugepages-2Mi"), 2 << 20);
        let mut cells = empty.clone();
        let block = Block { numa_affinity: vec![0, 1], resource: MEMORY.to_owned(), size: 9 << 20 };
        take(&mut cells, &block.numa_affinity, MEMORY, block.size);
        assert_eq!([cells[&0].free(MEMORY), cells[&1].free(MEMORY)], [0, 6 << 20]);
        assert_eq!(cells[&1].cells, [0, 1]);
        assert!(!are_alike(&cells, &empty));
        give_back(&mut cells, &block);
        assert_eq!(cells, empty);
        assert_eq!([4, 2048, 1 << 20].map(huge_resource), ["hugepages-4Ki", "hugepages-2Mi", "hugepages-1Gi"]);
    }
}
