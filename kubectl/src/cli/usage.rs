//! Reading the command line: flags as Go's `pflag` takes them, complaints as `cobra` words them.
//!
//! Upstream: `spf13/cobra`, `spf13/pflag`, `kubectl/pkg/cmd/util/helpers.go`.

use super::{Args, switches};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand};

/// What to say instead of running something.
#[derive(Debug)]
pub enum UsageError {
    /// Help that was asked for.
    Help(String),
    /// Help for somebody who got lost, on standard output.
    Lost(String),
    /// A complaint.
    Wrong(String),
}

/// Reads a command line; the first word is the program.
pub fn parse(words: &[String]) -> Result<Args, UsageError> {
    if let Some(args) = parse_quickly(words) {
        return Ok(args);
    }
    let mut command = command();
    let mut words = commands_first(&command, words);
    let matches = loop {
        match command.try_get_matches_from_mut(&words) {
            Ok(matches) => break matches,
            // A command that looks at no words lets them pass.
            Err(error) => match superfluous(&command, &words, &error) {
                Some(place) => drop(words.remove(place)),
                None => return Err(complaint(&command, &words, &error)),
            },
        }
    };
    Args::from_arg_matches(&matches).map_err(|error| complaint(&command, &words, &error))
}

/// The words with those that name commands in front: Go's flags may stand anywhere, also before
/// the command that they belong to.
fn commands_first(command: &Command, words: &[String]) -> Vec<String> {
    let commands = super::walk(command, words).commands;
    let is_command = |place: &usize| *place == 0 || commands.contains(place);
    let (mut places, behind): (Vec<usize>, Vec<usize>) = (0..words.len()).partition(is_command);
    places.extend(behind);
    places.into_iter().map(|place| words[place].clone()).collect()
}

/// The place of a word that is neither a flag nor wanted.
fn superfluous(command: &Command, words: &[String], error: &clap::Error) -> Option<usize> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else { return None };
    if error.kind() != ErrorKind::UnknownArgument || word.starts_with('-') {
        return None;
    }
    let walk = super::walk(command, words);
    // Words behind a command that has commands are commands that do not exist.
    let takes_commands = walk.command.get_subcommands().next().is_some();
    if takes_commands { None } else { walk.rest.into_iter().find(|place| words[*place] == *word) }
}

/// The command line of scripts that ask for the version again and again, read without building
/// the flags of all other commands; nothing if it is not one of them, or not a good one.
fn parse_quickly(words: &[String]) -> Option<Args> {
    if words.get(1).is_none_or(|word| word != "version") {
        return None;
    }
    let command = switches::loosen(Quick::command()).args_override_self(true);
    let quick = Quick::from_arg_matches(&command.try_get_matches_from(words).ok()?).ok()?;
    let QuickCommand::Version(version) = quick.command;
    Some(Args { global: quick.global, command: super::Command::Version(version) })
}

#[derive(Parser)]
#[command(name = "kubectl", disable_version_flag = true)]
struct Quick {
    #[command(flatten)]
    global: super::Global,
    #[command(subcommand)]
    command: QuickCommand,
}

#[derive(Subcommand)]
enum QuickCommand {
    Version(super::Version),
}

/// The whole command line, with switches as Go has them: `-A`, `-A=false`.
pub fn command() -> Command {
    let command = Args::command().mut_subcommands(|sub| match sub.get_name() {
        "set" => sub.mut_subcommands(looks_through),
        _ => sub,
    });
    switches::loosen(command).args_override_self(true)
}

/// `set selector` looks through folders to their end, unless somebody says otherwise.
fn looks_through(command: Command) -> Command {
    match command.get_name() {
        "selector" => command.mut_arg("recursive", |arg| arg.default_value("true")),
        _ => command,
    }
}

/// Whether the program has a command of this name.
pub fn has_command(name: &str) -> bool {
    Args::command().get_subcommands().any(|c| c.get_name() == name || c.get_all_aliases().any(|a| a == name))
}

fn complaint(command: &Command, words: &[String], error: &clap::Error) -> UsageError {
    let path = path(command, words);
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" "),
        _ => String::new(),
    };
    let flag = text(ContextKind::InvalidArg);
    let name = flag.split([' ', '=', '[']).next().unwrap_or_default().to_owned();
    let usage = |what: String| UsageError::Wrong(format!("error: {what}\nSee '{path} --help' for usage."));
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::MissingSubcommand => {
            let names: Vec<&str> = path.split(' ').skip(1).collect();
            let help = super::help::help_of(&names);
            // Upstream's commands differ in what they do without a command of their own.
            match (error.kind(), names.as_slice()) {
                (ErrorKind::DisplayHelp, _) | (_, [] | ["certificate"]) => UsageError::Help(help),
                (_, ["rollout"]) => UsageError::Lost(help),
                _ => UsageError::Wrong(help.trim_end().to_owned()),
            }
        }
        ErrorKind::UnknownArgument => usage(unknown_flag(words, &name)),
        ErrorKind::InvalidSubcommand => unknown_command(command, &path, &text(ContextKind::InvalidSubcommand)),
        ErrorKind::InvalidValue | ErrorKind::NoEquals if text(ContextKind::InvalidValue).is_empty() => {
            usage(no_argument(words, &name))
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let value = text(ContextKind::InvalidValue);
            let why = std::error::Error::source(error).map_or_else(String::new, ToString::to_string);
            usage(format!(
                "invalid argument {value:?} for {} flag: {}",
                both_names(command, words, &name),
                number(&value, &why)
            ))
        }
        ErrorKind::MissingRequiredArgument => {
            let names: Vec<String> =
                flag.split(' ').filter_map(|f| f.strip_prefix("--")).map(|f| format!("{f:?}")).collect();
            match names.is_empty() {
                true => {
                    UsageError::Wrong(format!("error: missing argument {flag}\nSee '{path} -h' for help and examples"))
                }
                false => UsageError::Wrong(format!("error: required flag(s) {} not set", names.join(", "))),
            }
        }
        _ => UsageError::Wrong(error.render().to_string().trim_end().to_owned()),
    }
}

/// `kubectl config view`: how deep the words lead into the commands.
fn path(command: &Command, words: &[String]) -> String {
    let (mut path, mut at) = (command.get_name().to_owned(), command);
    for word in words.iter().skip(1).filter(|w| !w.starts_with('-')) {
        let Some(next) = at.find_subcommand(word) else { continue };
        path = format!("{path} {}", next.get_name());
        at = next;
    }
    path
}

fn unknown_flag(words: &[String], name: &str) -> String {
    match name.strip_prefix('-').filter(|n| !n.starts_with('-')) {
        Some(letter) => {
            let whole = words.iter().find(|w| w.starts_with('-') && !w.starts_with("--") && w.contains(letter));
            format!("unknown shorthand flag: '{letter}' in {}", whole.map_or(name, String::as_str))
        }
        None if name.starts_with("---") => format!("bad flag syntax: {name}"),
        None => format!("unknown flag: {name}"),
    }
}

fn no_argument(words: &[String], name: &str) -> String {
    let last = words.last().map(String::as_str).unwrap_or_default();
    match last.starts_with("--") {
        false if last.starts_with('-') => {
            format!("flag needs an argument: '{}' in {last}", last.chars().last().unwrap_or_default())
        }
        _ => format!("flag needs an argument: {name}"),
    }
}

/// `"-o, --output"` for a flag with a letter.
fn both_names(command: &Command, words: &[String], name: &str) -> String {
    let mut at = command;
    for word in words.iter().skip(1) {
        at = at.find_subcommand(word).unwrap_or(at);
    }
    let long = name.trim_start_matches('-');
    let found = at.get_arguments().find(|a| a.get_long() == Some(long));
    match found.and_then(clap::Arg::get_short) {
        Some(short) => format!("\"-{short}, --{long}\""),
        None => format!("\"--{long}\""),
    }
}

/// Go's words for a number that is none.
fn number(value: &str, why: &str) -> String {
    match why.starts_with("invalid digit") {
        true => format!("strconv.ParseInt: parsing {value:?}: invalid syntax"),
        false => why.to_owned(),
    }
}

/// Words that some people type for a command.
const MEANT: [(&str, &[&str]); 4] =
    [("delete", &["rm", "remove"]), ("describe", &["inspect"]), ("get", &["list", "ls"]), ("top", &["stats"])];

/// Whether a command may be what somebody meant.
fn is_near(word: &str, name: &str) -> bool {
    let word = word.to_lowercase();
    let meant = MEANT.iter().any(|(of, words)| *of == name && words.contains(&word.as_str()));
    meant || distance(&word, name) <= 2 || name.starts_with(&word)
}

fn unknown_command(command: &Command, path: &str, word: &str) -> UsageError {
    if path != command.get_name() {
        return UsageError::Wrong(format!("error: unknown command {word:?}\nSee '{path} -h' for help and examples"));
    }
    let names = command.get_subcommands().map(Command::get_name);
    let near: Vec<&str> = names.filter(|name| is_near(word, name)).collect();
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

    fn said(line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        match parse(&words) {
            Ok(_) => "fine".into(),
            Err(UsageError::Help(text)) => format!("help: {}", text.lines().next().unwrap_or_default()),
            Err(UsageError::Lost(text)) => format!("lost: {}", text.lines().next().unwrap_or_default()),
            Err(UsageError::Wrong(text)) => text,
        }
    }

    #[test]
    fn complains_as_cobra_does() {
        for (line, want) in [
            ("kubectl proxy x", "fine"),
            ("kubectl", "help: kubectl controls the Kubernetes cluster manager."),
            ("kubectl rollout", "lost: Manage the rollout of a resource."),
            ("kubectl rollout --help", "help: Manage the rollout of a resource."),
            ("kubectl version --client -ojson --context x", "fine"),
            ("kubectl version --foo", "error: unknown flag: --foo\nSee 'kubectl version --help' for usage."),
            ("kubectl get pods --foo", "error: unknown flag: --foo\nSee 'kubectl get --help' for usage."),
            ("kubectl get pods -Z", "error: unknown shorthand flag: 'Z' in -Z\nSee 'kubectl get --help' for usage."),
            ("kubectl get pods -o", "error: flag needs an argument: 'o' in -o\nSee 'kubectl get --help' for usage."),
            (
                "kubectl get pods --output",
                "error: flag needs an argument: --output\nSee 'kubectl get --help' for usage.",
            ),
            (
                "kubectl got",
                "error: unknown command \"got\" for \"kubectl\"\n\nDid you mean this?\n\tget\n\tset\n\ttop",
            ),
            (
                "kubectl get pods -A=maybe",
                "error: invalid argument \"maybe\" for \"-A, --all-namespaces\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax\nSee 'kubectl get --help' for usage.",
            ),
            ("kubectl get pods -A=false --watch=false -wA", "fine"),
            ("kubectl get -A -A", "fine"),
            ("kubectl create -s https://x --dry-run=client clusterrole r --verb=get --resource=pods", "fine"),
            ("kubectl create --verb get --context x role r --resource=pods", "fine"),
            (
                "kubectl config --kubeconfig f set a.b ---x",
                "error: bad flag syntax: ---x\nSee 'kubectl config set --help' for usage.",
            ),
            ("kubectl list", "error: unknown command \"list\" for \"kubectl\"\n\nDid you mean this?\n\tget"),
        ] {
            assert_eq!(said(line), want, "{line}");
        }
    }

    #[test]
    fn counts_letters() {
        assert_eq!((distance("got", "get"), distance("", "abc"), distance("pods", "pod")), (1, 3, 1));
    }
}
