//! What the members of a kubeconfig are of, and Go's words for those that are of something else.
//!
//! Upstream: `client-go/tools/clientcmd/api/v1/types.go`, Go's `encoding/json`.

use apimachinery::Value;
use apimachinery::codec::{NO_KIND, TYPE_META, base64};
use rules::patch::go_kind;

/// What a member is.
#[derive(Clone, Copy)]
enum Type {
    Text,
    Switch,
    /// Bytes in base64.
    Data,
    Texts,
    /// Texts by name.
    Table,
    /// Lists of texts by name.
    Lists,
    One(&'static Struct),
    Many(&'static Struct),
}

/// A type of upstream with its members.
struct Struct {
    name: &'static str,
    members: &'static [(&'static str, Type)],
}

use Type::{Data, Lists, Many, One, Switch, Table, Text, Texts};

const CONFIG: Struct = Struct {
    name: "Config",
    members: &[
        ("clusters", Many(&Struct { name: "NamedCluster", members: &[("name", Text), ("cluster", One(&CLUSTER))] })),
        ("contexts", Many(&Struct { name: "NamedContext", members: &[("name", Text), ("context", One(&CONTEXT))] })),
        ("current-context", Text),
        ("extensions", Many(&EXTENSION)),
        (
            "preferences",
            One(&Struct { name: "Preferences", members: &[("colors", Switch), ("extensions", Many(&EXTENSION))] }),
        ),
        ("users", Many(&Struct { name: "NamedAuthInfo", members: &[("name", Text), ("user", One(&USER))] })),
    ],
};

const EXTENSION: Struct = Struct { name: "NamedExtension", members: &[("name", Text)] };

const CLUSTER: Struct = Struct {
    name: "Cluster",
    members: &[
        ("certificate-authority", Text),
        ("certificate-authority-data", Data),
        ("disable-compression", Switch),
        ("extensions", Many(&EXTENSION)),
        ("insecure-skip-tls-verify", Switch),
        ("proxy-url", Text),
        ("server", Text),
        ("tls-server-name", Text),
    ],
};

const CONTEXT: Struct = Struct {
    name: "Context",
    members: &[("cluster", Text), ("extensions", Many(&EXTENSION)), ("namespace", Text), ("user", Text)],
};

const USER: Struct = Struct {
    name: "AuthInfo",
    members: &[
        ("as", Text),
        ("as-groups", Texts),
        ("as-uid", Text),
        ("as-user-extra", Lists),
        ("auth-provider", One(&Struct { name: "AuthProviderConfig", members: &[("config", Table), ("name", Text)] })),
        ("client-certificate", Text),
        ("client-certificate-data", Data),
        ("client-key", Text),
        ("client-key-data", Data),
        ("exec", One(&PROGRAM)),
        ("extensions", Many(&EXTENSION)),
        ("password", Text),
        ("token", Text),
        ("tokenFile", Text),
        ("username", Text),
    ],
};

const PROGRAM: Struct = Struct {
    name: "ExecConfig",
    members: &[
        ("apiVersion", Text),
        ("args", Texts),
        ("command", Text),
        ("env", Many(&Struct { name: "ExecEnvVar", members: &[("name", Text), ("value", Text)] })),
        ("installHint", Text),
        ("interactiveMode", Text),
        ("provideClusterInfo", Switch),
    ],
};

/// What is of another type than a kubeconfig has it, in Go's words.
pub(super) fn check(value: &Value) -> Result<(), String> {
    if value.is_null() {
        return Ok(());
    }
    if !value.is_object() {
        return Err(format!("{NO_KIND}json: cannot unmarshal {} into Go value of type {TYPE_META}", go_kind(value)));
    }
    for key in ["apiVersion", "kind"] {
        if let Some(member) = value.get(key).filter(|member| !member.is_string() && !member.is_null()) {
            let is = go_kind(member);
            return Err(format!("{NO_KIND}json: cannot unmarshal {is} into Go struct field .{key} of type string"));
        }
    }
    members(value, &CONFIG, "")
}

/// Checks the members of an object, in the order of their names.
fn members(value: &Value, of: &Struct, place: &str) -> Result<(), String> {
    let given = |(key, ty): &(&str, Type)| Some((format!("{place}.{key}"), *ty, value.get(*key)?));
    let mut members = of.members.iter().filter_map(given);
    members.try_for_each(|(place, ty, member)| member_is(member, ty, of.name, &place))
}

fn member_is(value: &Value, ty: Type, of: &str, place: &str) -> Result<(), String> {
    let wrong = |value: &Value, wanted: &str| {
        Err(format!("json: cannot unmarshal {} into Go struct field {of}{place} of type {wanted}", go_kind(value)))
    };
    if value.is_null() {
        return Ok(());
    }
    match ty {
        Text if !value.is_string() => wrong(value, "string"),
        Switch if !value.is_boolean() => wrong(value, "bool"),
        Text | Switch => Ok(()),
        Data => match value {
            Value::String(text) => base64::decode(text).map(drop).map_err(|error| error.to_string()),
            Value::Array(_) => Ok(()),
            other => wrong(other, "[]uint8"),
        },
        Texts => match value {
            Value::Array(items) => items.iter().try_for_each(|item| member_is(item, Text, of, place)),
            other => wrong(other, "[]string"),
        },
        Table | Lists => {
            let (inner, wanted) =
                if matches!(ty, Table) { (Text, "map[string]string") } else { (Texts, "map[string][]string") };
            match value {
                Value::Object(entries) => entries.values().try_for_each(|entry| member_is(entry, inner, of, place)),
                other => wrong(other, wanted),
            }
        }
        One(inner) if value.is_object() => members(value, inner, place),
        One(inner) => wrong(value, &format!("v1.{}", inner.name)),
        Many(inner) => match value {
            Value::Array(items) => items.iter().try_for_each(|item| member_is(item, One(inner), of, place)),
            other => wrong(other, &format!("[]v1.{}", inner.name)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_of_another_type_are_told_as_go_tells_them() {
        let cluster = |cluster: Value| json!({"clusters": [{"name": "c", "cluster": cluster}]});
        let user = |user: Value| json!({"users": [{"name": "u", "user": user}]});
        let field = |is: &str, rest: &str| format!("json: cannot unmarshal {is} into Go struct field {rest}");
        for (value, want) in [
            (json!(null), String::new()),
            (json!({"apiVersion": "v1", "kind": "Config", "Clusters": 5, "clusters": [null]}), String::new()),
            (json!({"kind": []}), format!("{NO_KIND}{}", field("array", ".kind of type string"))),
            (json!({"clusters": "x"}), field("string", "Config.clusters of type []v1.NamedCluster")),
            (json!({"clusters": [5]}), field("number", "Config.clusters of type v1.NamedCluster")),
            (json!({"users": [{"name": 5}]}), field("number", "NamedAuthInfo.users.name of type string")),
            (cluster(json!("x")), field("string", "NamedCluster.clusters.cluster of type v1.Cluster")),
            (cluster(json!({"server": 5})), field("number", "Cluster.clusters.cluster.server of type string")),
            (cluster(json!({"certificate-authority-data": "YWJjYQ="})), "illegal base64 data at input byte 7".into()),
            (cluster(json!({"certificate-authority-data": "YWJj\n"})), String::new()),
            (user(json!({"as-groups": ["a", 5]})), field("number", "AuthInfo.users.user.as-groups of type string")),
            (
                user(json!({"as-user-extra": {"a": "b"}})),
                field("string", "AuthInfo.users.user.as-user-extra of type []string"),
            ),
            (
                user(json!({"exec": {"env": [{"name": 5}]}})),
                field("number", "ExecEnvVar.users.user.exec.env.name of type string"),
            ),
        ] {
            assert_eq!(check(&value).err().unwrap_or_default(), want, "{value}");
        }
    }
}
