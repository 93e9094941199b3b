//! Help in upstream's layout: what it does, its commands, its flags, how it is called.
//!
//! Upstream: `kubectl/pkg/util/templates`.

use super::usage::command;
use clap::{Arg, ArgAction, Command};
use std::fmt::Write as _;

/// Where to find the flags that all commands have.
const SEE_OPTIONS: &str =
    "Use \"kubectl options\" for a list of global command-line options (applies to all commands).\n";

/// Least width of the names of commands.
const NARROWEST: usize = 11;
/// The commands whose own commands are named in how they are called.
const NAMED: [&str; 5] = ["certificate", "config", "kuberc", "rollout", "set"];

/// The help of a command, named by the words that lead to it.
pub fn help_of(path: &[&str]) -> String {
    let root = command();
    let (mut at, mut names) = (&root, vec![root.get_name().to_owned()]);
    for word in path {
        let Some(next) = at.find_subcommand(word) else { break };
        names.push(next.get_name().to_owned());
        at = next;
    }
    help(at, &names.join(" "))
}

fn help(command: &Command, path: &str) -> String {
    let is_root = !path.contains(' ');
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut text = format!("{}\n\n", sentence(&about));
    let has_commands = command.get_subcommands().next().is_some();
    if has_commands {
        text.push_str("Available Commands:\n");
        let mut commands: Vec<&Command> = command.get_subcommands().filter(|c| !c.is_hide_set()).collect();
        commands.sort_by_key(|c| c.get_name());
        let width = commands.iter().map(|c| c.get_name().len()).max().unwrap_or(0).max(NARROWEST);
        for sub in commands {
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {:<width$}   {}", sub.get_name(), about.trim_end_matches('.'));
        }
        text.push('\n');
    }
    let flags = flags(command.get_arguments().filter(|a| !a.is_global_set()));
    if !flags.is_empty() {
        let _ = write!(text, "Options:\n{flags}");
    }
    let call = match (is_root, has_commands) {
        (true, _) => format!("{path} [flags] [options]"),
        (false, true) if NAMED.contains(&command.get_name()) => format!("{path} SUBCOMMAND [options]"),
        (false, true) => format!("{path} [flags] [options]"),
        (false, false) => format!("{path}{} [options]", words(command)),
    };
    let _ = write!(text, "Usage:\n  {call}\n\n");
    if has_commands {
        let _ = writeln!(text, "Use \"{path} <command> --help\" for more information about a given command.");
    }
    text.push_str(SEE_OPTIONS);
    text
}

/// The flags that every command has.
pub fn options() -> String {
    let root = command();
    let flags = flags(root.get_arguments().filter(|a| a.is_global_set()));
    format!("The following options can be passed to any command:\n\n{flags}")
}

fn flags<'a>(arguments: impl Iterator<Item = &'a Arg>) -> String {
    let mut shown: Vec<&Arg> = arguments.filter(|a| a.get_long().is_some_and(|l| l != "help")).collect();
    shown.retain(|a| !a.is_hide_set() || a.is_global_set());
    shown.sort_by_key(|a| a.get_long());
    let mut text = String::new();
    for arg in shown {
        let letter = arg.get_short().map_or_else(String::new, |short| format!("-{short}, "));
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let long = arg.get_long().unwrap_or_default();
        let _ = write!(text, "    {letter}--{long}={}:\n\t{}\n\n", default(arg), sentence(&help));
    }
    text
}

/// A flag's default as upstream shows it: text in quotes, lists in brackets.
fn default(arg: &Arg) -> String {
    if matches!(arg.get_action(), ArgAction::Append) {
        return "[]".into();
    }
    let values: Vec<String> = arg.get_default_values().iter().map(|v| v.to_string_lossy().into_owned()).collect();
    if values.is_empty() && arg.is_require_equals_set() {
        return "false".into();
    }
    match values.join(",").as_str() {
        value @ ("true" | "false") => value.to_owned(),
        value if value.parse::<i64>().is_ok() && value != "0" => value.to_owned(),
        value if value.ends_with('s') && apimachinery::time::parse_go_duration(value).is_some() => value.to_owned(),
        value => format!("'{value}'"),
    }
}

/// Clap takes the full stop off a doc comment.
fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', ':', ')']) { text.to_owned() } else { format!("{text}.") }
}

fn words(command: &Command) -> String {
    let names = command.get_positionals().filter(|a| !a.is_hide_set());
    names.map(|a| format!(" [{}]", a.get_id().as_str().to_uppercase())).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn help_has_upstreams_layout() {
        let text = super::help_of(&["config", "get-contexts"]);
        assert!(text.starts_with("Describe one or many contexts.\n\nOptions:\n    --no-headers=false:\n\t"), "{text}");
        assert!(text.contains("    -o, --output='':\n"), "{text}");
        assert!(text.ends_with("(applies to all commands).\n"), "{text}");
        assert!(super::help_of(&["config"]).contains("  current-context   Display the current-context\n"));
        assert!(super::options().contains("    --as-group=[]:\n"));
    }
}
