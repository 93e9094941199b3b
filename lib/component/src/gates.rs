//! Feature gates: `--feature-gates A=true,B=false`.
//!
//! Upstream: `component-base/featuregate`; the known gates are v1.36's.

use std::collections::BTreeMap;

const TABLE: &str = include_str!("flags/gates.txt");

/// A gate that v1.36 knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    default: bool,
    locked: bool,
}

/// Why gates cannot be set; upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// v1.36 does not know it.
    #[error("unrecognized feature gate: {0}")]
    Unknown(String),
    /// Its value is fixed.
    #[error("cannot set feature gate {gate} to {value}, feature is locked to {locked}")]
    Locked {
        /// The gate.
        gate: String,
        /// What was asked for.
        value: bool,
        /// What it is.
        locked: bool,
    },
    /// Not `Name=true` or `Name=false`.
    #[error("invalid value of {gate}={value}, err: strconv.ParseBool: parsing \"{value}\": invalid syntax")]
    NoBool {
        /// The gate.
        gate: String,
        /// Its value.
        value: String,
    },
    /// No `=`.
    #[error("missing bool value for {0}")]
    MissingValue(String),
}

/// The gates of this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gates {
    set: BTreeMap<String, bool>,
}

impl Gates {
    /// Reads the flag's values: `A=true,B=false`, also with upstream's prefix `kube:`.
    pub fn parse(values: &[String]) -> Result<Self, GateError> {
        let mut set = BTreeMap::new();
        for pair in values.iter().flat_map(|value| value.split(',')).map(str::trim).filter(|pair| !pair.is_empty()) {
            let pair = pair.strip_prefix("kube:").unwrap_or(pair);
            let (gate, value) = pair.split_once('=').ok_or_else(|| GateError::MissingValue(pair.to_owned()))?;
            set.insert(gate.trim().to_owned(), parse_bool(gate, value.trim())?);
        }
        Self::from_map(set)
    }

    /// From a configuration's `featureGates` map.
    pub fn from_map(set: BTreeMap<String, bool>) -> Result<Self, GateError> {
        for (gate, &value) in &set {
            check(gate, value)?;
        }
        Ok(Self { set })
    }

    /// Whether a gate is on: as set, else v1.36's default; off if unknown.
    pub fn enabled(&self, gate: &str) -> bool {
        let switches_all =
            |known: Known, all: &str| !known.default && !known.locked && self.set.get(all) == Some(&true);
        match (self.set.get(gate), lookup(gate)) {
            (Some(&value), _) => value,
            (None, Some((stage, known))) => {
                known.default
                    || (stage == "alpha" && switches_all(known, "AllAlpha"))
                    || (stage == "beta" && switches_all(known, "AllBeta"))
            }
            (None, None) => false,
        }
    }

    /// The gates that were set to something else than their default and that are not in `built`:
    /// to be warned about by name.
    pub fn unbuilt<'a>(&'a self, built: &'a [&str]) -> impl Iterator<Item = &'a str> {
        let differs = |gate: &str, value: bool| lookup(gate).is_none_or(|(_, known)| known.default != value);
        self.set
            .iter()
            .filter(move |(gate, value)| differs(gate, **value) && !built.contains(&gate.as_str()))
            .map(|(gate, _)| gate.as_str())
    }
}

fn check(gate: &str, value: bool) -> Result<(), GateError> {
    if matches!(gate, "AllAlpha" | "AllBeta") {
        return Ok(());
    }
    let (_, known) = lookup(gate).ok_or_else(|| GateError::Unknown(gate.to_owned()))?;
    if known.locked && value != known.default {
        return Err(GateError::Locked { gate: gate.to_owned(), value, locked: known.default });
    }
    Ok(())
}

/// The spellings of Go's `strconv.ParseBool`.
pub fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn parse_bool(gate: &str, value: &str) -> Result<bool, GateError> {
    go_bool(value).ok_or_else(|| GateError::NoBool { gate: gate.to_owned(), value: value.to_owned() })
}

/// A gate's stage and defaults. The table's lines are `stage-on|off[-locked]: names`, with
/// continuation lines.
fn lookup(gate: &str) -> Option<(&'static str, Known)> {
    let mut head = "";
    for line in TABLE.lines() {
        let names = match line.split_once(':') {
            Some((start, names)) => {
                head = start;
                names
            }
            None => line,
        };
        if names.split_whitespace().any(|name| name == gate) {
            let stage = head.split('-').next().unwrap_or_default();
            return Some((stage, Known { default: head.contains("-on"), locked: head.ends_with("-locked") }));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Gates, GateError> {
        Gates::parse(&[text.to_owned()])
    }

    #[test]
    fn gates_are_set_and_have_defaults() {
        let gates = parse("APIResponseCompression=false,kube:AllowUnsafeMalformedObjectDeletion=true").unwrap();
        assert!(!gates.enabled("APIResponseCompression"));
        assert!(gates.enabled("AllowUnsafeMalformedObjectDeletion"));
        assert!(gates.enabled("APIServerIdentity"));
        assert!(!gates.enabled("Nonesuch"));
        let unbuilt: Vec<_> = gates.unbuilt(&["APIResponseCompression"]).collect();
        assert_eq!(unbuilt, ["AllowUnsafeMalformedObjectDeletion"]);
        assert!(parse("AllAlpha=true").unwrap().enabled("AllowUnsafeMalformedObjectDeletion"));
    }

    #[test]
    fn errors_have_upstreams_words() {
        let table = [
            ("Nonesuch=true", "unrecognized feature gate: Nonesuch"),
            (
                "AnyVolumeDataSource=false",
                "cannot set feature gate AnyVolumeDataSource to false, feature is locked to true",
            ),
            ("APIServerIdentity", "missing bool value for APIServerIdentity"),
        ];
        for (text, message) in table {
            assert_eq!(parse(text).unwrap_err().to_string(), message);
        }
        assert!(matches!(parse("APIServerIdentity=maybe"), Err(GateError::NoBool { .. })));
    }
}
