//! What help tells beside flags: how a command is called, a few words, examples, and under which
//! heading it stands.
//!
//! Upstream: the `Use`, `Long` and `Example` of each command, `kubectl/pkg/cmd/cmd.go` (groups).

/// A command a block: `== PATH`, how it is called, a paragraph a line, and examples from the first
/// `#` on.
const TEXT: &str = include_str!("manual.txt");

/// Commands under the headings that they are shown with.
pub(super) const GROUPS: [(&str, &[&str]); 8] = [
    ("Basic Commands (Beginner)", &["create", "expose", "run", "set"]),
    ("Basic Commands (Intermediate)", &["explain", "get", "edit", "delete"]),
    ("Deploy Commands", &["rollout", "scale", "autoscale"]),
    ("Cluster Management Commands", &["certificate", "cluster-info", "top", "cordon", "uncordon", "drain", "taint"]),
    (
        "Troubleshooting and Debugging Commands",
        &["describe", "logs", "attach", "exec", "port-forward", "proxy", "cp", "auth", "debug", "events", "why"],
    ),
    ("Advanced Commands", &["diff", "undo", "apply", "patch", "replace", "wait", "kustomize"]),
    ("Settings Commands", &["label", "annotate", "completion"]),
    ("Other Commands", &["api-resources", "api-versions", "config", "kuberc", "plugin", "version"]),
];

/// What is said of a command.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// What stands behind its name where it is called.
    pub(super) usage: Option<&'a str>,
    /// Paragraphs behind its first sentence.
    pub(super) paragraphs: Vec<&'a str>,
    /// Lines of examples.
    pub(super) examples: Vec<&'a str>,
}

/// What is said of the command that the words lead to.
pub(super) fn entry(path: &str) -> Entry<'static> {
    let block = blocks().find(|(name, _)| *name == path);
    block.map(|(_, text)| parse(text)).unwrap_or_default()
}

/// Commands with what is said of them.
fn blocks() -> impl Iterator<Item = (&'static str, &'static str)> {
    let text = TEXT.strip_prefix("== ").unwrap_or(TEXT);
    text.split("\n== ").map(|block| block.split_once('\n').unwrap_or((block, "")))
}

fn parse(text: &str) -> Entry<'_> {
    let mut entry = Entry::default();
    for line in text.trim_end().lines() {
        match line.strip_prefix("usage").filter(|usage| usage.is_empty() || usage.starts_with(' ')) {
            Some(usage) if entry.usage.is_none() => entry.usage = Some(usage.trim_start()),
            _ if !entry.examples.is_empty() || line.starts_with('#') => entry.examples.push(line),
            _ => entry.paragraphs.push(line),
        }
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Command;

    #[test]
    fn entries_have_their_parts() {
        let label = entry("label");
        assert!(label.usage.is_some_and(|usage| usage.starts_with("[--overwrite] (-f FILENAME")));
        assert_eq!((label.paragraphs.len(), label.examples[0]), (1, "# Add one"));
        assert_eq!(entry("nothing"), Entry::default());
    }

    /// Commands with the words that lead to them.
    fn commands(command: &Command, path: &str, found: &mut Vec<String>) {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let path = format!("{path} {}", sub.get_name());
            commands(sub, &path, found);
            found.push(path.trim_start().to_owned());
        }
    }

    #[test]
    fn every_command_is_told_of_and_nothing_else() {
        let root = crate::cli::command();
        let mut known = Vec::new();
        commands(&root, "", &mut known);
        let mut told: Vec<String> = blocks().map(|(path, _)| path.to_owned()).collect();
        known.sort();
        told.sort();
        assert_eq!(told, known);
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let mut top: Vec<&str> = known.iter().map(String::as_str).filter(|path| !path.contains(' ')).collect();
        grouped.sort_unstable();
        top.sort_unstable();
        assert_eq!(grouped, top);
    }

    #[test]
    fn examples_can_be_typed() {
        for (path, text) in blocks() {
            let examples = parse(text).examples;
            // Pipes and the like are the shell's.
            let simple = |line: &&&str| line.starts_with("kubectl ") && !line.contains(['|', '>', '$', '\'', '"', '<']);
            for line in examples.iter().filter(simple) {
                let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
                assert!(crate::cli::parse(&words).is_ok(), "{path}: {line}");
            }
        }
    }
}
