//! The program `nft`, and what the kernel has.

use super::elements::Container;
use super::transaction::table;
use crate::model::Family;
use component::program::{ProgramError, run};
use std::collections::{BTreeMap, BTreeSet};

/// What the kernel has of our table, without rules and elements.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) chains: BTreeSet<String>,
    /// Sets with their time-outs in seconds, if they have one.
    pub(super) sets: BTreeMap<String, Option<u32>>,
}

/// Runs commands as one transaction.
pub(super) async fn apply(commands: &str) -> Result<(), ProgramError> {
    run("nft", &["-f", "-"], commands).await.map(drop)
}

/// Removes the table. Without the program there is nothing to remove.
pub async fn cleanup(family: Family) -> Result<(), ProgramError> {
    // What is made and deleted at once is no error where there was nothing.
    match apply(&format!("add table {0}\ndelete table {0}\n", table(family))).await {
        Err(ProgramError::Run { .. }) => Ok(()),
        outcome => outcome,
    }
}

/// Whether the table is there. A list of tables would make the program read all rules; one set without
/// its elements costs nothing.
pub(super) async fn is_there(family: Family) -> bool {
    let set = ["-t", "list", "set", keyword(family), "kube-proxy", Container::ClusterIps.name()];
    match run("nft", &set, "").await {
        Err(ProgramError::Refused { message, .. }) => !message.contains("No such file or directory"),
        // Whoever cannot look has no reason to start over.
        Ok(_) | Err(ProgramError::Run { .. } | ProgramError::Slow { .. }) => true,
    }
}

/// What is there of the table.
pub(super) async fn found(family: Family) -> Result<Found, ProgramError> {
    let mut found = Found::default();
    for kind in ["chains", "sets"] {
        let listed = run("nft", &["-j", "-t", "list", kind, keyword(family)], "").await?;
        found.read(&listed);
    }
    Ok(found)
}

impl Found {
    fn read(&mut self, listed: &str) {
        let listed: serde_json::Value = serde_json::from_str(listed).unwrap_or_default();
        for object in listed["nftables"].as_array().into_iter().flatten() {
            let named = |kind: &str| {
                let object = object.get(kind).filter(|o| o["table"] == "kube-proxy")?;
                Some((object["name"].as_str()?.to_owned(), object))
            };
            if let Some((name, _)) = named("chain") {
                self.chains.insert(name);
            }
            if let Some((name, set)) = named("set") {
                self.sets.insert(name, set["timeout"].as_u64().and_then(|seconds| u32::try_from(seconds).ok()));
            }
        }
    }
}

fn keyword(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_table_is_read() {
        let mut found = Found::default();
        found.read(
            r#"{"nftables": [{"metainfo": {}}, {"chain": {"family": "ip", "table": "kube-proxy", "name": "services"}},
            {"chain": {"family": "ip", "table": "nat", "name": "KUBE-SERVICES"}},
            {"set": {"family": "ip", "table": "kube-proxy", "name": "affinity-X", "timeout": 10800}}]}"#,
        );
        found.read("no JSON");
        assert_eq!(found.chains, BTreeSet::from(["services".to_owned()]));
        assert_eq!(found.sets, BTreeMap::from([("affinity-X".to_owned(), Some(10_800))]));
    }
}
