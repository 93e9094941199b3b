//! Switches and durations as Go's flag library takes them: `--wait`, `--wait=false`, `--wait=T`, `--timeout=1m30s`.
//!
//! Upstream: `github.com/spf13/pflag` (`bool.go`, `duration.go`).

use clap::{Arg, ArgAction, Command};
use std::any::TypeId;
use std::convert::Infallible;
use std::path::PathBuf;

/// Lets every switch of a command and its subcommands take a value behind an equals sign, and every
/// duration only what Go reads as one.
pub fn loosen(command: Command) -> Command {
    command.mut_args(|arg| any_word(check_duration(empty_path(loosen_switch(arg))))).mut_subcommands(loosen)
}

/// The word behind a flag is its value, even if it looks like a flag.
fn any_word(arg: Arg) -> Arg {
    match arg.get_action().takes_values() && !arg.is_positional() && !arg.is_require_equals_set() {
        true => arg.allow_hyphen_values(true),
        false => arg,
    }
}

/// A path may be empty, which is as good as none.
fn empty_path(arg: Arg) -> Arg {
    match arg.get_value_parser().type_id() == TypeId::of::<PathBuf>() {
        true => arg.value_parser(|text: &str| Ok::<_, Infallible>(PathBuf::from(text))),
        false => arg,
    }
}

/// Flags that hold durations wherever they are.
const DURATIONS: [&str; 5] = ["duration", "keepalive", "pod-running-timeout", "since", "timeout"];

fn check_duration(arg: Arg) -> Arg {
    let is_text = arg.get_value_parser().type_id() == TypeId::of::<String>();
    let is_duration = arg.get_long().is_some_and(|long| DURATIONS.contains(&long));
    if is_text && is_duration { arg.value_parser(duration) } else { arg }
}

/// The text, if it is a duration.
fn duration(text: &str) -> Result<String, String> {
    let read = apimachinery::time::parse_go_nanos(text);
    let digits = text.trim_start_matches(['-', '+']);
    let what = match !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => "missing unit in duration",
        false => "invalid duration",
    };
    read.map(|_| text.to_owned()).ok_or_else(|| format!("time: {what} {text:?}"))
}

fn loosen_switch(arg: Arg) -> Arg {
    if !matches!(arg.get_action(), ArgAction::SetTrue) {
        let is_switch = arg.get_value_parser().type_id() == TypeId::of::<bool>();
        return if is_switch { arg.value_parser(parse) } else { arg };
    }
    let on = arg.get_default_values().iter().any(|value| value == "true");
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .default_value(if on { "true" } else { "false" })
        .value_parser(parse)
}

/// The words that Go reads as booleans.
///
/// # Errors
/// What Go says of any other word.
pub fn parse(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{FromArgMatches, Parser};

    #[derive(Debug, Parser)]
    struct Sample {
        #[arg(long, short = 'a')]
        off: bool,
        #[arg(long, default_value_t = true)]
        on: bool,
        #[arg(long, short = 'b')]
        other: bool,
        #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value = "true")]
        always: bool,
        #[arg(long)]
        path: Option<PathBuf>,
        words: Vec<String>,
    }

    #[test]
    fn paths_may_be_empty_and_all_switches_take_numbers() {
        let command = loosen(<Sample as clap::CommandFactory>::command());
        let matches = command.try_get_matches_from(["x", "--path=", "--always=0"]).expect("parses");
        let sample = Sample::from_arg_matches(&matches).expect("fits");
        assert_eq!((sample.path, sample.always), (Some(PathBuf::new()), false));
    }

    fn parsed(line: &str) -> (bool, bool, bool, Vec<String>) {
        let command = loosen(<Sample as clap::CommandFactory>::command());
        let matches = command.try_get_matches_from(line.split(' ')).expect("parses");
        let sample = Sample::from_arg_matches(&matches).expect("fits");
        (sample.off, sample.on, sample.other, sample.words)
    }

    #[test]
    fn switches_take_values() {
        for (line, want) in [
            ("x", (false, true, false, vec![])),
            ("x --off w", (true, true, false, vec!["w".to_owned()])),
            ("x --off=true --on=false", (true, false, false, vec![])),
            ("x --off=F --on", (false, true, false, vec![])),
            ("x -ab w", (true, true, true, vec!["w".to_owned()])),
        ] {
            assert_eq!(parsed(line), want, "{line}");
        }
    }
}
