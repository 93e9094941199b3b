//! Writes the tables of `lib/apimachinery` anew from facts about a Kubernetes release: fields
//! and kinds of every type, discovery, OpenAPI documents, places in etcd.
//!
//! The facts do not say which fields of upstream's structs are pointers, which members
//! it writes even when they are empty, and what field selectors select; that knowledge is kept
//! from the tables as they stand. A new field is taken for one that may be left out, and named,
//! so that somebody looks it up.

mod facts;
mod resources;
mod types;

use anyhow::{Context, bail};
use facts::Facts;
use std::path::{Path, PathBuf};

const TYPES: &str = "lib/apimachinery/src/schema/types.txt";
const RESOURCES: &str = "lib/apimachinery/src/resources/resources.txt";

/// Arguments of `xtask codegen`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder with the facts.
    #[arg(long)]
    facts: PathBuf,
    /// Change nothing; fail if a table would change.
    #[arg(long)]
    check: bool,
}

/// A generated table and what should be looked at in it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Table {
    text: String,
    doubts: Vec<String>,
}

/// Writes both tables, or with `--check` compares them.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let facts = Facts::read(&args.facts)?;
    write(TYPES, args.check, |now| types::generate(&facts, now))?;
    write(RESOURCES, args.check, |now| resources::generate(&facts, now))
}

fn write(path: &str, check: bool, generate: impl Fn(&str) -> anyhow::Result<Table>) -> anyhow::Result<()> {
    let path = root().join(path);
    let now = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let table = generate(&now)?;
    table.doubts.iter().for_each(|doubt| eprintln!("look at {doubt}"));
    match (table.text == now, check) {
        (true, _) => Ok(()),
        (false, true) => bail!("{} is not what the facts say", path.display()),
        (false, false) => std::fs::write(&path, table.text).with_context(|| format!("writing {}", path.display())),
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_what_the_facts_say() {
        let facts = root().join("../shared/kubernetes-1.36");
        if !facts.is_dir() {
            println!("no facts beside the repository: nothing is compared");
            return;
        }
        run(&Args { facts, check: true }).expect("the tables as they stand");
    }
}
