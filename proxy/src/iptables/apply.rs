//! Brings tables into the kernel: one `iptables-restore` per table, changed chains only.
//!
//! What was written last is kept in memory, because reading a large rule set back takes seconds.

use super::names;
use super::table::{Chains, Tables};
use crate::model::Family;
use std::fmt::Write as _;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Why rules could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The program cannot be run.
    #[error("cannot run {program}")]
    Run {
        /// The program.
        program: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The program refused.
    #[error("{program} failed: {message}")]
    Refused {
        /// The program.
        program: &'static str,
        /// What it said, shortened.
        message: String,
    },
}

/// The kernel's rules of one family.
#[derive(Debug)]
pub struct Iptables {
    family: Family,
    applied: Option<Tables>,
}

impl Iptables {
    /// Rules of `family`; nothing is known of the kernel's state yet.
    pub fn new(family: Family) -> Self {
        Self { family, applied: None }
    }

    /// Forgets what was applied, so that the next call writes everything.
    pub fn forget(&mut self) {
        self.applied = None;
    }

    /// Makes the kernel's rules equal to `wanted`. Returns the number of rules written.
    pub async fn apply(&mut self, wanted: Tables) -> Result<usize, ApplyError> {
        let before = match &self.applied {
            Some(before) => before.clone(),
            None => self.found().await?,
        };
        let known = self.applied.is_some();
        let mut written = 0;
        // Filter first: rejecting rules go before traffic could fall through.
        for (table, old, new) in [("filter", &before.filter, &wanted.filter), ("nat", &before.nat, &wanted.nat)] {
            let update = update(table, old, new, known);
            if update.rules > 0 || !update.text.is_empty() {
                written += update.rules;
                if let Err(error) = self.restore(&update.text).await {
                    self.applied = None;
                    return Err(error);
                }
            }
        }
        if !known {
            self.ensure_jumps(&wanted).await?;
        }
        self.applied = Some(wanted);
        Ok(written)
    }

    /// Removes every chain and jump of ours.
    pub async fn cleanup(&mut self) -> Result<(), ApplyError> {
        let ours = super::base::tables(&super::Options {
            family: self.family,
            masquerade_all: false,
            masquerade_mark: 0x4000,
            random_fully: false,
            cluster_cidr: String::new(),
            node_port_addresses: Vec::new(),
            localhost_node_ports: true,
            drop_invalid: false,
        });
        for jump in &ours.jumps {
            // A jump that is not there is as good as removed.
            let _ = self.iptables("-D", jump).await;
        }
        let found = self.found().await?;
        for (table, chains) in [("filter", &found.filter), ("nat", &found.nat)] {
            let mut text = format!("*{table}\n");
            for (chain, _) in chains.iter() {
                let _ = writeln!(text, ":{chain} - [0:0]");
            }
            for (chain, _) in chains.iter() {
                let _ = writeln!(text, "-X {chain}");
            }
            text.push_str("COMMIT\n");
            self.restore(&text).await?;
        }
        self.applied = None;
        Ok(())
    }

    /// The chains of ours that the kernel has, without their rules.
    async fn found(&self) -> Result<Tables, ApplyError> {
        let mut tables = Tables::default();
        for (table, chains) in [("filter", &mut tables.filter), ("nat", &mut tables.nat)] {
            let program = self.program("iptables-save", "ip6tables-save");
            let saved = run(program, &["-t", table], None).await?;
            let ours = saved.lines().filter_map(|l| l.strip_prefix(':')?.split(' ').next());
            for chain in ours.filter(|c| names::is_per_port(c) || super::base_chain(c)) {
                chains.add(chain);
            }
        }
        Ok(tables)
    }

    async fn ensure_jumps(&self, wanted: &Tables) -> Result<(), ApplyError> {
        for jump in &wanted.jumps {
            if self.iptables("-C", jump).await.is_err() {
                self.iptables("-I", jump).await?;
            }
        }
        Ok(())
    }

    async fn iptables(&self, operation: &str, jump: &super::table::Jump) -> Result<(), ApplyError> {
        let mut arguments = vec!["-w", "5", "-t", jump.table, operation, jump.from];
        arguments.extend(jump.rule.iter().map(String::as_str));
        run(self.program("iptables", "ip6tables"), &arguments, None).await.map(drop)
    }

    async fn restore(&self, text: &str) -> Result<(), ApplyError> {
        let program = self.program("iptables-restore", "ip6tables-restore");
        run(program, &["-w", "5", "--noflush", "--counters"], Some(text)).await.map(drop)
    }

    fn program(&self, v4: &'static str, v6: &'static str) -> &'static str {
        match self.family {
            Family::V4 => v4,
            Family::V6 => v6,
        }
    }
}

/// Text for `iptables-restore` that turns `old` into `new`.
struct Update {
    text: String,
    rules: usize,
}

/// `known` says that `old` has the chains' rules, too; otherwise every chain is written.
fn update(table: &str, old: &Chains, new: &Chains, known: bool) -> Update {
    let (mut chains, mut rules, mut count) = (String::new(), String::new(), 0);
    for (name, wanted) in new.iter() {
        if known && old.get(name) == Some(wanted) {
            continue;
        }
        // Declaring a chain empties it.
        let _ = writeln!(chains, ":{name} - [0:0]");
        for rule in wanted {
            let _ = writeln!(rules, "-A {name} {rule}");
            count += 1;
        }
    }
    for (name, _) in old.iter().filter(|(name, _)| new.get(name).is_none()) {
        let _ = writeln!(chains, ":{name} - [0:0]");
        let _ = writeln!(rules, "-X {name}");
    }
    let text = match chains.is_empty() {
        true => String::new(),
        false => format!("*{table}\n{chains}{rules}COMMIT\n"),
    };
    Update { text, rules: count }
}

async fn run(program: &'static str, arguments: &[&str], input: Option<&str>) -> Result<String, ApplyError> {
    let failed = |source| ApplyError::Run { program, source };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    if let (Some(mut stdin), Some(text)) = (child.stdin.take(), input) {
        // A program that ends early says why by itself; the broken pipe adds nothing.
        let _ = stdin.write_all(text.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(failed)?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            let message: String = String::from_utf8_lossy(&output.stderr).trim().chars().take(500).collect();
            Err(ApplyError::Refused { program, message })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chains(list: &[(&str, &[&str])]) -> Chains {
        let mut chains = Chains::default();
        for (name, rules) in list {
            chains.add(*name).extend(rules.iter().map(|r| (*r).to_owned()));
        }
        chains
    }

    #[test]
    fn writes_only_what_changed() {
        let old = chains(&[("A", &["1"]), ("B", &["2"]), ("KUBE-SEP-X", &["3"])]);
        let new = chains(&[("A", &["1"]), ("B", &["4"]), ("C", &["5", "6"])]);
        let update = update("nat", &old, &new, true);
        assert_eq!(
            update.text,
            "*nat\n:B - [0:0]\n:C - [0:0]\n:KUBE-SEP-X - [0:0]\n-A B 4\n-A C 5\n-A C 6\n-X KUBE-SEP-X\nCOMMIT\n"
        );
        assert_eq!(update.rules, 3);
    }

    #[test]
    fn writes_nothing_when_nothing_changed() {
        let old = chains(&[("A", &["1"])]);
        assert!(update("nat", &old, &old, true).text.is_empty());
        assert!(!update("nat", &old, &old, false).text.is_empty());
    }
}
