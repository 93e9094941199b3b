//! The programs of iptables, and what the kernel has.

use super::table::{Jump, Tables};
use super::{base, names};
use crate::model::Family;
use component::program::{ProgramError, run};
use std::fmt::Write as _;

/// Whether rules of this family can be written here.
pub async fn works(family: Family) -> bool {
    run(program(family), &["-w", "5", "-t", "nat", "-S", "POSTROUTING"], "").await.is_ok()
}

/// Removes every chain and jump of ours. Without the programs there is nothing to remove.
pub async fn cleanup(family: Family) -> Result<(), ProgramError> {
    if let Err(ProgramError::Run { .. }) = run(program(family), &["--version"], "").await {
        return Ok(());
    }
    for jump in base::jumps() {
        delete_jump(family, &jump).await;
    }
    let found = found(family).await?;
    let mut text = String::new();
    for (table, chains) in [("filter", &found.filter), ("nat", &found.nat)] {
        let _ = writeln!(text, "*{table}");
        for (chain, _) in chains.iter() {
            let _ = writeln!(text, ":{chain} - [0:0]");
        }
        for (chain, _) in chains.iter() {
            let _ = writeln!(text, "-X {chain}");
        }
        text.push_str("COMMIT\n");
    }
    let _ = write!(text, "*mangle\n:{0} - [0:0]\n-X {0}\nCOMMIT\n", base::CANARY);
    restore(family, &text).await
}

/// Removes a jump. One that is not there is as good as removed.
pub(crate) async fn delete_jump(family: Family, jump: &Jump) {
    let _ = iptables(family, "-D", jump).await;
}

/// Whether this mode has been here.
pub(crate) async fn has_run(family: Family) -> bool {
    has_chain(family, base::NODE_PORTS).await
}

/// Whether `nat` has a chain.
pub(crate) async fn has_chain(family: Family, chain: &str) -> bool {
    run(program(family), &["-w", "5", "-t", "nat", "-S", chain], "").await.is_ok()
}

/// The chains of ours that the kernel has, without their rules.
pub(super) async fn found(family: Family) -> Result<Tables, ProgramError> {
    let mut tables = Tables::default();
    for (table, chains) in [("filter", &mut tables.filter), ("nat", &mut tables.nat)] {
        let saved = run(by_family(family, "iptables-save", "ip6tables-save"), &["-t", table], "").await?;
        let ours = saved.lines().filter_map(|l| l.strip_prefix(':')?.split(' ').next());
        for chain in ours.filter(|c| names::is_per_port(c) || base::is_base(c)) {
            chains.add(chain);
        }
    }
    Ok(tables)
}

/// Whether the chains are there that go first when somebody flushes the tables.
pub(super) async fn has_canaries(family: Family) -> bool {
    for table in ["nat", "filter"] {
        if run(program(family), &["-w", "5", "-t", table, "-S", base::CANARY], "").await.is_err() {
            return false;
        }
    }
    true
}

pub(crate) async fn ensure_jumps(family: Family, jumps: &[Jump]) -> Result<(), ProgramError> {
    for jump in jumps {
        if iptables(family, "-C", jump).await.is_err() {
            iptables(family, "-I", jump).await?;
        }
    }
    Ok(())
}

pub(crate) async fn restore(family: Family, text: &str) -> Result<(), ProgramError> {
    let program = by_family(family, "iptables-restore", "ip6tables-restore");
    run(program, &["-w", "5", "--noflush", "--counters"], text).await.map(drop)
}

async fn iptables(family: Family, operation: &str, jump: &Jump) -> Result<(), ProgramError> {
    let mut arguments = vec!["-w", "5", "-t", jump.table, operation, jump.from];
    arguments.extend(jump.rule.iter().map(String::as_str));
    run(program(family), &arguments, "").await.map(drop)
}

pub(crate) fn program(family: Family) -> &'static str {
    by_family(family, "iptables", "ip6tables")
}

fn by_family(family: Family, v4: &'static str, v6: &'static str) -> &'static str {
    match family {
        Family::V4 => v4,
        Family::V6 => v6,
    }
}
