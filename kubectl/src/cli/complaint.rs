//! What the parser finds wrong with flags, as `pflag` and `cobra` word it.
//!
//! Upstream: `spf13/pflag` (`flag.go`, `errors.go`), `spf13/cobra` (`command.go`).

use super::near::unknown_command;
use super::usage::UsageError;
use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What is wrong with a command line, in the words of `cobra` and `pflag`.
pub(super) fn complaint(command: &Command, words: &[String], error: &clap::Error) -> UsageError {
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
        // Clap's own flag for help takes no value, Go's is a switch.
        ErrorKind::TooManyValues if name == "--help" => {
            let value = text(ContextKind::InvalidValue);
            usage(format!("invalid argument {value:?} for \"-h, --help\" flag: {}", switch(&value)))
        }
        ErrorKind::InvalidSubcommand => unknown_command(command, words, &path, &text(ContextKind::InvalidSubcommand)),
        ErrorKind::InvalidValue | ErrorKind::NoEquals
            if text(ContextKind::InvalidValue).is_empty() && !(is_switch(error) && has_value(words, &name)) =>
        {
            usage(no_argument(words, &name))
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let value = text(ContextKind::InvalidValue);
            let value = super::lists::typed(&value);
            let why = std::error::Error::source(error).map_or_else(|| switch(value), ToString::to_string);
            usage(format!(
                "invalid argument {value:?} for {} flag: {}",
                both_names(command, words, &name),
                number(value, &why)
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
pub(super) fn path(command: &Command, words: &[String]) -> String {
    let name = command.get_name().to_owned();
    super::walk(command, words).path.iter().fold(name, |path, next| format!("{path} {next}"))
}

fn unknown_flag(words: &[String], name: &str) -> String {
    match name.strip_prefix('-').filter(|n| !n.starts_with('-')) {
        Some(letter) => {
            let whole = words.iter().find(|w| w.starts_with('-') && !w.starts_with("--") && w.contains(letter));
            // Letters in front of it have been read.
            let rest = whole.and_then(|word| Some(&word[word.find(letter)?..])).unwrap_or(letter);
            format!("unknown shorthand flag: '{letter}' in -{rest}")
        }
        None if name.starts_with("---") => format!("bad flag syntax: {name}"),
        None if name == "--" => {
            let whole = words.iter().find(|word| word.starts_with("--="));
            format!("bad flag syntax: {}", whole.map_or(name, String::as_str))
        }
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

/// Whether a flag takes `true` and `false`, as opposed to one that must not be empty.
fn is_switch(error: &clap::Error) -> bool {
    let choices = error.get(ContextKind::ValidValue);
    std::error::Error::source(error).is_some() || matches!(choices, Some(ContextValue::Strings(all)) if !all.is_empty())
}

/// Whether a flag stands with a value, be it an empty one: `--flag=`.
fn has_value(words: &[String], name: &str) -> bool {
    words.iter().any(|word| word.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')))
}

/// Go's words for a switch that is neither on nor off.
fn switch(value: &str) -> String {
    format!("strconv.ParseBool: parsing {value:?}: invalid syntax")
}

/// `"-o, --output"` for a flag with a letter.
fn both_names(command: &Command, words: &[String], name: &str) -> String {
    let long = name.trim_start_matches('-');
    let found = super::words::flag(command, super::walk(command, words).command, long);
    match found.and_then(clap::Arg::get_short) {
        Some(short) => format!("\"-{short}, --{long}\""),
        None => format!("\"--{long}\""),
    }
}

/// Go's words for a number that is none.
fn number(value: &str, why: &str) -> String {
    match why {
        why if why.starts_with("invalid digit") || why.starts_with("cannot parse integer") => {
            format!("strconv.ParseInt: parsing {value:?}: invalid syntax")
        }
        why if why.starts_with("number too") || why.contains(" is not in ") => {
            format!("strconv.ParseInt: parsing {value:?}: value out of range")
        }
        why => why.to_owned(),
    }
}
