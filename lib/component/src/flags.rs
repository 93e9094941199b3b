//! Command lines in upstream's dialect, read into a clap struct.
//!
//! Go's flags differ from clap's: a bool takes a value only behind `=`, `_` in a name means `-`,
//! the last of a repeated flag counts. A flag that upstream has and we have not built is consumed
//! and named; a flag nobody knows is an error of one line. Each flag can also come from the
//! environment: `KUBE_SCHEDULER_KUBECONFIG`.
//!
//! Upstream: `spf13/pflag`, `component-base/cli`.

mod normalize;
mod show;
mod table;

use clap::{ArgMatches, Command, CommandFactory as _, FromArgMatches};
use normalize::Normalized;
use std::collections::BTreeMap;
pub use table::Kind;

/// A command line that a component cannot start with; one line, upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// Neither built nor known upstream.
    #[error("unknown flag: --{0}")]
    Unknown(String),
    /// An unknown letter.
    #[error("unknown shorthand flag: {letter:?} in -{text}")]
    UnknownShorthand {
        /// The letter.
        letter: char,
        /// What was typed behind the dash.
        text: String,
    },
    /// No value.
    #[error("flag needs an argument: --{0}")]
    MissingValue(String),
    /// A value that does not fit.
    #[error("invalid argument {value:?} for \"--{flag}\" flag: {why}")]
    Invalid {
        /// The flag.
        flag: String,
        /// Its value.
        value: String,
        /// What is wrong.
        why: String,
    },
    /// A word that is no flag.
    #[error("unknown command {word:?} for {component:?}")]
    Word {
        /// The word.
        word: String,
        /// The component.
        component: String,
    },
    /// Anything else clap refuses.
    #[error("{0}")]
    Refused(String),
}

/// What a command line asks for.
#[derive(Clone, Debug)]
pub enum Parsed<O> {
    /// To start with these options.
    Start(Start<O>),
    /// To print this and end: help, version.
    Print(String),
}

/// Options to start with.
#[derive(Clone, Debug)]
pub struct Start<O> {
    /// The component's own.
    pub options: O,
    /// Those that all components share.
    pub common: Common,
    /// What was given explicitly, on the command line or in the environment: name and value. A
    /// repeated flag stands here as often as it was given.
    pub given: Vec<(String, String)>,
    /// All flags that are built with their values, as Go would print them; for `/flagz`.
    pub shown: BTreeMap<String, String>,
    /// Flags that upstream has, that were given a value, and that are not built.
    pub unbuilt: Vec<String>,
    /// The version to report, of `--version=vX.Y.Z...`.
    pub version: Option<String>,
}

/// Flags of every daemon.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Common {
    /// Number for the log level verbosity.
    #[arg(long = "v", short = 'v', default_value_t = 0, value_name = "LEVEL")]
    pub verbosity: i32,
    /// Comma-separated list of pattern=N settings for file-filtered logging.
    #[arg(long, default_value = "")]
    pub vmodule: String,
    /// The log format.
    #[arg(long, value_enum, default_value_t)]
    pub logging_format: LogFormat,
    /// Name=bool pairs for alpha and experimental features.
    #[arg(long)]
    pub feature_gates: Vec<String>,
}

/// `--logging-format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON document per line.
    Json,
}

#[derive(clap::Parser)]
#[command(no_binary_name = true, disable_help_flag = true, args_override_self = true)]
struct All<O: clap::Args> {
    #[command(flatten)]
    own: O,
    #[command(flatten)]
    common: Common,
}

/// Reads a command line (without the program's name) and the environment for `component`.
pub fn parse<O: clap::Args>(
    component: &'static str,
    arguments: impl IntoIterator<Item = String>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Parsed<O>, FlagError> {
    let command = All::<O>::command().name(component);
    let normalized = normalize::normalize(component, &command, arguments)?;
    let Normalized::Flags { mut given, unbuilt, version } = normalized else {
        return Ok(Parsed::Print(printed(normalized, command)));
    };
    let from_environment = environment_flags(component, &command, &given, environment);
    given.splice(0..0, from_environment);
    let line = given.iter().map(|(name, value)| format!("--{name}={value}"));
    let matches = command.clone().try_get_matches_from(line).map_err(|error| refused(&error))?;
    let shown = show::all(component, &command, &matches);
    let All { own, common } = All::from_arg_matches(&matches).map_err(|error| refused(&error))?;
    Ok(Parsed::Start(Start { options: own, common, given, shown, unbuilt, version }))
}

fn printed(normalized: Normalized, mut command: Command) -> String {
    match normalized {
        Normalized::RawVersion => format!("{:?}", crate::version::info()),
        Normalized::Version => format!("Kubernetes {}", crate::version::git_version()),
        Normalized::Help | Normalized::Flags { .. } => command.render_long_help().to_string(),
    }
}

/// The flags set by the environment and not by the command line.
fn environment_flags(
    component: &str,
    command: &Command,
    given: &[(String, String)],
    environment: impl Fn(&str) -> Option<String>,
) -> Vec<(String, String)> {
    let names = command.get_arguments().filter_map(|argument| argument.get_long());
    let missing = names.filter(|name| given.iter().all(|(given, _)| given != name));
    missing.filter_map(|name| Some((name.to_owned(), environment(&variable(component, name))?))).collect()
}

/// `kube-scheduler`, `bind-address` → `KUBE_SCHEDULER_BIND_ADDRESS`.
pub fn variable(component: &str, flag: &str) -> String {
    format!("{component}_{flag}").replace('-', "_").to_uppercase()
}

/// A clap error in one line.
fn refused(error: &clap::Error) -> FlagError {
    use clap::error::{ContextKind, ContextValue};
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let (Some(flag), Some(value)) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue)) else {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        return FlagError::Refused(line.trim_start_matches("error: ").to_owned());
    };
    let flag = flag.trim_start_matches('-').split([' ', '=', '<']).next().unwrap_or_default().to_owned();
    let why = match (std::error::Error::source(error), error.get(ContextKind::ValidValue)) {
        (Some(source), _) => source.to_string(),
        (None, Some(ContextValue::Strings(valid))) => format!("must be one of {}", valid.join(", ")),
        (None, _) => "invalid value".to_owned(),
    };
    FlagError::Invalid { flag, value, why }
}

/// Reads matches again, for a component that builds its own commands.
pub fn from_matches<O: FromArgMatches>(matches: &ArgMatches) -> Result<O, FlagError> {
    O::from_arg_matches(matches).map_err(|error| refused(&error))
}

#[cfg(test)]
#[path = "flags/tests.rs"]
mod tests;
