//! What a kubeconfig may hold, as facts.
//!
//! Upstream: `client-go/tools/clientcmd/api/types.go` and `api/v1/types.go`.

use apimachinery::{Map, Value};

/// What a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text.
    Text,
    /// A switch.
    Flag,
    /// Bytes, in base64.
    Bytes,
    /// Text by name.
    TextMap,
    /// Something that can be kept and not set piece by piece.
    Opaque,
    /// Members of its own.
    Struct(&'static [Field]),
    /// Entries by name.
    Entries(&'static [Field]),
}

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Its name in files.
    pub(super) name: &'static str,
    /// What it is.
    pub(super) kind: Kind,
    /// Written even if it is empty.
    pub(super) kept: bool,
    /// Not for everybody's eyes.
    pub(super) secret: bool,
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, kept: false, secret: false }
}

const fn kept(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, kept: true, secret: false }
}

const fn secret(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, kept: false, secret: true }
}

/// A cluster.
const CLUSTER: &[Field] = &[
    kept("server", Kind::Text),
    field("tls-server-name", Kind::Text),
    field("insecure-skip-tls-verify", Kind::Flag),
    field("certificate-authority", Kind::Text),
    field("certificate-authority-data", Kind::Bytes),
    field("proxy-url", Kind::Text),
    field("disable-compression", Kind::Flag),
    field("extensions", Kind::Opaque),
];

/// A user.
const USER: &[Field] = &[
    field("client-certificate", Kind::Text),
    field("client-certificate-data", Kind::Bytes),
    field("client-key", Kind::Text),
    secret("client-key-data", Kind::Bytes),
    secret("token", Kind::Text),
    field("tokenFile", Kind::Text),
    field("as", Kind::Text),
    field("as-uid", Kind::Text),
    field("as-groups", Kind::Opaque),
    field("as-user-extra", Kind::Opaque),
    field("username", Kind::Text),
    secret("password", Kind::Text),
    field("auth-provider", Kind::Struct(&[kept("name", Kind::Text), kept("config", Kind::TextMap)])),
    field(
        "exec",
        Kind::Struct(&[
            kept("command", Kind::Text),
            kept("args", Kind::Opaque),
            kept("env", Kind::Opaque),
            field("apiVersion", Kind::Text),
            field("installHint", Kind::Text),
            kept("provideClusterInfo", Kind::Flag),
            field("interactiveMode", Kind::Text),
        ]),
    ),
    field("extensions", Kind::Opaque),
];

/// A context.
const CONTEXT: &[Field] = &[
    kept("cluster", Kind::Text),
    kept("user", Kind::Text),
    field("namespace", Kind::Text),
    field("extensions", Kind::Opaque),
];

/// A whole file, its lists by name.
pub(super) const CONFIG: &[Field] = &[
    field("preferences", Kind::Struct(&[field("colors", Kind::Flag), field("extensions", Kind::Opaque)])),
    kept("clusters", Kind::Entries(CLUSTER)),
    kept("users", Kind::Entries(USER)),
    kept("contexts", Kind::Entries(CONTEXT)),
    kept("current-context", Kind::Text),
    field("extensions", Kind::Opaque),
];

/// The order of members in JSON, of all objects at once.
pub const ORDER: &[&str] = &[
    "command",
    "args",
    "env",
    "kind",
    "apiVersion",
    "installHint",
    "provideClusterInfo",
    "interactiveMode",
    "name",
    "config",
    "preferences",
    "colors",
    "clusters",
    "cluster",
    "users",
    "user",
    "namespace",
    "contexts",
    "context",
    "current-context",
    "server",
    "tls-server-name",
    "insecure-skip-tls-verify",
    "certificate-authority",
    "certificate-authority-data",
    "proxy-url",
    "disable-compression",
    "client-certificate",
    "client-certificate-data",
    "client-key",
    "client-key-data",
    "token",
    "tokenFile",
    "as",
    "as-uid",
    "as-groups",
    "as-user-extra",
    "username",
    "password",
    "auth-provider",
    "exec",
    "extensions",
    "extension",
    "value",
];

/// The paths in entries: the list, the member.
pub(super) const PATHS: [(&str, &str); 4] = [
    ("clusters", "certificate-authority"),
    ("users", "client-certificate"),
    ("users", "client-key"),
    ("users", "tokenFile"),
];

/// The member that holds an entry of a list.
pub(super) fn holder(list: &str) -> &str {
    list.strip_suffix('s').unwrap_or(list)
}

/// The fields of an entry of a list.
pub(super) fn of_list(list: &str) -> &'static [Field] {
    match list {
        "clusters" => CLUSTER,
        "users" => USER,
        _ => CONTEXT,
    }
}

/// An object with the fields that there are: what is empty is left out or written, as each field
/// has it.
pub(super) fn shaped(fields: &[Field], map: &Map) -> Map {
    let mut shaped = Map::new();
    for field in fields {
        let value = map.get(field.name).filter(|v| !v.is_null());
        let value = match (field.kind, value) {
            (Kind::Struct(inner), Some(Value::Object(map))) => Some(Value::Object(self::shaped(inner, map))),
            (Kind::Struct(_), _) => None,
            (Kind::Text, Some(value @ (Value::Number(_) | Value::Bool(_)))) => Some(value.to_string().into()),
            (Kind::Text, value) => Some(value.and_then(Value::as_str).unwrap_or_default().into()),
            (Kind::Flag, value) => Some(value.and_then(Value::as_bool).unwrap_or_default().into()),
            (_, value) => value.cloned(),
        };
        let empty = value.as_ref().is_none_or(is_empty);
        if !empty || field.kept {
            shaped.insert(field.name.to_owned(), value.unwrap_or_default());
        }
    }
    shaped
}

/// Whether Go would leave a value out.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_empty_is_left_out_unless_it_is_kept() {
        let map = json!({"exec": {"command": "x"}, "token": "", "nonsense": 1, "username": "u"});
        let shaped = shaped(USER, map.as_object().expect("an object"));
        let want =
            json!({"exec": {"command": "x", "args": null, "env": null, "provideClusterInfo": false}, "username": "u"});
        assert_eq!(Value::Object(shaped), want);
    }
}
