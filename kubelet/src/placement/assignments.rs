//! Who has which processors for itself, and the file that keeps it as upstream's kubelet reads and writes it.
//!
//! Upstream: `pkg/kubelet/cm/cpumanager/state`.

use super::cpuset::CpuSet;
use crate::checkpoint::{self, CheckpointError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The file's name below `--root-dir`.
pub const FILE: &str = "cpu_manager_state";

/// Processors by pod and container.
pub type Entries = BTreeMap<String, BTreeMap<String, CpuSet>>;

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignments {
    /// What containers that have none for themselves share.
    pub shared: CpuSet,
    pub entries: Entries,
}

/// A file with which the kubelet does not start; worded as upstream does.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("configured policy {configured:?} differs from state checkpoint policy {kept:?}")]
    Policy { configured: &'static str, kept: String },
    #[error("could not parse default cpu set {text:?}: {why}")]
    Shared { text: String, why: super::cpuset::CpuSetError },
    #[error("could not parse cpuset {text:?} for container {container:?} in pod {pod:?}: {why}")]
    Entry { text: String, container: String, pod: String, why: super::cpuset::CpuSetError },
    #[error(transparent)]
    File(#[from] CheckpointError),
}

impl Assignments {
    /// A container's own processors.
    pub fn of(&self, pod: &str, container: &str) -> Option<&CpuSet> {
        self.entries.get(pod)?.get(container)
    }

    /// All that are somebody's own.
    pub fn taken(&self) -> CpuSet {
        self.entries.values().flat_map(BTreeMap::values).fold(CpuSet::default(), |all, cpus| all.union(cpus))
    }

    pub fn set(&mut self, pod: &str, container: &str, cpus: CpuSet) {
        self.entries.entry(pod.to_owned()).or_default().insert(container.to_owned(), cpus);
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Checkpoint {
    policy_name: String,
    default_cpu_set: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    entries: BTreeMap<String, BTreeMap<String, String>>,
    checksum: u64,
}

/// What the file says; `None` if there is none.
///
/// # Errors
/// It cannot be read or trusted, or another policy wrote it.
pub fn read(file: &Path, policy: &'static str) -> Result<Option<Assignments>, RestoreError> {
    let Some(text) = checkpoint::read(file)? else { return Ok(None) };
    let read: Checkpoint = serde_json::from_slice(&text).map_err(CheckpointError::from)?;
    // Kubelets before v1.10 wrote none.
    if read.checksum != 0 {
        CheckpointError::check(read.checksum, checksum(&read))?;
    }
    if read.policy_name != policy {
        return Err(RestoreError::Policy { configured: policy, kept: read.policy_name });
    }
    let text = read.default_cpu_set;
    let shared = CpuSet::parse(&text).map_err(|why| RestoreError::Shared { text, why })?;
    let mut out = Assignments { shared, entries: Entries::new() };
    for (pod, containers) in read.entries {
        for (container, text) in containers {
            match CpuSet::parse(&text) {
                Ok(cpus) => out.set(&pod, &container, cpus),
                Err(why) => return Err(RestoreError::Entry { text, container, pod, why }),
            }
        }
    }
    Ok(Some(out))
}

/// Writes the file: it is there as a whole, or as it was.
///
/// # Errors
/// The folder cannot be written.
pub fn write(file: &Path, policy: &'static str, assignments: &Assignments) -> Result<(), CheckpointError> {
    let texts = |of: &BTreeMap<String, CpuSet>| of.iter().map(|(name, cpus)| (name.clone(), cpus.to_string())).collect();
    let mut checkpoint = Checkpoint {
        policy_name: policy.to_owned(),
        default_cpu_set: assignments.shared.to_string(),
        entries: assignments.entries.iter().map(|(pod, of)| (pod.clone(), texts(of))).collect(),
        checksum: 0,
    };
    checkpoint.checksum = checksum(&checkpoint);
    checkpoint::write(file, &checkpoint)
}

fn checksum(checkpoint: &Checkpoint) -> u64 {
    checkpoint::checksum(&dump(checkpoint))
}

/// As upstream's dumps print it.
fn dump(checkpoint: &Checkpoint) -> String {
    let inner = |of: &BTreeMap<String, String>| go_map(of.iter().map(|(name, cpus)| format!("{name}:{cpus}")));
    let entries = go_map(checkpoint.entries.iter().map(|(pod, of)| format!("{pod}:{}", inner(of))));
    format!(
        "(*state.CPUManagerCheckpoint){{PolicyName:(string){} DefaultCPUSet:(string){} \
         Entries:(map[string]map[string]string){entries} Checksum:(checksum.Checksum)0}}",
        checkpoint.policy_name, checkpoint.default_cpu_set
    )
}

fn go_map(entries: impl Iterator<Item = String>) -> String {
    format!("map[{}]", entries.collect::<Vec<_>>().join(" "))
}
