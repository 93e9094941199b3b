//! `clusters.my.cluster.server`: values by dotted names, in which the names of entries may have
//! dots themselves.
//!
//! Upstream: `kubectl/pkg/cmd/config/{set,navigation_step_parser}.go`.

use super::Kubeconfig;
use super::fields::{CONFIG, Field, Kind};
use apimachinery::codec::base64::{IllegalBase64, canonical};
use apimachinery::{Map, Value};
use base64::Engine;

/// A property that cannot be set.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropertyError {
    /// No such field.
    #[error("unable to parse {path} after [{before}] at api.{at}")]
    NoField {
        /// The whole name.
        path: String,
        /// The part that makes sense.
        before: String,
        /// What has no such field.
        at: String,
    },
    /// A name that goes on behind a value.
    #[error("unable to parse one or more field values of {0}")]
    TooLong(String),
    /// A whole list or map.
    #[error("can't set a map to a value: {0}")]
    IsMap(String),
    /// No such entry to take something out of.
    #[error("current map key `{0}` is invalid")]
    NoEntry(String),
    /// Neither true nor false.
    #[error("strconv.ParseBool: parsing {0:?}: invalid syntax")]
    NoFlag(String),
    /// Bytes that are no base64.
    #[error("error decoding input value: {0}")]
    NoBytes(IllegalBase64),
    /// A list.
    #[error("unrecognized slice type. {0}")]
    IsList(&'static str),
}

/// What to do with a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// Give it a value; bytes come as base64, or as they are.
    Set {
        /// The value.
        value: &'a str,
        /// As it is.
        raw_bytes: bool,
    },
    /// Take it away.
    Unset,
}

/// A part of a name.
enum Step {
    Field(&'static Field),
    Entry(String, Kind),
}

/// Changes the property of a name.
pub fn change(config: &mut Kubeconfig, path: &str, change: Change<'_>) -> Result<(), PropertyError> {
    // Whatever is said of the file's type, it is written as what it is.
    if matches!(path, "apiVersion" | "kind") {
        return Ok(());
    }
    let steps = steps(path)?;
    descend(&mut config.tree, &steps, change)
}

fn steps(path: &str) -> Result<Vec<Step>, PropertyError> {
    let parts: Vec<&str> = path.split('.').collect();
    let (mut steps, mut at, mut kind, mut title) = (Vec::new(), 0, Kind::Struct(CONFIG), "Config".to_owned());
    while at < parts.len() {
        match kind {
            Kind::Struct(fields) => {
                let Some(field) = fields.iter().find(|f| written(f.name) == parts[at]) else {
                    let before = parts[..at].join(" ");
                    return Err(PropertyError::NoField { path: path.to_owned(), before, at: title });
                };
                (kind, title) = (field.kind, titled(field.name));
                steps.push(Step::Field(field));
                at += 1;
                // Upstream does not look behind a pointer.
                if matches!(field.name, "exec" | "auth-provider") && at < parts.len() {
                    return Err(PropertyError::TooLong(path.to_owned()));
                }
            }
            Kind::Entries(fields) => {
                // The name ends where a field of the entry begins.
                let known = |part: &str| fields.iter().any(|f| written(f.name) == part);
                let length = parts[at + 1..].iter().position(|p| known(p)).map_or(parts.len() - at, |i| i + 1);
                steps.push(Step::Entry(parts[at..at + length].join("."), Kind::Struct(fields)));
                kind = Kind::Struct(fields);
                at += length;
            }
            Kind::TextMap => {
                steps.push(Step::Entry(parts[at..].join("."), Kind::Text));
                at = parts.len();
            }
            Kind::Text | Kind::Flag | Kind::Bytes | Kind::Opaque => {
                return Err(PropertyError::TooLong(path.to_owned()));
            }
        }
    }
    Ok(steps)
}

/// The name that the command takes for a field: four of them differ from the file's.
fn written(name: &'static str) -> &'static str {
    match name {
        "as" => "act-as",
        "as-uid" => "act-as-uid",
        "as-groups" => "act-as-groups",
        "as-user-extra" => "act-as-user-extra",
        other => other,
    }
}

fn titled(name: &str) -> String {
    match name {
        "clusters" => "Cluster".into(),
        "users" => "AuthInfo".into(),
        "contexts" => "Context".into(),
        "preferences" => "Preferences".into(),
        "auth-provider" => "AuthProviderConfig".into(),
        "exec" => "ExecConfig".into(),
        other => other.into(),
    }
}

fn descend(map: &mut Map, steps: &[Step], change: Change<'_>) -> Result<(), PropertyError> {
    let Some((step, rest)) = steps.split_first() else { return Ok(()) };
    let (name, kind, is_entry) = match step {
        Step::Field(field) => (field.name, field.kind, false),
        Step::Entry(name, kind) => (name.as_str(), *kind, true),
    };
    match (change, rest.is_empty()) {
        (Change::Unset, true) => {
            map.remove(name);
            Ok(())
        }
        (Change::Unset, false) if is_entry && !map.contains_key(name) => Err(PropertyError::NoEntry(name.to_owned())),
        (Change::Set { value, raw_bytes }, true) => {
            let value = valued(kind, map.get(name), value, raw_bytes)?;
            map.insert(name.to_owned(), value);
            Ok(())
        }
        (_, false) => {
            let inner = map.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            match inner {
                Value::Object(inner) => descend(inner, rest, change),
                _ => Ok(()),
            }
        }
    }
}

fn valued(kind: Kind, before: Option<&Value>, value: &str, raw_bytes: bool) -> Result<Value, PropertyError> {
    match kind {
        Kind::Text => Ok(value.into()),
        Kind::Flag => match value {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true.into()),
            "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false.into()),
            other => Err(PropertyError::NoFlag(other.to_owned())),
        },
        Kind::Bytes if raw_bytes => Ok(base64::engine::general_purpose::STANDARD.encode(value).into()),
        Kind::Bytes => Ok(canonical(value).map_err(PropertyError::NoBytes)?.into()),
        Kind::Opaque => Err(PropertyError::IsList("string")),
        Kind::Struct(_) | Kind::Entries(_) | Kind::TextMap => {
            let names = before.and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name.as_str());
            Err(PropertyError::IsMap(format!("map[{}]", names.collect::<Vec<_>>().join(" "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(config: &mut Kubeconfig, path: &str, value: &str) -> Result<(), String> {
        change(config, path, Change::Set { value, raw_bytes: false }).map_err(|e| e.to_string())
    }

    #[test]
    fn sets_and_unsets() {
        let mut config = Kubeconfig::default();
        for (path, value) in [
            ("clusters.10.0.0.1.server", "https://x"),
            ("clusters.10.0.0.1.insecure-skip-tls-verify", "true"),
            ("users.u.act-as", "me"),
            ("apiVersion", "x"),
            ("current-context", "x"),
            ("users.u.client-key-data", "aGVs\nbG8=\n"),
        ] {
            set(&mut config, path, value).expect(path);
        }
        assert_eq!(config.entry("clusters", "10.0.0.1").expect("there")["server"], "https://x");
        assert_eq!(config.entry("clusters", "10.0.0.1").expect("there")["insecure-skip-tls-verify"], true);
        assert_eq!(config.entry("users", "u").expect("there")["as"], "me");
        assert_eq!(config.entry("users", "u").expect("there")["client-key-data"], "aGVsbG8=");
        change(&mut config, "clusters.10.0.0.1", Change::Unset).expect("unsets");
        assert!(config.entry("clusters", "10.0.0.1").is_none());
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let mut config = Kubeconfig::default();
        for (path, value, want) in [
            ("foo.bar", "x", "unable to parse foo.bar after [] at api.Config"),
            ("clusters", "x", "can't set a map to a value: map[]"),
            ("users.u.exec.command", "x", "unable to parse one or more field values of users.u.exec.command"),
            ("current-context.x", "x", "unable to parse one or more field values of current-context.x"),
            ("users.u.client-key-data", "a b=", "error decoding input value: illegal base64 data at input byte 1"),
            ("clusters.a.insecure-skip-tls-verify", "x", "strconv.ParseBool: parsing \"x\": invalid syntax"),
        ] {
            assert_eq!(set(&mut config, path, value), Err(want.to_owned()), "{path}");
        }
        let error = change(&mut config, "contexts.zz.namespace", Change::Unset).expect_err("no entry");
        assert_eq!(error.to_string(), "current map key `zz` is invalid");
    }
}
