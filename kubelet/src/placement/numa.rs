//! The machine's NUMA nodes as /sys tells of them: their memory, and how far they are from each other.
//!
//! Upstream: cadvisor's `utils/sysinfo/sysinfo.go` and `machine/machine.go`.

use super::discover::{DiscoverError, number, text};
use super::hints::MOST_NODES;
use std::collections::BTreeMap;
use std::path::Path;

/// Sizes of pages that a machine may have at most.
const MOST_SIZES: usize = 16;

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub id: usize,
    /// Bytes, with those of huge pages.
    pub memory: u64,
    /// How many huge pages there are of each size in KiB.
    pub huge_pages: BTreeMap<u64, u64>,
    /// To each of the nodes.
    pub distances: Vec<u64>,
}

/// The nodes below `sys`, which is /sys; a machine whose kernel knows none is one that has `memory` bytes.
///
/// # Errors
/// Something of them cannot be read.
pub fn nodes(sys: &Path, memory: u64) -> Result<Vec<Node>, DiscoverError> {
    let folder = sys.join("devices/system/node");
    let there = (0..MOST_NODES).filter(|id| folder.join(format!("node{id}")).is_dir());
    let nodes = there.map(|id| node(&folder.join(format!("node{id}")), id)).collect::<Result<Vec<_>, _>>()?;
    if !nodes.is_empty() {
        return Ok(nodes);
    }
    let huge_pages = huge_pages(&sys.join("kernel/mm/hugepages"))?;
    Ok(vec![Node { id: 0, memory, huge_pages, distances: vec![10] }])
}

fn node(folder: &Path, id: usize) -> Result<Node, DiscoverError> {
    let path = folder.join("meminfo");
    let text_of = text(&path)?;
    let total = text_of.lines().find_map(|line| line.split_once("MemTotal:"));
    let kib = total.and_then(|(_, rest)| rest.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
    let kib = kib.ok_or_else(|| DiscoverError::Number { path, text: text_of.chars().take(80).collect() })?;
    let path = folder.join("distance");
    // Kernels for one node may not have the file.
    let distances = if path.exists() { distances(&path)? } else { Vec::new() };
    Ok(Node { id, memory: kib.saturating_mul(1024), huge_pages: huge_pages(&folder.join("hugepages"))?, distances })
}

fn distances(path: &Path) -> Result<Vec<u64>, DiscoverError> {
    let all = text(path)?;
    let read = all.split_whitespace().take(MOST_NODES).map(str::parse).collect::<Result<_, _>>();
    read.map_err(|_| DiscoverError::Number { path: path.to_owned(), text: all.clone() })
}

fn huge_pages(folder: &Path) -> Result<BTreeMap<u64, u64>, DiscoverError> {
    let read = match std::fs::read_dir(folder) {
        Ok(read) => read,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(source) => return Err(DiscoverError::Read { path: folder.to_owned(), source }),
    };
    let mut out = BTreeMap::new();
    for entry in read.take(MOST_SIZES).flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let size =
            name.strip_prefix("hugepages-").and_then(|size| size.strip_suffix("kB")).and_then(|n| n.parse().ok());
        if let Some(size) = size {
            out.insert(size, number(&entry.path().join("nr_hugepages"))? as u64);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_memory_huge_pages_and_distances() {
        let root = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let file = root.path().join("devices/system/node").join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        assert_eq!(nodes(root.path(), 7).unwrap(), [Node { memory: 7, distances: vec![10], ..Node::default() }]);
        write("node0/meminfo", "Node 0 MemTotal:       4 kB\nNode 0 MemFree: 1 kB\n");
        write("node0/distance", "10 21\n");
        write("node0/hugepages/hugepages-2048kB/nr_hugepages", "3\n");
        write("node2/meminfo", "Node 2 MemTotal:       8 kB\n");
        let got = nodes(root.path(), 7).unwrap();
        let first = Node { id: 0, memory: 4096, huge_pages: [(2048, 3)].into(), distances: vec![10, 21] };
        assert_eq!(got, [first, Node { id: 2, memory: 8192, ..Node::default() }]);
        write("node2/meminfo", "nothing");
        assert!(matches!(nodes(root.path(), 7), Err(DiscoverError::Number { .. })));
    }

    #[test]
    fn this_machine() {
        assert!(nodes(Path::new("/sys"), 0).unwrap().iter().any(|node| node.memory > 0));
    }
}
