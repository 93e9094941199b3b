//! The user's editor on temporary files.
//!
//! Upstream: `kubectl/pkg/cmd/util/editor/editor.go`.

use crate::http::io_words;
use anyhow::{Context, bail};
use rustix::termios::{self, OptionalActions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How often a name is made up for a file that is to be new.
const TRIES: usize = 100;

/// An editor, as a command line.
#[derive(Debug)]
pub struct Editor {
    words: Vec<String>,
    /// The last word is for a shell, which gets the file's name in it.
    shell: bool,
}

/// A file that was edited. It stays until it is discarded.
#[derive(Debug)]
pub struct Edited {
    path: PathBuf,
    /// What the editor left in it.
    pub text: String,
}

impl Editor {
    /// `KUBE_EDITOR`, `EDITOR`, or `vi`.
    pub fn from_environment() -> Self {
        let set = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let named = ["KUBE_EDITOR", "EDITOR"].iter().find_map(set).unwrap_or_else(|| "vi".into());
        Self::of(&named, &set(&"SHELL").unwrap_or_else(|| "/bin/bash".into()))
    }

    /// What has quotes is left to the shell.
    fn of(named: &str, shell: &str) -> Self {
        match (named.contains(' '), named.contains(['"', '\'', '\\'])) {
            (false, _) => Self { words: vec![named.into()], shell: false },
            (true, false) => Self { words: named.split(' ').map(str::to_owned).collect(), shell: false },
            (true, true) => Self { words: vec![shell.into(), "-c".into(), named.into()], shell: true },
        }
    }

    /// Lets the user edit a text in a new file, whose name begins and ends as told.
    ///
    /// # Errors
    /// There can be no such file, or no editor, or the editor fails.
    pub fn edit(&self, prefix: &str, suffix: &str, text: &str) -> anyhow::Result<Edited> {
        let path = written(prefix, suffix, text)?;
        let edited = self.launch(&path).and_then(|()| read(&path));
        match edited {
            Ok(bytes) => Ok(Edited { path, text: String::from_utf8_lossy(&bytes).into_owned() }),
            Err(error) => {
                discard(&path);
                Err(error)
            }
        }
    }

    fn launch(&self, path: &Path) -> anyhow::Result<()> {
        let mut words = self.words.clone();
        match words.last_mut().filter(|_| self.shell) {
            Some(line) => line.push_str(&format!(" {:?}", path.display().to_string())),
            None => words.push(path.display().to_string()),
        }
        let (Some(program), arguments) = (words.first(), words.get(1..).unwrap_or_default()) else {
            bail!("no editor");
        };
        // An editor that dies may leave the terminal in any state.
        let terminal = termios::tcgetattr(rustix::stdio::stdin()).ok();
        let status = Command::new(program).args(arguments).status();
        if let Some(before) = terminal {
            let _ = termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &before);
        }
        let told = self.words.join(" ");
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => bail!("there was a problem with the editor {told:?}"),
            Err(_) => bail!("unable to launch the editor {told:?}"),
        }
    }
}

impl Edited {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file goes.
    pub fn discard(&self) {
        discard(&self.path);
    }
}

/// A file that is gone already is what was wanted.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| anyhow::anyhow!("open {}: {}", path.display(), io_words(&error)))
}

fn discard(path: &Path) {
    let _ = std::fs::remove_file(path);
}

/// A file that only the user may read, since it may hold secrets, and that nobody else prepared.
fn written(prefix: &str, suffix: &str, text: &str) -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    for _ in 0..TRIES {
        let name = format!("{prefix}{}{suffix}", rand::random_range(100_000_000_u32..u32::MAX));
        let path = std::env::temp_dir().join(name);
        match options.open(&path) {
            Ok(mut file) => {
                let written = file.write_all(text.as_bytes());
                written.with_context(|| format!("write {}", path.display()))?;
                return Ok(path);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => bail!("open {}: {}", path.display(), crate::http::io_words(&error)),
        }
    }
    bail!("there is no name for a temporary file that is not taken")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_editor_edits_and_its_file_goes() {
        let edited = Editor::of("sed -i s/a/b/", "sh").edit("test-", ".yaml", "a\n").expect("edits");
        assert_eq!(edited.text, "b\n");
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(edited.path()).expect("there").permissions());
        assert_eq!(mode & 0o777, 0o600);
        edited.discard();
        assert!(!edited.path().exists());
    }

    #[test]
    fn a_shell_reads_what_has_quotes() {
        let edited = Editor::of("sed -i 's/a/b c/'", "/bin/sh").edit("test-", "", "a\n").expect("edits");
        edited.discard();
        assert_eq!(edited.text, "b c\n");
    }

    #[test]
    fn editors_that_fail_are_named() {
        let told = |named: &str| Editor::of(named, "sh").edit("test-", "", "").expect_err("fails").to_string();
        assert_eq!(told("/no/such/editor -x"), "unable to launch the editor \"/no/such/editor -x\"");
        assert_eq!(told("false"), "there was a problem with the editor \"false\"");
    }
}
