//! Reads the policy table into RBAC objects.

use crate::authorization::rules::Rule;
use apimachinery::{Map, Value};
use serde_json::json;

const TABLE: &str = include_str!("policy.txt");
const GROUP: &str = "rbac.authorization.k8s.io";

/// An RBAC object of the policy.
#[derive(Debug)]
pub(super) struct PolicyObject {
    /// Plural resource name.
    pub(super) plural: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
    /// The object without server-set metadata.
    pub(super) value: Value,
}

/// The rules of the role `system:node`, which the node authorizer applies itself.
pub fn node_rules() -> Vec<Rule> {
    let role = objects().into_iter().find(|o| o.plural == "clusterroles" && o.name == "system:node");
    role.map(|role| crate::authorization::rbac::rules_of(&role.value)).unwrap_or_default()
}

/// The objects of the policy: whether it is a role, namespace, name.
pub(crate) fn keys() -> Vec<(bool, String, String)> {
    let is_role = |plural: &str| matches!(plural, "roles" | "clusterroles");
    objects().into_iter().map(|o| (is_role(o.plural), o.namespace, o.name)).collect()
}

/// All objects of the policy, roles first.
pub(super) fn objects() -> Vec<PolicyObject> {
    let mut objects: Vec<PolicyObject> = Vec::new();
    for line in TABLE.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if let Some(role) = line.strip_prefix("role ") {
            objects.push(role_object(role));
        } else if let Some(binding) = line.strip_prefix("bind ") {
            objects.push(binding_object(binding).expect("the policy table is well-formed: tested"));
        } else if let Some(last) = objects.last_mut() {
            add_rule(&mut last.value, line.trim());
        }
    }
    objects
}

fn role_object(line: &str) -> PolicyObject {
    let mut words = line.split(' ');
    let (kind, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (namespace, name) = scoped(path);
    let mut metadata = metadata(namespace, name);
    for label in words.filter_map(|w| w.strip_prefix('+')) {
        metadata["labels"][label] = "true".into();
    }
    let plural = if kind == "Role" { "roles" } else { "clusterroles" };
    let value = json!({"apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": metadata, "rules": []});
    PolicyObject { plural, namespace: namespace.into(), name: name.into(), value }
}

fn add_rule(role: &mut Value, line: &str) {
    let list = |text: &str| text.split(',').map(|w| if w == "core" { "" } else { w }.to_owned()).collect::<Vec<_>>();
    if let Some(label) = line.strip_prefix("aggregates ") {
        let selector = json!({"matchLabels": {label: "true"}});
        role["aggregationRule"] = json!({"clusterRoleSelectors": [selector]});
        // What is aggregated is somebody else's to write.
        role["rules"] = Value::Null;
        return;
    }
    let words: Vec<&str> = line.split(' ').collect();
    let rule = match words.as_slice() {
        [verbs, "at", paths] => Rule { verbs: list(verbs), paths: list(paths), ..Rule::default() },
        [verbs, "on", resources, "in", groups, rest @ ..] => Rule {
            verbs: list(verbs),
            groups: list(groups),
            resources: list(resources),
            names: rest.get(1).map(|names| list(names)).unwrap_or_default(),
            paths: Vec::new(),
        },
        _ => return,
    };
    if let Some(rules) = role.get_mut("rules").and_then(Value::as_array_mut) {
        rules.push(rule.to_value());
    }
}

fn binding_object(line: &str) -> Option<PolicyObject> {
    let (path, rest) = line.split_once(" -> ")?;
    let (role_kind, rest) = rest.split_once(' ')?;
    let (role, subjects) = rest.split_once(": ").or_else(|| Some((rest.strip_suffix(':')?, "")))?;
    let (namespace, name) = scoped(path);
    let (plural, kind) = match namespace.is_empty() {
        true => ("clusterrolebindings", "ClusterRoleBinding"),
        false => ("rolebindings", "RoleBinding"),
    };
    let mut value = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": metadata(namespace, name),
        "roleRef": {"apiGroup": GROUP, "kind": role_kind, "name": role},
    });
    let subjects: Vec<Value> = subjects.split(' ').filter(|s| !s.is_empty()).filter_map(subject).collect();
    if !subjects.is_empty() {
        value["subjects"] = subjects.into();
    }
    Some(PolicyObject { plural, namespace: namespace.into(), name: name.into(), value })
}

fn subject(text: &str) -> Option<Value> {
    match text.split_once(':')? {
        ("group", name) => Some(json!({"kind": "Group", "apiGroup": GROUP, "name": name})),
        ("user", name) => Some(json!({"kind": "User", "apiGroup": GROUP, "name": name})),
        ("sa", path) => {
            let (namespace, name) = path.split_once('/')?;
            Some(json!({"kind": "ServiceAccount", "namespace": namespace, "name": name}))
        }
        _ => None,
    }
}

fn scoped(path: &str) -> (&str, &str) {
    path.split_once('/').unwrap_or(("", path))
}

fn metadata(namespace: &str, name: &str) -> Value {
    let mut map = Map::new();
    map.insert("name".into(), name.into());
    if !namespace.is_empty() {
        map.insert("namespace".into(), namespace.into());
    }
    map.insert("labels".into(), json!({"kubernetes.io/bootstrapping": "rbac-defaults"}));
    map.insert("annotations".into(), json!({"rbac.authorization.kubernetes.io/autoupdate": "true"}));
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_counts() {
        let objects = objects();
        let lines = |prefix: &str| TABLE.lines().filter(|l| l.starts_with(prefix)).count();
        assert_eq!(objects.len(), lines("role ") + lines("bind "));
        let rules: usize = objects
            .iter()
            .map(|o| {
                o.value.get("rules").and_then(Value::as_array).map_or(0, Vec::len)
                    + usize::from(o.value.get("aggregationRule").is_some())
            })
            .sum();
        assert_eq!(rules, lines("  "));
    }

    #[test]
    fn reads_a_role_and_a_binding() {
        let objects = objects();
        let admin =
            objects.iter().find(|o| o.name == "cluster-admin" && o.plural == "clusterroles").expect("in the table");
        assert_eq!(
            admin.value["rules"],
            json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, {"verbs": ["*"], "nonResourceURLs": ["*"]}])
        );
        let binding =
            objects.iter().find(|o| o.name == "cluster-admin" && o.plural != "clusterroles").expect("in the table");
        assert_eq!(binding.value["subjects"], json!([{"kind": "Group", "apiGroup": GROUP, "name": "system:masters"}]));
        assert!(!node_rules().is_empty());
    }
}
