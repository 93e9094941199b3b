//! RBAC policy rules and what they match.
//!
//! Upstream: `pkg/apis/rbac/v1/evaluation_helpers.go`.

use super::Attributes;
use apimachinery::Value;

/// One `PolicyRule`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Verbs; `*` is all.
    pub verbs: Vec<String>,
    /// API groups; `*` is all.
    pub groups: Vec<String>,
    /// Resources, `resource/subresource`, `*`, `*/subresource`.
    pub resources: Vec<String>,
    /// Names; none is all.
    pub names: Vec<String>,
    /// Paths; a trailing `*` matches the rest.
    pub paths: Vec<String>,
}

impl Rule {
    /// Reads a `PolicyRule` tree.
    pub fn from_value(rule: &Value) -> Self {
        let list = |key: &str| -> Vec<String> {
            let items = rule.get(key).and_then(Value::as_array);
            items.map(|l| l.iter().filter_map(Value::as_str).map(str::to_owned).collect()).unwrap_or_default()
        };
        Self {
            verbs: list("verbs"),
            groups: list("apiGroups"),
            resources: list("resources"),
            names: list("resourceNames"),
            paths: list("nonResourceURLs"),
        }
    }

    /// The rule as a `PolicyRule` tree.
    pub fn to_value(&self) -> Value {
        let mut map = apimachinery::Map::new();
        map.insert("verbs".into(), self.verbs.clone().into());
        for (key, list) in [
            ("apiGroups", &self.groups),
            ("resources", &self.resources),
            ("resourceNames", &self.names),
            ("nonResourceURLs", &self.paths),
        ] {
            if !list.is_empty() {
                map.insert(key.into(), list.clone().into());
            }
        }
        Value::Object(map)
    }

    /// Whether the rule allows the request.
    pub fn allows(&self, attributes: &Attributes<'_>) -> bool {
        let verb = has(&self.verbs, attributes.verb);
        match attributes.is_resource {
            true => {
                verb && has(&self.groups, attributes.group)
                    && self.names_resource(attributes)
                    && self.names_object(attributes.name)
            }
            false => verb && self.paths.iter().any(|p| path_matches(p, attributes.path)),
        }
    }

    fn names_resource(&self, attributes: &Attributes<'_>) -> bool {
        self.resources.iter().any(|rule| resource_matches(rule, attributes.resource, attributes.subresource))
    }

    fn names_object(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|n| n == name)
    }
}

/// The rules of who may do everything.
pub fn everything() -> [Rule; 2] {
    let all = || vec!["*".to_owned()];
    [
        Rule { verbs: all(), groups: all(), resources: all(), ..Rule::default() },
        Rule { verbs: all(), paths: all(), ..Rule::default() },
    ]
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == "*" || item == wanted)
}

fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == "*" {
        return true;
    }
    match (rule.split_once('/'), subresource.is_empty()) {
        (None, true) => rule == resource,
        (Some((r, s)), false) => s == subresource && (r == "*" || r == resource),
        _ => false,
    }
}

/// Whether a rule's path covers a request path.
pub fn path_matches(rule: &str, path: &str) -> bool {
    match rule.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => rule == path,
    }
}

/// A rule of lists that are separated by spaces; `core` is the group without a name.
#[cfg(test)]
pub(super) fn rule(verbs: &str, groups: &str, resources: &str, names: &str, paths: &str) -> Rule {
    let list = |text: &str| text.split_whitespace().map(|w| if w == "core" { "" } else { w }.to_owned()).collect();
    Rule {
        verbs: list(verbs),
        groups: list(groups),
        resources: list(resources),
        names: list(names),
        paths: list(paths),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_rules() {
        let request = |verb, group, resource, subresource, name| Attributes {
            verb,
            is_resource: true,
            group,
            resource,
            subresource,
            name,
            ..Attributes::default()
        };
        let cases = [
            (rule("get", "core", "pods", "", ""), request("get", "", "pods", "", "a"), true),
            (rule("get", "core", "pods", "", ""), request("get", "", "pods", "log", "a"), false),
            (rule("get", "core", "pods/log", "", ""), request("get", "", "pods", "log", "a"), true),
            (rule("*", "*", "*", "", ""), request("delete", "apps", "deployments", "scale", "a"), true),
            (rule("get", "core", "*/scale", "", ""), request("get", "", "x", "scale", "a"), true),
            (rule("get", "core", "pods", "b", ""), request("get", "", "pods", "", "a"), false),
            (rule("get", "core", "pods", "a", ""), request("get", "", "pods", "", "a"), true),
            (rule("list", "apps", "pods", "", ""), request("list", "", "pods", "", ""), false),
            (rule("get", "core", "", "", "/x"), request("get", "", "pods", "", "a"), false),
        ];
        for (rule, request, want) in cases {
            assert_eq!(rule.allows(&request), want, "{rule:?} {request:?}");
        }
    }

    #[test]
    fn path_rules() {
        let rule = rule("get", "", "", "", "/healthz /apis/*");
        for (verb, path, want) in [
            ("get", "/healthz", true),
            ("get", "/healthz/etcd", false),
            ("get", "/apis/apps", true),
            ("post", "/healthz", false),
        ] {
            assert_eq!(rule.allows(&Attributes { verb, path, ..Attributes::default() }), want, "{verb} {path}");
        }
    }

    #[test]
    fn rules_round_trip() {
        let value =
            serde_json::json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]});
        assert_eq!(Rule::from_value(&value).to_value(), value);
    }
}
