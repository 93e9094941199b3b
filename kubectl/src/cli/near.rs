//! Commands that are not there, and those with names like theirs.
//!
//! Upstream: `spf13/cobra` (`SuggestionsFor`), `kubectl/pkg/cmd/util/helpers.go` (`DefaultSubCommandRun`).

use super::usage::UsageError;
use clap::Command;

/// Words that some people type for a command.
const MEANT: [(&str, &[&str]); 4] =
    [("delete", &["rm", "remove"]), ("describe", &["inspect"]), ("get", &["list", "ls"]), ("top", &["stats"])];

/// Commands in the order in which upstream adds them, which is that of what it suggests.
const ORDER: [&str; 44] = [
    "create",
    "expose",
    "run",
    "set",
    "explain",
    "get",
    "edit",
    "delete",
    "rollout",
    "scale",
    "autoscale",
    "certificate",
    "cluster-info",
    "top",
    "cordon",
    "uncordon",
    "drain",
    "taint",
    "describe",
    "logs",
    "attach",
    "exec",
    "port-forward",
    "proxy",
    "cp",
    "auth",
    "debug",
    "events",
    "diff",
    "apply",
    "patch",
    "replace",
    "wait",
    "kustomize",
    "label",
    "annotate",
    "completion",
    "alpha",
    "config",
    "plugin",
    "version",
    "api-versions",
    "api-resources",
    "options",
];

/// Whether a command may be what somebody meant.
fn is_near(word: &str, name: &str) -> bool {
    let word = word.to_lowercase();
    let meant = MEANT.iter().any(|(of, words)| *of == name && words.contains(&word.as_str()));
    meant || distance(&word, name) <= 2 || name.starts_with(&word)
}

/// The complaint about a command that is not there.
pub(super) fn unknown_command(command: &Command, words: &[String], path: &str, word: &str) -> UsageError {
    // It tells what it can do to whoever says anything else.
    if path.ends_with(" certificate") {
        return UsageError::Help(super::help::help_of(&["certificate"]));
    }
    if path != command.get_name() {
        let walk = super::walk(command, words);
        let rest: Vec<&str> = walk.rest.iter().map(|place| words[*place].as_str()).collect();
        let word = if rest.is_empty() { word.to_owned() } else { rest.join(" ") };
        return UsageError::Wrong(format!("error: unknown command {word:?}\nSee '{path} -h' for help and examples"));
    }
    let names = command.get_subcommands().map(Command::get_name);
    let mut near: Vec<&str> = names.filter(|name| is_near(word, name)).collect();
    near.sort_by_key(|name| ORDER.iter().position(|known| known == name).unwrap_or(ORDER.len()));
    let mut text = format!("error: unknown command {word:?} for {path:?}");
    if !near.is_empty() {
        text.push_str(&format!("\n\nDid you mean this?\n\t{}", near.join("\n\t")));
    }
    UsageError::Wrong(text)
}

/// How many letters differ (Levenshtein).
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.to_lowercase().chars().collect(), b.to_lowercase().chars().collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_letters() {
        assert_eq!((distance("got", "get"), distance("", "abc"), distance("pods", "pod")), (1, 3, 1));
    }
}
