//! Names that a list of a kubeconfig has twice.
//!
//! Upstream: `client-go/tools/clientcmd/api/v1/conversion.go`, which prints the list as Go prints structs.

use apimachinery::Value;
use base64::Engine;

/// How Go prints a member.
#[derive(Clone, Copy)]
enum Shown {
    Text,
    Flag,
    /// Base64, shown as the numbers of its bytes.
    Bytes,
    List,
    Map,
    /// A reference, which is shown only where there is none.
    Absent,
}

use Shown::{Absent, Bytes, Flag, List, Map, Text};

/// A list: its name, the member of its entries, Go's types, and the members in their order.
struct Kind {
    list: &'static str,
    member: &'static str,
    named: &'static str,
    of: &'static str,
    members: &'static [(&'static str, Shown)],
}

/// In the order in which upstream converts them.
const KINDS: [Kind; 3] = [
    Kind {
        list: "clusters",
        member: "cluster",
        named: "NamedCluster",
        of: "Cluster",
        members: &[
            ("server", Text),
            ("tls-server-name", Text),
            ("insecure-skip-tls-verify", Flag),
            ("certificate-authority", Text),
            ("certificate-authority-data", Bytes),
            ("proxy-url", Text),
            ("disable-compression", Flag),
            ("extensions", List),
        ],
    },
    Kind {
        list: "users",
        member: "user",
        named: "NamedAuthInfo",
        of: "AuthInfo",
        members: &[
            ("client-certificate", Text),
            ("client-certificate-data", Bytes),
            ("client-key", Text),
            ("client-key-data", Bytes),
            ("token", Text),
            ("tokenFile", Text),
            ("as", Text),
            ("as-uid", Text),
            ("as-groups", List),
            ("as-user-extra", Map),
            ("username", Text),
            ("password", Text),
            ("auth-provider", Absent),
            ("exec", Absent),
            ("extensions", List),
        ],
    },
    Kind {
        list: "contexts",
        member: "context",
        named: "NamedContext",
        of: "Context",
        members: &[("cluster", Text), ("user", Text), ("namespace", Text), ("extensions", List)],
    },
];

/// What is wrong with a kubeconfig that has a name twice.
pub(super) fn check(config: &Value) -> Result<(), String> {
    for kind in &KINDS {
        let entries: Vec<&Value> = config[kind.list].as_array().into_iter().flatten().collect();
        let names: Vec<&str> = entries.iter().map(|entry| entry["name"].as_str().unwrap_or_default()).collect();
        if let Some(twice) = names.iter().enumerate().find_map(|(at, name)| names[..at].contains(name).then_some(*name))
        {
            let shown: Vec<String> = entries.iter().map(|entry| kind.entry(entry)).collect();
            return Err(format!(
                "error converting *[]{} into *map[string]*api.{}: duplicate name {twice:?} in list: [{}]",
                kind.named,
                kind.of,
                shown.join(" ")
            ));
        }
    }
    Ok(())
}

impl Kind {
    fn entry(&self, entry: &Value) -> String {
        let settings = &entry[self.member];
        let members: Vec<String> = self.members.iter().map(|(name, shown)| shown.of(&settings[*name])).collect();
        format!("{{{} {{{}}}}}", entry["name"].as_str().unwrap_or_default(), members.join(" "))
    }
}

impl Shown {
    fn of(self, value: &Value) -> String {
        let text = value.as_str().unwrap_or_default();
        match self {
            Text => text.to_owned(),
            Flag => value.as_bool().unwrap_or_default().to_string(),
            Bytes => {
                let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
                format!("[{}]", bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(" "))
            }
            List => {
                let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
                format!("[{}]", texts.collect::<Vec<_>>().join(" "))
            }
            Map => {
                let pairs = value.as_object().into_iter().flatten();
                format!(
                    "map[{}]",
                    pairs.map(|(key, list)| format!("{key}:{}", List.of(list))).collect::<Vec<_>>().join(" ")
                )
            }
            Absent => if value.is_null() { "<nil>" } else { "0x0" }.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_told_as_go_prints_them() {
        let context = json!({"name": "c", "context": {"cluster": "c", "user": "u"}});
        assert_eq!(check(&json!({"contexts": [context, {"name": "d"}]})), Ok(()));
        let twice = check(&json!({"contexts": [context, context]})).expect_err("twice");
        assert_eq!(
            twice,
            "error converting *[]NamedContext into *map[string]*api.Context: duplicate name \"c\" in list: [{c {c u  []}} {c {c u  []}}]"
        );
        let cluster = json!({"name": "", "cluster": {"server": "s", "certificate-authority-data": "YWI="}});
        let twice = check(&json!({"clusters": [cluster, null]})).expect_err("twice");
        let want = "duplicate name \"\" in list: [{ {s  false  [97 98]  false []}} { {  false  []  false []}}]";
        assert!(twice.ends_with(want), "{twice}");
    }
}
