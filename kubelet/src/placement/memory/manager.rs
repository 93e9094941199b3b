//! Gives containers their memory when their pod comes, takes it back when it has gone, keeps the file.
//!
//! Upstream: `pkg/kubelet/cm/memorymanager/memory_manager.go`.

use super::demand::Bytes;
use super::machine::{self, Block};
use super::policy::{Grant, MemoryRefusal, StateError, Static};
use super::reserved::{self, MemoryReservation, ReservedError};
use super::state::{self, RestoreError, State};
use crate::checkpoint::CheckpointError;
use crate::placement::cpuset::CpuSet;
use crate::placement::hints::{Hint, Hints};
use crate::placement::numa::Node;
use crate::pod::{PodExt, is_sidecar};
use crate::resources::Amount;
use k8s_openapi::api::core::v1::{Container, Pod};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const NONE: &str = "None";
const STATIC: &str = "Static";

/// A configuration, machine or state with which the kubelet does not start; worded as upstream does.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    #[error("unknown policy: {0:?}")]
    Policy(String),
    #[error("policy \"BestEffort\" is not available for platform \"linux\"")]
    Platform,
    #[error(transparent)]
    Reserved(#[from] ReservedError),
    #[error(
        "could not restore state from checkpoint: {why}, please drain this node and delete the memory manager checkpoint file {file:?} before restarting Kubelet"
    )]
    Restore { why: RestoreError, file: PathBuf },
    #[error("invalid state, please drain node and remove policy state file: {0}")]
    State(StateError),
    #[error("cannot keep which memory containers have")]
    Keep(#[from] CheckpointError),
}

/// What is configured.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'s> {
    pub policy: &'s str,
    pub reserved: &'s [MemoryReservation],
    /// What is not allocatable of the whole machine.
    pub held_back: &'s BTreeMap<String, Amount>,
}

/// Memory of containers.
#[derive(Debug, Default)]
pub struct Memory {
    file: PathBuf,
    /// `None`: containers have their memory from wherever the kernel takes it.
    policy: Option<Mutex<Static>>,
    pub(in crate::placement) requests: AtomicU64,
    pub(in crate::placement) errors: AtomicU64,
}

impl Memory {
    /// The configured policy on a machine with these nodes, with what the file below `root` has kept.
    ///
    /// # Errors
    /// The policy cannot be, or the file is not one of it.
    pub fn load(root: &Path, settings: Settings<'_>, nodes: &[Node]) -> Result<Self, MemoryError> {
        let file = root.join(state::FILE);
        let restored = |policy| {
            let restored = state::read(&file, policy);
            restored.map_err(|why| MemoryError::Restore { why, file: file.clone() })
        };
        let policy = match settings.policy {
            NONE => {
                if restored(NONE)?.is_none() {
                    state::write(&file, NONE, &State::default())?;
                }
                None
            }
            STATIC => {
                let reserved: BTreeMap<usize, Bytes> = reserved::by_node(nodes, settings.held_back, settings.reserved)?;
                let fresh = machine::fresh(nodes, &reserved);
                let policy = Static::new(fresh, restored(STATIC)?.unwrap_or_default()).map_err(MemoryError::State)?;
                state::write(&file, STATIC, policy.state())?;
                Some(Mutex::new(policy))
            }
            "BestEffort" => return Err(MemoryError::Platform),
            other => return Err(MemoryError::Policy(other.to_owned())),
        };
        Ok(Self { file, policy, ..Self::default() })
    }

    /// From which nodes a container can have its memory.
    pub fn hints(&self, pod: &Pod, container: &Container) -> Hints {
        self.policy.as_ref().map(|policy| policy.lock().hints(pod, container)).unwrap_or_default()
    }

    /// From which nodes all containers of a pod can have theirs.
    pub fn pod_hints(&self, pod: &Pod) -> Hints {
        self.policy.as_ref().map(|policy| policy.lock().pod_hints(pod)).unwrap_or_default()
    }

    /// Gives a container its memory, from the nodes of the hint if it names some.
    ///
    /// # Errors
    /// There is not enough that it may have.
    pub fn allocate(&self, pod: &Pod, container: &Container, hint: Hint) -> Result<(), MemoryRefusal> {
        let Some(policy) = &self.policy else { return Ok(()) };
        let mut policy = policy.lock();
        let granted = policy.allocate(pod, container, hint);
        if granted != Ok(Grant::Shared) {
            self.requests.fetch_add(1, Ordering::Relaxed);
        }
        match granted {
            Ok(Grant::New) => self.save(&policy),
            Ok(Grant::Shared | Grant::Kept) => {}
            Err(_) => drop(self.errors.fetch_add(1, Ordering::Relaxed)),
        }
        granted.map(drop)
    }

    /// The nodes that a container has its memory from; empty if from any.
    pub fn nodes(&self, uid: &str, container: &str) -> CpuSet {
        self.blocks(uid, container).iter().flat_map(|block| block.numa_affinity.iter().copied()).collect()
    }

    /// What a container has.
    pub fn blocks(&self, uid: &str, container: &str) -> Vec<Block> {
        self.policy.as_ref().map(|policy| policy.lock().blocks(uid, container).to_vec()).unwrap_or_default()
    }

    /// What containers may have at all of each node.
    pub fn allocatable(&self) -> Vec<Block> {
        let Some(policy) = &self.policy else { return Vec::new() };
        let policy = policy.lock();
        let cells = policy.state().cells.iter();
        let tables =
            cells.flat_map(|(id, cell)| cell.memory_map.iter().map(|(resource, table)| (*id, resource, table)));
        let some = tables.filter(|(_, _, table)| table.allocatable > 0);
        some.map(|(id, resource, table)| Block {
            numa_affinity: vec![id],
            resource: resource.clone(),
            size: table.allocatable,
        })
        .collect()
    }

    /// A container starts: the init containers before it have ended, and what they had is free.
    pub fn starts(&self, pod: &Pod, container: &Container) {
        let before = pod.init_containers().iter().take_while(|c| c.name != container.name);
        let ended: Vec<&str> = before.filter(|c| !is_sidecar(c)).map(|c| c.name.as_str()).collect();
        self.free(|uid, container| uid == pod.uid() && ended.contains(&container));
    }

    /// Takes back what the containers of these pods have.
    pub fn release(&self, goes: impl Fn(&str) -> bool) {
        self.free(|uid, _| goes(uid));
    }

    fn free(&self, goes: impl Fn(&str, &str) -> bool) {
        let Some(policy) = &self.policy else { return };
        let mut policy = policy.lock();
        let all = policy.state().entries.iter().flat_map(|(uid, of)| of.keys().map(move |c| (uid.clone(), c.clone())));
        let gone: Vec<(String, String)> = all.filter(|(uid, container)| goes(uid, container)).collect();
        for (uid, container) in &gone {
            policy.release(uid, container);
        }
        if !gone.is_empty() {
            self.save(&policy);
        }
    }

    fn save(&self, policy: &Static) {
        if let Err(error) = state::write(&self.file, STATIC, policy.state()) {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot keep which memory containers have");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::requests::tests as fixture;

    fn pod(uid: &str, memory: &str) -> Pod {
        let of = |name| fixture::container(name, &[], &[("cpu", "1"), ("memory", memory)]);
        let mut pod = fixture::pod(vec![of("i")], vec![of("c")]);
        pod.metadata.uid = Some(uid.to_owned());
        pod
    }

    fn load(root: &Path, policy: &str) -> Result<Memory, MemoryError> {
        let node = |id| Node { id, memory: 100 << 20, ..Node::default() };
        let limits = BTreeMap::from([("memory".to_owned(), "20Mi".to_owned())]);
        let reserved = [MemoryReservation { numa_node: 0, limits }];
        let held_back = BTreeMap::from([("memory".to_owned(), Amount::whole(20 << 20))]);
        let settings = Settings { policy, reserved: &reserved, held_back: &held_back };
        Memory::load(root, settings, &[node(0), node(1)])
    }

    #[test]
    fn pods_come_and_go_over_restarts() {
        let root = tempfile::tempdir().unwrap();
        let memory = load(root.path(), "Static").unwrap();
        let first = pod("a", "90Mi");
        for container in first.init_containers().iter().chain(&first.spec().containers) {
            memory.allocate(&first, container, Hint::default()).unwrap();
        }
        assert_eq!(memory.nodes("a", "c").to_string(), "1");
        let again = load(root.path(), "Static").unwrap();
        assert_eq!(again.blocks("a", "c"), memory.blocks("a", "c"));
        again.starts(&first, &first.spec().containers[0]);
        assert!(again.blocks("a", "i").is_empty() && !again.blocks("a", "c").is_empty());
        let second = pod("b", "90Mi");
        let refused = again.allocate(&second, &second.spec().containers[0], Hint::default());
        assert_eq!(refused, Err(MemoryRefusal::Nowhere));
        again.release(|uid| uid == "a");
        again.allocate(&second, &second.spec().containers[0], Hint::default()).unwrap();
        assert_eq!((again.requests.into_inner(), again.errors.into_inner()), (2, 1));
        let other = load(root.path(), "None").unwrap_err().to_string();
        assert!(
            other.contains("configured policy \"None\" differs from state checkpoint policy \"Static\""),
            "{other}"
        );
    }

    #[test]
    fn policies_that_cannot_be() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(load(root.path(), "x").unwrap_err().to_string(), "unknown policy: \"x\"");
        assert!(matches!(load(root.path(), "BestEffort"), Err(MemoryError::Platform)));
        assert!(load(root.path(), "None").unwrap().allocatable().is_empty());
    }
}
