//! Who has which memory, and the file that keeps it as upstream's kubelet reads and writes it.
//!
//! Upstream: `pkg/kubelet/cm/memorymanager/state`.

use super::machine::{Block, Cell, Cells, Table};
use crate::checkpoint::{self, CheckpointError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The file's name below `--root-dir`.
pub const FILE: &str = "memory_manager_state";

/// Blocks by pod and container.
pub type Entries = BTreeMap<String, BTreeMap<String, Vec<Block>>>;

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub cells: Cells,
    pub entries: Entries,
}

/// A file with which the kubelet does not start; worded as upstream does.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("[memorymanager] configured policy {configured:?} differs from state checkpoint policy {kept:?}")]
    Policy { configured: &'static str, kept: String },
    #[error(transparent)]
    File(#[from] CheckpointError),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Checkpoint {
    policy_name: String,
    #[serde(default)]
    machine_state: Cells,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    entries: Entries,
    checksum: u64,
}

/// What the file says; `None` if there is none.
///
/// # Errors
/// It cannot be read or trusted, or another policy wrote it.
pub fn read(file: &Path, policy: &'static str) -> Result<Option<State>, RestoreError> {
    let Some(text) = checkpoint::read(file)? else { return Ok(None) };
    let read: Checkpoint = serde_json::from_slice(&text).map_err(CheckpointError::from)?;
    // Nought is said by who does not know.
    if read.checksum != 0 {
        CheckpointError::check(read.checksum, checkpoint::checksum(&dump(&read)))?;
    }
    if read.policy_name != policy {
        return Err(RestoreError::Policy { configured: policy, kept: read.policy_name });
    }
    Ok(Some(State { cells: read.machine_state, entries: read.entries }))
}

/// Writes the file: it is there as a whole, or as it was.
///
/// # Errors
/// The folder cannot be written.
pub fn write(file: &Path, policy: &'static str, state: &State) -> Result<(), CheckpointError> {
    checkpoint::write(file, &sealed(policy, state))
}

fn sealed(policy: &'static str, state: &State) -> Checkpoint {
    let (machine_state, entries) = (state.cells.clone(), state.entries.clone());
    let mut checkpoint = Checkpoint { policy_name: policy.to_owned(), machine_state, entries, checksum: 0 };
    checkpoint.checksum = checkpoint::checksum(&dump(&checkpoint));
    checkpoint
}

/// As upstream's dumps print it.
fn dump(checkpoint: &Checkpoint) -> String {
    let cells = go_map(checkpoint.machine_state.iter().map(|(id, cell)| format!("{id}:{}", dump_cell(cell))));
    let containers = |of: &BTreeMap<String, Vec<Block>>| {
        go_map(of.iter().map(|(name, blocks)| format!("{name}:[{}]", spaced(blocks.iter().map(dump_block)))))
    };
    let entries = go_map(checkpoint.entries.iter().map(|(pod, of)| format!("{pod}:{}", containers(of))));
    format!(
        "(*state.MemoryManagerCheckpoint){{PolicyName:(string){} MachineState:(state.NUMANodeMap){cells} \
         Entries:(state.ContainerMemoryAssignments){entries} Checksum:(checksum.Checksum)0}}",
        checkpoint.policy_name
    )
}

fn dump_cell(cell: &Cell) -> String {
    let tables = go_map(cell.memory_map.iter().map(|(resource, table)| format!("{resource}:{}", dump_table(table))));
    format!(
        "<*>{{NumberOfAssignments:(int){} MemoryMap:(map[v1.ResourceName]*state.MemoryTable){tables} Cells:([]int)[{}]}}",
        cell.number_of_assignments,
        spaced(cell.cells.iter())
    )
}

fn dump_table(table: &Table) -> String {
    format!(
        "<*>{{TotalMemSize:(uint64){} SystemReserved:(uint64){} Allocatable:(uint64){} Reserved:(uint64){} Free:(uint64){}}}",
        table.total, table.system_reserved, table.allocatable, table.reserved, table.free
    )
}

fn dump_block(block: &Block) -> String {
    format!(
        "{{NUMAAffinity:([]int)[{}] Type:(v1.ResourceName){} Size:(uint64){}}}",
        spaced(block.numa_affinity.iter()),
        block.resource,
        block.size
    )
}

fn go_map(entries: impl Iterator<Item = String>) -> String {
    format!("map[{}]", spaced(entries))
}

fn spaced(all: impl Iterator<Item = impl ToString>) -> String {
    all.map(|one| one.to_string()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// As it would be written.
    pub(in crate::placement::memory) fn text(policy: &'static str, state: &State) -> String {
        serde_json::to_string(&sealed(policy, state)).unwrap()
    }

    #[test]
    fn files_of_others_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        assert!(read(&file, "None").unwrap().is_none());
        write(&file, "None", &State::default()).unwrap();
        assert_eq!(read(&file, "None").unwrap(), Some(State::default()));
        let other = read(&file, "Static").unwrap_err().to_string();
        assert_eq!(other, "[memorymanager] configured policy \"Static\" differs from state checkpoint policy \"None\"");
        let changed = std::fs::read_to_string(&file).unwrap().replace("None", "Static");
        std::fs::write(&file, changed).unwrap();
        assert!(read(&file, "Static").unwrap_err().to_string().starts_with("checkpoint is corrupted"));
    }
}
