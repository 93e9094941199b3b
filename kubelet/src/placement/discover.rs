//! The machine's layout as /sys tells it.
//!
//! Upstream: cadvisor's `utils/sysinfo`, `topology.Discover`.

use super::cpuset::{CpuSet, CpuSetError};
use super::hints::MOST_NODES;
use super::topology::{Cpu, Cpus, Topology};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// No file that is read here is longer.
const LONGEST: u64 = 64 << 10;
/// Caches that a processor may have at most.
const MOST_CACHES: usize = 16;

/// A machine that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} lists no processors: {why}")]
    List { path: PathBuf, why: CpuSetError },
    #[error("{path} is no number: {text:?}")]
    Number { path: PathBuf, text: String },
    #[error("could not detect number of cpus")]
    Nothing,
}

/// Reads the layout of the processors that are online below `sys`, which is /sys.
///
/// # Errors
/// It cannot be read.
pub fn discover(sys: &Path) -> Result<Topology, DiscoverError> {
    let folder = sys.join("devices/system/cpu");
    let online = list(&folder.join("online"))?;
    let nodes = nodes(sys)?;
    let mut cpus = BTreeMap::new();
    for cpu in online.iter() {
        let folder = folder.join(format!("cpu{cpu}"));
        let socket = number(&folder.join("topology/physical_package_id"))?;
        let threads = list(&folder.join("topology/thread_siblings_list"))?.intersection(&online);
        let core = threads.iter().next().unwrap_or(cpu);
        let node = nodes.iter().find(|(_, of)| of.contains(cpu)).map_or(socket, |(node, _)| *node);
        let of_node = nodes.get(&node).map_or(0, |of| of.intersection(&online).len());
        let cache = part_of_node(&folder, of_node).unwrap_or(socket);
        cpus.insert(cpu, Cpu { core, socket, node, cache });
    }
    if cpus.is_empty() { Err(DiscoverError::Nothing) } else { Ok(Topology::new(cpus.into_iter().collect::<Cpus>())) }
}

/// The processors of each NUMA node; none on kernels without NUMA, where each socket is one.
fn nodes(sys: &Path) -> Result<BTreeMap<usize, CpuSet>, DiscoverError> {
    let folder = sys.join("devices/system/node");
    let mut out = BTreeMap::new();
    for node in 0..MOST_NODES {
        let file = folder.join(format!("node{node}/cpulist"));
        if file.exists() {
            out.insert(node, list(&file)?);
        }
    }
    Ok(out)
}

/// The last cache, if only some of the node's processors share it.
fn part_of_node(cpu: &Path, of_node: usize) -> Option<usize> {
    let caches = (0..MOST_CACHES).map(|index| cpu.join(format!("cache/index{index}")));
    let mut last = caches.filter(|cache| number(&cache.join("level")).is_ok_and(|level| level > 2));
    let cache = last.find(|cache| list(&cache.join("shared_cpu_list")).is_ok_and(|of| of.len() != of_node))?;
    number(&cache.join("id")).ok()
}

fn list(path: &Path) -> Result<CpuSet, DiscoverError> {
    CpuSet::parse(&text(path)?).map_err(|why| DiscoverError::List { path: path.to_owned(), why })
}

pub(super) fn number(path: &Path) -> Result<usize, DiscoverError> {
    let text = text(path)?;
    // Virtual machines may say -1 of their only socket.
    if text == "-1" {
        return Ok(0);
    }
    text.parse().map_err(|_| DiscoverError::Number { path: path.to_owned(), text })
}

pub(super) fn text(path: &Path) -> Result<String, DiscoverError> {
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
    read.map_err(|source| DiscoverError::Read { path: path.to_owned(), source })?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        let file = root.join("devices/system").join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    #[test]
    fn a_machine_of_two_nodes() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "cpu/online", "0-3,5-7\n");
        for (node, cpus) in [(0, "0-1,4-5\n"), (1, "2-3,6-7\n")] {
            write(root.path(), &format!("node/node{node}/cpulist"), cpus);
        }
        for cpu in [0, 1, 2, 3, 5, 6, 7] {
            write(root.path(), &format!("cpu/cpu{cpu}/topology/physical_package_id"), &format!("{}\n", cpu / 2 % 2));
            let threads = format!("{},{}\n", cpu % 4, cpu % 4 + 4);
            write(root.path(), &format!("cpu/cpu{cpu}/topology/thread_siblings_list"), &threads);
            write(root.path(), &format!("cpu/cpu{cpu}/cache/index3/level"), "3\n");
            write(root.path(), &format!("cpu/cpu{cpu}/cache/index3/id"), &format!("{}\n", cpu % 4));
            write(root.path(), &format!("cpu/cpu{cpu}/cache/index3/shared_cpu_list"), &threads);
        }
        let got = discover(root.path()).unwrap();
        assert_eq!((got.cpus.len(), got.cores, got.sockets, got.nodes, got.caches), (7, 4, 2, 2, 4));
        assert_eq!(got.cpus.get(6), Some(Cpu { core: 2, socket: 1, node: 1, cache: 2 }));
        std::fs::write(root.path().join("devices/system/cpu/online"), "x").unwrap();
        assert!(matches!(discover(root.path()), Err(DiscoverError::List { .. })));
    }

    #[test]
    fn this_machine() {
        let got = discover(Path::new("/sys")).unwrap();
        assert!(got.cores >= 1 && got.per_core() >= 1 && got.nodes >= 1);
    }
}
