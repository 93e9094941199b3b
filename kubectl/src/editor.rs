//! The user's editor on a temporary file.
//!
//! Upstream: `kubectl/pkg/cmd/util/editor/editor.go`.

use anyhow::{Context, bail};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// An editor and the file that it works on.
#[derive(Debug)]
pub struct Editor {
    command: String,
    path: PathBuf,
}

impl Editor {
    /// `KUBE_EDITOR`, `EDITOR`, or `vi`.
    pub fn from_environment(prefix: &str, suffix: &str) -> Self {
        let named = ["KUBE_EDITOR", "EDITOR"].iter().find_map(|n| std::env::var(n).ok().filter(|v| !v.is_empty()));
        let file = format!("{prefix}{}{suffix}", rand::random_range(100_000_000_u32..u32::MAX));
        Self { command: named.unwrap_or_else(|| "vi".into()), path: std::env::temp_dir().join(file) }
    }

    /// Lets the user edit a text.
    pub fn edit(&self, text: &str) -> anyhow::Result<String> {
        self.write(text).with_context(|| format!("writing {}", self.path.display()))?;
        // An editor with arguments is left to the shell, as are quotes in its name.
        let mut command = match self.command.contains([' ', '\'', '"', '\\']) {
            true => {
                let mut shell = Command::new("/bin/bash");
                shell.arg("-c").arg(format!("{} {}", self.command, self.path.display()));
                shell
            }
            false => {
                let mut editor = Command::new(&self.command);
                editor.arg(&self.path);
                editor
            }
        };
        match command.status() {
            Ok(status) if status.success() => Ok(std::fs::read_to_string(&self.path)?),
            Ok(_) => bail!("there was a problem with the editor {:?}", self.command),
            Err(_) => bail!("unable to launch the editor {:?}", self.command),
        }
    }

    /// Only the user may read what may hold secrets.
    fn write(&self, text: &str) -> std::io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
        file.write_all(text.as_bytes())
    }

    /// The file stays for the user.
    pub fn keep(&mut self) -> PathBuf {
        std::mem::take(&mut self.path)
    }

    /// The file goes.
    pub fn discard(&self) {
        // A file that is gone already is what was wanted.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            self.discard();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_editor_edits_and_its_file_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("text");
        let editor = Editor { command: "sed -i s/a/b/".into(), path: path.clone() };
        assert_eq!(editor.edit("a\n").expect("edits"), "b\n");
        drop(editor);
        assert!(!path.exists());
        let broken = Editor { command: "/no/such/editor".into(), path };
        assert!(broken.edit("").expect_err("none").to_string().starts_with("unable to launch the editor"));
    }
}
