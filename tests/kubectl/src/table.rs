//! Tables of command lines: one a line, `#` at the beginning for a comment, and behind a line why it may differ.
//!
//!     kubectl get pods
//!     kubectl get pods -o yaml   #< 1.34 why older kubectls say something else
//!     kubectl version            #! why kubectl-rs always says something else

use anyhow::{Context as _, bail};
use std::path::Path;

/// A file of command lines.
pub(crate) struct Table {
    /// Its name, which is also the namespace that its lines run in.
    pub(crate) name: String,
    /// Its lines.
    pub(crate) lines: Vec<Line>,
}

/// A command line.
pub(crate) struct Line {
    /// Where it stands.
    pub(crate) number: usize,
    /// What a shell runs.
    pub(crate) command: String,
    /// Whether it may differ.
    pub(crate) expected: Expected,
}

/// What a line's comparison must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Both say the same.
    Same,
    /// Both say the same from this minor version of the reference on.
    SameSince(u32),
    /// They differ.
    Different,
}

impl Table {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let name = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default().to_owned();
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        let lines = lines.map(|(i, line)| Line::read(i + 1, line).with_context(|| format!("{name}: line {}", i + 1)));
        Ok(Self { lines: lines.collect::<anyhow::Result<_>>()?, name })
    }
}

impl Line {
    fn read(number: usize, text: &str) -> anyhow::Result<Self> {
        let (command, expected) = match (text.split_once(" #< 1."), text.split_once(" #! ")) {
            (Some((command, why)), _) => {
                let (version, why) = why.split_once(' ').unwrap_or((why, ""));
                (command, Expected::SameSince(explained(why)?.parse_version(version)?))
            }
            (None, Some((command, why))) => {
                explained(why)?;
                (command, Expected::Different)
            }
            (None, None) => (text, Expected::Same),
        };
        Ok(Self { number, command: command.trim().to_owned(), expected })
    }
}

/// Proof that a line says why it differs.
struct Explained;

impl Explained {
    fn parse_version(&self, text: &str) -> anyhow::Result<u32> {
        text.parse().with_context(|| format!("{text:?} is no minor version"))
    }
}

fn explained(why: &str) -> anyhow::Result<Explained> {
    match why.trim() {
        "" => bail!("a line that may differ must say why"),
        _ => Ok(Explained),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_why_they_differ() {
        let read = |text: &str| Line::read(1, text).map(|line| (line.command, line.expected));
        assert_eq!(read("kubectl get").expect("a line"), ("kubectl get".to_owned(), Expected::Same));
        assert_eq!(read("kubectl a #< 1.34 b").expect("a line"), ("kubectl a".to_owned(), Expected::SameSince(34)));
        assert_eq!(read("kubectl a   #! b").expect("a line"), ("kubectl a".to_owned(), Expected::Different));
        assert!(
            read("kubectl a #! ").is_err() && read("kubectl a #< 1.x y").is_err() && read("kubectl a #< 1.3").is_err()
        );
    }
}
