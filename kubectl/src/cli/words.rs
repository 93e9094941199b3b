//! Where a command line leads: which words are commands, which are flags, and what is left.
//!
//! Upstream: `spf13/cobra` (`Command.Find`).

use clap::{Arg, Command};

/// What the words of a command line are.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    /// The command that they lead to.
    pub command: &'a Command,
    /// Its name, word by word, without the program's.
    pub path: Vec<String>,
    /// Places of the words that name commands.
    pub commands: Vec<usize>,
    /// Places of the words that are neither commands nor flags.
    pub rest: Vec<usize>,
    /// The flag whose value would be the next word.
    pub open_flag: Option<&'a Arg>,
    /// Whether `--` was among the words.
    pub ended: bool,
}

/// Walks along the words; the first is the program.
pub fn walk<'a>(root: &'a Command, words: &[String]) -> Walk<'a> {
    let mut walk =
        Walk { command: root, path: Vec::new(), commands: Vec::new(), rest: Vec::new(), open_flag: None, ended: false };
    let mut is_value = false;
    for (place, word) in words.iter().enumerate().skip(1) {
        if walk.ended {
            walk.rest.push(place);
        } else if walk.open_flag.take().is_some() || std::mem::take(&mut is_value) {
            // The value of the flag before.
        } else if word == "--" {
            walk.ended = true;
        } else if word.len() > 1 && word.starts_with('-') {
            // Where commands may follow, cobra looks for the value of no letters but a lone one.
            let looks = word.starts_with("--") || word.len() == 2 || !walk.command.has_subcommands();
            walk.open_flag = awaits_value(root, walk.command, word).filter(|_| looks);
            // A flag of a command that comes later is taken for one with a value, as cobra does.
            is_value = walk.command.has_subcommands() && is_unknown(root, walk.command, word);
        } else {
            let sub = if walk.rest.is_empty() { walk.command.find_subcommand(word) } else { None };
            match sub {
                Some(sub) => {
                    walk.command = sub;
                    walk.path.push(sub.get_name().to_owned());
                    walk.commands.push(place);
                }
                None => walk.rest.push(place),
            }
        }
    }
    walk
}

/// The flag of a name, of the command or of all commands.
pub fn flag<'a>(root: &'a Command, command: &'a Command, long: &str) -> Option<&'a Arg> {
    let named = |a: &&Arg| a.get_long() == Some(long);
    command.get_arguments().find(named).or_else(|| root.get_arguments().filter(|a| a.is_global_set()).find(named))
}

/// The flag of a letter, of the command or of all commands.
pub(super) fn letter<'a>(root: &'a Command, command: &'a Command, short: char) -> Option<&'a Arg> {
    let named = |a: &&Arg| a.get_short() == Some(short);
    command.get_arguments().find(named).or_else(|| root.get_arguments().filter(|a| a.is_global_set()).find(named))
}

/// Whether a flag needs a value that may be the next word.
pub fn takes_word(arg: &Arg) -> bool {
    arg.get_action().takes_values() && !arg.is_require_equals_set()
}

/// Whether the command line has a flag already, in whatever form.
pub fn given(flag: &Arg, words: &[String]) -> bool {
    let long = flag.get_long().unwrap_or_default();
    words.iter().skip(1).any(|word| {
        let as_long = word.strip_prefix("--").is_some_and(|w| w == long || w.starts_with(&format!("{long}=")));
        let cluster = word.strip_prefix('-').filter(|w| !w.starts_with('-'));
        let as_short = flag.get_short().zip(cluster).is_some_and(|(short, letters)| {
            letters.starts_with(short) || (letters.chars().all(|c| c.is_ascii_alphabetic()) && letters.contains(short))
        });
        as_long || as_short
    })
}

/// Whether a command line takes a manifest from standard input: `-f -` in whatever form.
pub fn reads_manifest(words: &[String]) -> bool {
    let own = words.split(|word| word == "--").next().unwrap_or_default();
    let apart = own.windows(2).any(|pair| matches!(pair[0].as_str(), "-f" | "--filename") && pair[1] == "-");
    apart || own.iter().any(|word| matches!(word.as_str(), "-f-" | "-f=-" | "--filename=-"))
}

fn awaits_value<'a>(root: &'a Command, command: &'a Command, word: &str) -> Option<&'a Arg> {
    if let Some(long) = word.strip_prefix("--") {
        return if long.contains('=') { None } else { flag(root, command, long).filter(|a| takes_word(a)) };
    }
    // In `-abc` the first flag that takes a value takes the rest as it.
    let mut letters = word.chars().skip(1).peekable();
    while let Some(short) = letters.next() {
        if letters.peek() == Some(&'=') {
            return None;
        }
        if let Some(arg) = letter(root, command, short).filter(|a| takes_word(a)) {
            return if letters.peek().is_none() { Some(arg) } else { None };
        }
    }
    None
}

/// Whether neither the command nor all commands have the flag, which stands alone.
fn is_unknown(root: &Command, command: &Command, word: &str) -> bool {
    match (word.strip_prefix("--"), word.chars().nth(1)) {
        (Some(long), _) => !long.contains('=') && long != "help" && flag(root, command, long).is_none(),
        (None, Some(short)) => word.chars().count() == 2 && short != 'h' && letter(root, command, short).is_none(),
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_on_standard_input_are_noticed() {
        for (line, want) in [
            ("k apply -f -", true),
            ("k apply --filename=- -n x", true),
            ("k apply -f-", true),
            ("k apply -f x.yaml", false),
            ("k exec p -- tar -f -", false),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(reads_manifest(&words), want, "{line}");
        }
    }

    #[test]
    fn tells_commands_from_values() {
        let root = crate::cli::command();
        for (line, path, rest, open) in [
            ("k -n get get pods", "get", "pods", None),
            ("k config view -o json x", "config view", "x", None),
            ("k get -owide pods", "get", "pods", None),
            ("k get -A -o", "get", "", Some("output")),
            ("k --context=x rollout status deploy/a", "rollout status", "deploy/a", None),
            ("k exec p -- get --x", "exec", "p get --x", None),
            ("k foo get", "", "foo get", None),
            ("k create --verb get role r", "create role", "r", None),
            ("k set -R5s image x", "set image", "x", None),
            ("k create --tcp --validate x --foo service clusterip", "create", "x clusterip", None),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let walk = walk(&root, &words);
            let left: Vec<&str> = walk.rest.iter().map(|i| words[*i].as_str()).collect();
            assert_eq!((walk.path.join(" ").as_str(), left.join(" ").as_str()), (path, rest), "{line}");
            assert_eq!(walk.open_flag.and_then(Arg::get_long), open, "{line}");
        }
    }
}
