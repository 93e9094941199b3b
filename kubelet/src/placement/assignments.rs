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
    let texts =
        |of: &BTreeMap<String, CpuSet>| of.iter().map(|(name, cpus)| (name.clone(), cpus.to_string())).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by upstream's kubelets.
    const UPSTREAMS: [(&str, &str); 4] = [
        ("none", r#"{"policyName":"none","defaultCpuSet":"","checksum":1353318690}"#),
        ("static", r#"{"policyName":"static","defaultCpuSet":"0-63","checksum":1058907510}"#),
        ("static", r#"{"policyName":"static","defaultCpuSet":"2-15,17-31,34-47,49-63","checksum":4141502832}"#),
        (
            "static",
            r#"{"policyName":"static","defaultCpuSet":"0,10-15,25-31","entries":{"777870b5-c64f-42f5-9296-688b9dc212ba":{"container-1":"16-24"},"fb15e10a-b6a5-4aaa-8fcd-76c1aa64e6fd":{"container-1":"1-9"}},"checksum":318470969}"#,
        ),
    ];

    #[test]
    fn upstreams_files_are_read_and_written_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        assert!(read(&file, "none").unwrap().is_none());
        for (policy, text) in UPSTREAMS {
            std::fs::write(&file, text).unwrap();
            let kept = read(&file, policy).unwrap().unwrap();
            std::fs::remove_file(&file).unwrap();
            write(&file, policy, &kept).unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let refusal = |text: &str| {
            std::fs::write(&file, text).unwrap();
            read(&file, "static").unwrap_err().to_string()
        };
        let other = refusal(UPSTREAMS[0].1);
        assert_eq!(other, "configured policy \"static\" differs from state checkpoint policy \"none\"");
        let changed = refusal(&UPSTREAMS[1].1.replace("0-63", "0-62"));
        assert!(changed.starts_with("checkpoint is corrupted"), "{changed}");
        let bad = refusal(r#"{"policyName":"static","defaultCpuSet":"a","checksum":0}"#);
        assert!(bad.starts_with("could not parse default cpu set \"a\""), "{bad}");
    }
}
