//! Runs command lines through a reference kubectl and through kubectl-rs and compares what they say, byte for byte.
//!
//! Each side has an apiserver and an etcd of its own, so that both find the same objects as long as both do the same.
//!
//!     side-by-side BINARIES [TABLE...]
//!
//! BINARIES is the folder of kube-apiserver and kubectl-rs. A table is a file of `tests/kubectl/commands`; all of them
//! by default. The reference is the `kubectl` on PATH, or the program that `KUBECTL_REFERENCE` names. `KEEP_GOING=0`
//! ends a table at its first difference; `VERBOSE=1` shows what the reference says to each line.

mod normal;
mod report;
mod side;
mod table;

use anyhow::Context as _;
use report::Report;
use side::Side;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use table::Table;

/// Where the tables and their objects are.
const HOME: &str = env!("CARGO_MANIFEST_DIR");

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("side by side: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all lines are as they should be.
fn run() -> anyhow::Result<bool> {
    let mut arguments = std::env::args().skip(1);
    let binaries = PathBuf::from(arguments.next().context("say where the binaries are")?);
    let names: Vec<String> = arguments.collect();
    let Some(reference) = reference() else {
        println!("side by side: skipped, there is no kubectl to compare with");
        return Ok(true);
    };
    let version = version(&reference)?;
    println!("side by side with {} (version 1.{version})", reference.display());
    let (ours, binaries) = (binaries.join("kubectl-rs"), &binaries);
    let mut sides = std::thread::scope(|scope| {
        let start = |program| scope.spawn(move || Side::start(binaries, program));
        let sides = [start(&reference), start(&ours)];
        sides.map(|side| side.join().expect("starting does not panic"))
    });
    let [theirs, ours] = &mut sides;
    let (theirs, ours) = (theirs.as_mut().map_err(take)?, ours.as_mut().map_err(take)?);
    let mut report = Report::default();
    for table in tables(&names)? {
        compare(&table, theirs, ours, version, &mut report)?;
    }
    Ok(report.end())
}

fn take(error: &mut anyhow::Error) -> anyhow::Error {
    std::mem::replace(error, anyhow::anyhow!("told already"))
}

/// The program to compare with.
fn reference() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("KUBECTL_REFERENCE") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("kubectl")).find(|program| program.is_file())
}

/// The minor version of a kubectl.
fn version(program: &Path) -> anyhow::Result<u32> {
    let output = Command::new(program).args(["version", "--client", "-o", "json"]).output().context("the reference")?;
    let version: serde_json::Value = serde_json::from_slice(&output.stdout).context("the reference's version")?;
    let minor = version["clientVersion"]["minor"].as_str().unwrap_or_default();
    minor.trim_end_matches('+').parse().with_context(|| format!("the reference's version {minor:?}"))
}

fn tables(names: &[String]) -> anyhow::Result<Vec<Table>> {
    let folder = Path::new(HOME).join("commands");
    let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let wanted = |file: &PathBuf| {
        let stem = file.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
        names.is_empty() || names.iter().any(|name| name == stem)
    };
    files.into_iter().filter(wanted).map(|file| Table::read(&file)).collect()
}

fn compare(table: &Table, theirs: &mut Side, ours: &mut Side, version: u32, report: &mut Report) -> anyhow::Result<()> {
    for side in [&mut *theirs, &mut *ours] {
        side.enter(&table.name)?;
    }
    let once = std::env::var("KEEP_GOING").is_ok_and(|value| value == "0");
    for line in &table.lines {
        let (want, got) = std::thread::scope(|scope| {
            let want = scope.spawn(|| theirs.run(&line.command));
            let got = ours.run(&line.command);
            (want.join().expect("running does not panic"), got)
        });
        if !report.line(table, line, version, &want?, &got?) && once {
            break;
        }
    }
    Ok(())
}
