//! Plugins: programs on the path whose names begin with `kubectl-`.
//!
//! Upstream: `kubectl/pkg/cmd/plugin`, `kubectl/pkg/cmd/plugin.go`.

use crate::cli::Walk;
use anyhow::bail;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

/// What the names of plugins begin with.
const PREFIX: &str = "kubectl-";

/// Becomes the plugin that a command line means, if there is one; comes back only if there is
/// none or it cannot be run.
pub fn run_if_any(words: &[String], walk: &Walk<'_>) -> anyhow::Result<()> {
    let arguments = words.get(1..).unwrap_or_default();
    if arguments.is_empty() {
        return Ok(());
    }
    let least = match walk.path.as_slice() {
        // A word that is no command, and comes before all flags.
        [] if !walk.rest.is_empty() => 1,
        [only]
            if only == "create"
                && walk.rest.first().is_some_and(|i| Some(*i) == walk.commands.last().map(|c| c + 1)) =>
        {
            arguments.len() - walk.rest.len() + 1
        }
        _ => return Ok(()),
    };
    let names: Vec<String> =
        arguments.iter().take_while(|w| !w.starts_with('-')).map(|w| w.replace('-', "_")).collect();
    if names.is_empty() {
        bail!("flags cannot be placed before plugin name: {}", arguments[0]);
    }
    // The longest name wins.
    for length in (least..=names.len()).rev() {
        if let Some(path) = find(&format!("{PREFIX}{}", names[..length].join("-"))) {
            let error = std::process::Command::new(&path).arg0(&path).args(&arguments[length..]).exec();
            bail!("{}: {error}", path.display());
        }
    }
    Ok(())
}

/// The program of a name on the path.
fn find(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return None;
    }
    folders().into_iter().map(|folder| folder.join(name)).find(|path| is_program(path))
}

fn folders() -> Vec<PathBuf> {
    let path: OsString = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in std::env::split_paths(&path).filter(|f| !f.as_os_str().is_empty()) {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// All plugins on the path, in its order; complaints go to standard error if they are wanted.
pub fn all(complain: bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in folders() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                if complain {
                    let why = crate::http::io_words(&error);
                    let folder = folder.display();
                    eprintln!(
                        "Unable to read directory \"{folder}\" from your PATH: open {folder}: {why}. Skipping..."
                    );
                }
                continue;
            }
        };
        let named = |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(PREFIX));
        let mut here: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| named(p) && !p.is_dir()).collect();
        here.sort();
        found.extend(here);
    }
    found
}

/// What is wrong with plugins, one after another.
#[derive(Debug, Default)]
pub struct Checker {
    seen: BTreeMap<String, PathBuf>,
}

impl Checker {
    /// What is wrong with one.
    pub fn check(&mut self, path: &Path) -> Vec<String> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let shown = path.display();
        let mut wrong = Vec::new();
        if !is_program(path) {
            wrong.push(format!("warning: {shown} identified as a kubectl plugin, but it is not executable"));
        }
        match self.seen.get(&name) {
            Some(first) => {
                wrong
                    .push(format!("warning: {shown} is overshadowed by a similarly named plugin: {}", first.display()));
            }
            None => drop(self.seen.insert(name.clone(), path.to_owned())),
        }
        let root = crate::cli::command();
        let words: Vec<String> = name.split('-').map(str::to_owned).collect();
        let walk = crate::cli::walk(&root, &words);
        // Words behind a command are its arguments.
        if !walk.path.is_empty() {
            wrong.push(format!("warning: {name} overwrites existing command: \"kubectl {}\"", walk.path.join(" ")));
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_checked() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, mode: u32| {
            let path = folder.path().join(name);
            std::fs::write(&path, "#!/bin/sh\n").expect("writes");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("sets");
            path
        };
        let mut checker = Checker::default();
        assert!(checker.check(&write("kubectl-foo", 0o755)).is_empty());
        let wrong = checker.check(&write("kubectl-get", 0o644));
        assert!(
            wrong[0].ends_with("but it is not executable")
                && wrong[1].ends_with("overwrites existing command: \"kubectl get\""),
            "{wrong:?}"
        );
        assert!(checker.check(&Path::new("/elsewhere").join("kubectl-foo"))[1].contains("is overshadowed by"));
    }
}
