//! From words to flags: finds out, by the tables, which words are values.

use super::{FlagError, Kind, table};
use crate::gates::go_bool;
use clap::Command;

/// A command line in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Normalized {
    /// To start.
    Flags { given: Vec<(String, String)>, unbuilt: Vec<String>, version: Option<String> },
    /// `--help`.
    Help,
    /// `--version`.
    Version,
    /// `--version=raw`.
    RawVersion,
}

pub(super) fn normalize(
    component: &str,
    command: &Command,
    arguments: impl IntoIterator<Item = String>,
) -> Result<Normalized, FlagError> {
    let (mut given, mut unbuilt, mut version) = (Vec::new(), Vec::new(), None);
    let mut words = arguments.into_iter();
    while let Some(word) = words.next() {
        let (name, inline) = split(component, &word)?;
        let built = command.get_arguments().any(|argument| argument.get_long() == Some(&name));
        let kind = table::lookup(component, &name).or_else(|| built.then(|| own_kind(command, &name)));
        let kind = kind.ok_or_else(|| FlagError::Unknown(name.clone()))?;
        match (kind, name.as_str(), inline.as_deref()) {
            (Kind::Version, _, Some("raw")) => return Ok(Normalized::RawVersion),
            (Kind::Version, _, inline) if inline.is_none_or(|text| go_bool(text) == Some(true)) => {
                return Ok(Normalized::Version);
            }
            (_, "help", _) => return Ok(Normalized::Help),
            _ => {}
        }
        let value = match (kind, inline) {
            (_, Some(value)) => value,
            (Kind::Bool | Kind::Version, None) => "true".to_owned(),
            (_, None) => words.next().ok_or_else(|| FlagError::MissingValue(name.clone()))?,
        };
        let value = checked(kind, &name, value)?;
        match kind {
            _ if built => given.push((name, value)),
            Kind::Version => version = Some(value).filter(|value| value.starts_with('v')).or(version),
            // Scripts pass empty texts for what they have no say in.
            Kind::Text if value.is_empty() => {}
            _ if !unbuilt.contains(&name) => unbuilt.push(name),
            _ => {}
        }
    }
    Ok(Normalized::Flags { given, unbuilt, version })
}

/// A word's flag and the value behind its `=`.
fn split(component: &str, word: &str) -> Result<(String, Option<String>), FlagError> {
    let one_dash = || word.strip_prefix('-').filter(|_| table::takes_one_dash(component));
    if let Some(long) = word.strip_prefix("--").or_else(one_dash).filter(|long| !long.is_empty()) {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        let name = if name == "h" && table::takes_one_dash(component) { "help" } else { name };
        return Ok((name.replace('_', "-"), value));
    }
    let Some(short) = word.strip_prefix('-').filter(|short| !short.is_empty() && *short != "-") else {
        return Err(FlagError::Word { word: word.to_owned(), component: component.to_owned() });
    };
    let (letter, rest) = short.split_at(short.chars().next().map_or(0, char::len_utf8));
    let value = Some(rest.strip_prefix('=').unwrap_or(rest).to_owned()).filter(|value| !value.is_empty());
    match letter {
        "v" => Ok(("v".to_owned(), value)),
        "h" => Ok(("help".to_owned(), None)),
        _ => {
            let letter = letter.chars().next().unwrap_or('-');
            Err(FlagError::UnknownShorthand { letter, text: short.to_owned() })
        }
    }
}

/// The kind of a flag that only we have.
fn own_kind(command: &Command, name: &str) -> Kind {
    let argument = command.get_arguments().find(|argument| argument.get_long() == Some(name));
    let is_bool = argument.is_some_and(|a| a.get_value_parser().type_id() == std::any::TypeId::of::<bool>());
    if is_bool { Kind::Bool } else { Kind::Text }
}

/// A value in the spelling that clap's parsers take.
fn checked(kind: Kind, flag: &str, value: String) -> Result<String, FlagError> {
    let problem = match kind {
        Kind::Bool => match go_bool(&value) {
            Some(is_on) => return Ok(is_on.to_string()),
            None => Some("must be true or false".to_owned()),
        },
        Kind::Int => value.parse::<i64>().err().map(|error| error.to_string()),
        Kind::Float => value.parse::<f64>().err().map(|error| error.to_string()),
        Kind::Duration => value.parse::<crate::GoDuration>().err().map(|error| error.to_string()),
        Kind::Version if value.starts_with('v') => crate::version::check(&value).err().map(|error| error.to_string()),
        Kind::Version if go_bool(&value).is_none() => {
            Some(format!("strconv.ParseBool: parsing {value:?}: invalid syntax"))
        }
        Kind::Text | Kind::Version => None,
    };
    match problem {
        Some(why) => Err(FlagError::Invalid { flag: flag.to_owned(), value, why }),
        None => Ok(value),
    }
}
