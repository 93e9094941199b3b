//! All flags with their values, as pflag prints them.

use super::table::{self, Kind};
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::collections::BTreeMap;

/// Name and value of every flag, defaults included. No flag's value is a secret: they name files.
pub(super) fn all(component: &str, command: &Command, matches: &ArgMatches) -> BTreeMap<String, String> {
    let flags = command.get_arguments().filter_map(|argument| Some((argument.get_long()?, argument)));
    flags.map(|(name, argument)| (name.to_owned(), value(component, name, argument, matches))).collect()
}

fn value(component: &str, name: &str, argument: &Arg, matches: &ArgMatches) -> String {
    let raw = matches.get_raw(argument.get_id().as_str()).into_iter().flatten();
    let values: Vec<String> = raw.map(|value| value.to_string_lossy().into_owned()).collect();
    if matches!(argument.get_action(), ArgAction::Append) {
        return format!("[{}]", values.join(","));
    }
    let value = values.into_iter().next_back().unwrap_or_default();
    match table::lookup(component, name) {
        Some(Kind::Duration) => value.parse::<crate::GoDuration>().map_or(value, |duration| duration.to_string()),
        _ => value,
    }
}
