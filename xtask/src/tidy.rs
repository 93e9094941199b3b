//! Checks the rules of the tree. Each check is a pure function of file contents; [`run`] reads
//! the files and prints what is wrong.

mod documents;
mod edges;
mod packages;
mod text;

use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// File, relative to the root of the repository.
    pub file: String,
    /// What is wrong, and which rule says so.
    pub what: String,
}

/// A file of the repository.
#[derive(Debug)]
pub struct Source {
    /// Path relative to the root, with forward slashes.
    pub path: String,
    /// Content.
    pub text: String,
}

/// Runs every check over the files that git knows or would add.
pub fn run() -> anyhow::Result<()> {
    let root = root()?;
    let sources = sources(&root)?;
    let mut findings = edges::check(&sources);
    findings.extend(text::check(&sources));
    findings.extend(documents::check(&sources, |path| root.join(path).exists()));
    let rules = std::fs::read_to_string(root.join("deny.toml")).context("reading deny.toml")?;
    findings.extend(packages::check(&packages::all(&root)?, &rules));
    for finding in &findings {
        eprintln!("{}: {}", finding.file, finding.what);
    }
    match findings.len() {
        0 => Ok(()),
        n => bail!("{n} rules of the tree are broken"),
    }
}

fn root() -> anyhow::Result<PathBuf> {
    let output = Command::new("git").args(["rev-parse", "--show-toplevel"]).output().context("running git")?;
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

fn sources(root: &Path) -> anyhow::Result<Vec<Source>> {
    let listing = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("running git ls-files")?;
    let mut sources = Vec::new();
    for path in String::from_utf8(listing.stdout)?.lines() {
        // Files that are deleted but not committed yet, links and binaries have no text to check.
        if let Ok(text) = std::fs::read_to_string(root.join(path)) {
            sources.push(Source { path: path.to_owned(), text });
        }
    }
    Ok(sources)
}
