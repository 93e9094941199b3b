//! Which requests a webhook or policy means.
//!
//! Upstream: `apiserver/pkg/admission/plugin/webhook/predicates/rules/rules.go`,
//! `apiserver/pkg/admission/plugin/webhook/generic/webhook.go`.

use super::request::Target;
use apimachinery::Value;
use apimachinery::resources::ResourceInfo;
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation};

/// One rule: operations on resources, perhaps of some names only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    resources: Vec<String>,
    /// `*`, `Namespaced` or `Cluster`.
    scope: String,
    /// Empty means all.
    names: Vec<String>,
}

/// Whether rules that name one version of a resource mean the others, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MatchPolicy {
    /// They do not.
    Exact,
    /// They do.
    Equivalent,
}

impl MatchPolicy {
    pub(crate) fn parse(value: Option<&Value>) -> Self {
        match value.and_then(Value::as_str) {
            Some("Exact") => MatchPolicy::Exact,
            _ => MatchPolicy::Equivalent,
        }
    }
}

/// Reads a list of rules.
pub(crate) fn parse(rules: Option<&Value>) -> Vec<Rule> {
    rules.and_then(Value::as_array).into_iter().flatten().map(Rule::parse).collect()
}

impl Rule {
    fn parse(value: &Value) -> Self {
        let texts = |key: &str| -> Vec<String> {
            let list = value.get(key).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Self {
            operations: texts("operations"),
            groups: texts("apiGroups"),
            versions: texts("apiVersions"),
            resources: texts("resources"),
            scope: value.get("scope").and_then(Value::as_str).unwrap_or("*").to_owned(),
            names: texts("resourceNames"),
        }
    }

    fn matches(&self, asked: &Asked<'_>) -> bool {
        let has = |list: &[String], wanted: &str| list.iter().any(|item| item == "*" || item == wanted);
        has(&self.operations, asked.operation.as_str())
            && has(&self.groups, &asked.resource.group)
            && has(&self.versions, &asked.resource.version)
            && self.resources.iter().any(|pattern| means(pattern, &asked.resource.plural, asked.subresource))
            && match self.scope.as_str() {
                "Namespaced" => asked.resource.namespaced,
                "Cluster" => !asked.resource.namespaced,
                _ => true,
            }
            && (self.names.is_empty() || self.names.iter().any(|name| name == asked.name))
    }
}

/// What is asked of a rule.
struct Asked<'a> {
    operation: Operation,
    resource: &'a ResourceInfo,
    subresource: &'a str,
    name: &'a str,
}

/// Whether `pods`, `pods/status`, `*`, `*/*` or the like means a resource and subresource.
fn means(pattern: &str, resource: &str, subresource: &str) -> bool {
    let (plural, sub) = pattern.split_once('/').unwrap_or((pattern, ""));
    (plural == "*" || plural == resource) && (sub == "*" || sub == subresource)
}

/// As what a request is meant by the rules; `None` if it is not.
pub(crate) fn target(rules: &[Rule], policy: MatchPolicy, attributes: &Attributes<'_>) -> Option<Target> {
    let context: &Context = attributes.context;
    let matches = |resource: &ResourceInfo| {
        let subresource = context.subresource_name();
        let asked = Asked { operation: attributes.operation, resource, subresource, name: attributes.name };
        rules.iter().any(|rule| rule.matches(&asked))
    };
    if matches(&context.resource) {
        return Some(Target::of(context));
    }
    if policy == MatchPolicy::Exact {
        return None;
    }
    let found = attributes.registry.equivalents(&context.resource).into_iter().find(|other| matches(other))?;
    let subresource = context.subresource.as_ref().map(|sub| found.subresource(&sub.name).cloned());
    match subresource {
        None => Some(Target { resource: found, subresource: None }),
        Some(subresource) => Some(Target { resource: found, subresource: Some(subresource?) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::resources;
    use serde_json::json;

    #[test]
    fn patterns() {
        for (pattern, resource, subresource, want) in [
            ("pods", "pods", "", true),
            ("pods", "pods", "status", false),
            ("pods/*", "pods", "status", true),
            ("pods/*", "pods", "", true),
            ("*", "pods", "", true),
            ("*", "pods", "exec", false),
            ("*/exec", "pods", "exec", true),
            ("*/*", "pods", "exec", true),
        ] {
            assert_eq!(means(pattern, resource, subresource), want, "{pattern} {resource}/{subresource}");
        }
    }

    #[test]
    fn rules_match_all_their_parts() {
        let pods = resources::find("", "v1", "pods").expect("served");
        let asked = Asked { operation: Operation::Create, resource: pods, subresource: "", name: "a" };
        let rule = json!({"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]});
        for (key, value, want) in [
            ("scope", json!("*"), true),
            ("scope", json!("Cluster"), false),
            ("operations", json!(["*"]), true),
            ("operations", json!(["DELETE"]), false),
            ("apiGroups", json!(["apps"]), false),
            ("apiVersions", json!(["*"]), true),
            ("resourceNames", json!(["a"]), true),
            ("resourceNames", json!(["b"]), false),
        ] {
            let mut rule = rule.clone();
            rule[key] = value.clone();
            assert_eq!(Rule::parse(&rule).matches(&asked), want, "{key} {value}");
        }
    }
}
