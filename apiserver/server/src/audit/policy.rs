//! Which requests are worth an event, and how much of them.
//!
//! Upstream: `apiserver/pkg/audit/policy`, `audit.k8s.io/v1` `Policy`.

use super::Stage;
use apiserver_auth::Attributes;
use apiserver_auth::authorization::rules::path_matches;
use apiserver_registry::UserInfo;
use component::kinds::{self, Kind, KindError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

const KIND: Kind = Kind { api_version: "audit.k8s.io/v1", kind: "Policy", unbuilt: &[] };

/// How much of a request is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// Nothing.
    None,
    /// Who, what and how it ended.
    Metadata,
    /// The request's object too.
    Request,
    /// And the response's.
    RequestResponse,
}

/// A policy that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] KindError),
    /// It has no rules.
    #[error("loaded illegal policy with 0 rules")]
    NoRules,
    /// A rule is about resources and about paths.
    #[error("rules[{0}].nonResourceURLs: rules cannot apply to both regular resources and non-resource URLs")]
    Both(usize),
    /// A path that could match nothing.
    #[error("rules[{0}].nonResourceURLs: {1:?} must start with a '/' and have a '*' only at its end")]
    BadPath(usize, String),
}

/// The policy; its first matching rule counts.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    rules: Vec<Rule>,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    #[serde(default)]
    omit_managed_fields: bool,
    /// Says nothing; files may have it.
    #[serde(default, rename = "metadata")]
    _metadata: Value,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    level: Level,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    user_groups: Vec<String>,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    resources: Vec<GroupResources>,
    #[serde(default)]
    namespaces: Vec<String>,
    #[serde(default, rename = "nonResourceURLs")]
    paths: Vec<String>,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    omit_managed_fields: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GroupResources {
    #[serde(default)]
    group: String,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    resource_names: Vec<String>,
}

/// What the policy says of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) level: Level,
    pub(super) omit_stages: Vec<Stage>,
    pub(super) omit_managed_fields: bool,
}

impl Policy {
    /// Reads `--audit-policy-file`.
    pub fn load(file: &Path) -> Result<Self, PolicyError> {
        kinds::load::<Self>(file, &KIND)?.config.checked()
    }

    fn checked(mut self) -> Result<Self, PolicyError> {
        if self.rules.is_empty() {
            return Err(PolicyError::NoRules);
        }
        for (at, rule) in self.rules.iter_mut().enumerate() {
            let is_about_resources = !(rule.resources.is_empty() && rule.namespaces.is_empty());
            if is_about_resources && !rule.paths.is_empty() {
                return Err(PolicyError::Both(at));
            }
            let is_bad = |p: &&String| *p != "*" && (!p.starts_with('/') || p.trim_end_matches('*').contains('*'));
            if let Some(bad) = rule.paths.iter().find(is_bad) {
                return Err(PolicyError::BadPath(at, bad.clone()));
            }
            rule.omit_stages.extend(self.omit_stages.iter().copied());
        }
        Ok(self)
    }

    pub(super) fn judge(&self, user: Option<&UserInfo>, asked: &Attributes<'_>) -> Judgement {
        match self.rules.iter().find(|rule| rule.matches(user, asked)) {
            Some(rule) => Judgement {
                level: rule.level,
                omit_stages: rule.omit_stages.clone(),
                omit_managed_fields: rule.omit_managed_fields.unwrap_or(self.omit_managed_fields),
            },
            None => Judgement { level: Level::None, omit_stages: Vec::new(), omit_managed_fields: false },
        }
    }
}

impl Rule {
    fn matches(&self, user: Option<&UserInfo>, asked: &Attributes<'_>) -> bool {
        let has = |list: &[String], wanted: &str| list.iter().any(|item| item == wanted);
        let is_user = self.users.is_empty() || user.is_some_and(|u| has(&self.users, &u.name));
        let in_group =
            self.user_groups.is_empty() || user.is_some_and(|u| u.groups.iter().any(|g| self.user_groups.contains(g)));
        let verb = self.verbs.is_empty() || has(&self.verbs, asked.verb);
        if !(is_user && in_group && verb) {
            return false;
        }
        if !(self.namespaces.is_empty() && self.resources.is_empty()) {
            return asked.is_resource
                && (self.namespaces.is_empty() || has(&self.namespaces, asked.namespace))
                && (self.resources.is_empty() || self.resources.iter().any(|r| r.matches(asked)));
        }
        self.paths.is_empty() || !asked.is_resource && self.paths.iter().any(|p| path_matches(p, asked.path))
    }
}

impl GroupResources {
    fn matches(&self, asked: &Attributes<'_>) -> bool {
        if self.group != "*" && self.group != asked.group {
            return false;
        }
        let named = self.resource_names.is_empty() || self.resource_names.iter().any(|n| n == asked.name);
        self.resources.is_empty() || named && self.resources.iter().any(|r| resource_matches(r, asked))
    }
}

/// `*`, `resource`, `resource/subresource`, `*/subresource`, `resource/*`.
fn resource_matches(rule: &str, asked: &Attributes<'_>) -> bool {
    match rule.split_once('/') {
        None => rule == "*" || asked.subresource.is_empty() && rule == asked.resource,
        Some((resource, "*")) if resource == asked.resource => true,
        Some((resource, subresource)) => {
            !asked.subresource.is_empty()
                && subresource == asked.subresource
                && (resource == "*" || resource == asked.resource)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Result<Policy, PolicyError> {
        let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\n{text}");
        kinds::parse::<Policy>(&text, "policy.yaml", &KIND)?.config.checked()
    }

    const POLICY: &str = r#"
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- {level: None, users: ["system:kube-proxy"], verbs: [watch], resources: [{group: "", resources: [endpoints]}]}
- {level: None, userGroups: ["system:authenticated"], nonResourceURLs: ["/api*", "/version"]}
- {level: Request, resources: [{group: "", resources: [configmaps]}], namespaces: [kube-system]}
- {level: Metadata, omitManagedFields: false, resources: [{resources: [secrets, "pods/*", "*/scale"]}, {group: x, resourceNames: [a], resources: ["*"]}]}
- {level: RequestResponse, omitStages: [Panic], resources: [{group: apps}]}
"#;

    #[test]
    fn the_first_rule_that_matches_counts() {
        let policy = policy(POLICY).expect("a policy");
        let user = |name: &str| UserInfo {
            name: name.into(),
            groups: vec!["system:authenticated".into()],
            ..UserInfo::default()
        };
        let on = |verb, group, namespace, resource, subresource| Attributes {
            verb,
            is_resource: true,
            group,
            namespace,
            resource,
            subresource,
            name: "n",
            ..Attributes::default()
        };
        for (name, asked, want) in [
            ("system:kube-proxy", on("watch", "", "", "endpoints", ""), Level::None),
            ("a", Attributes { verb: "get", path: "/apis", ..Attributes::default() }, Level::None),
            ("a", on("get", "", "kube-system", "configmaps", ""), Level::Request),
            ("a", on("get", "", "default", "configmaps", ""), Level::None),
            ("a", on("get", "", "default", "secrets", ""), Level::Metadata),
            ("a", on("get", "", "default", "pods", ""), Level::Metadata),
            ("a", on("get", "", "default", "pods", "log"), Level::Metadata),
            ("a", on("get", "", "default", "things", "scale"), Level::Metadata),
            ("a", on("get", "x", "default", "things", ""), Level::None),
            ("a", on("get", "apps", "default", "deployments", "scale"), Level::RequestResponse),
        ] {
            assert_eq!(policy.judge(Some(&user(name)), &asked).level, want, "{asked:?}");
        }
        let judged = policy.judge(Some(&user("a")), &on("get", "apps", "", "deployments", ""));
        assert_eq!(judged.omit_stages, [Stage::Panic, Stage::RequestReceived]);
        assert!(judged.omit_managed_fields);
        assert!(!policy.judge(None, &on("get", "", "", "secrets", "")).omit_managed_fields);
    }

    #[test]
    fn policies_that_make_no_sense_are_refused() {
        for (text, want) in [
            ("rules: []", "loaded illegal policy with 0 rules"),
            (
                "rules: [{level: Metadata, nonResourceURLs: [/x], namespaces: [a]}]",
                "rules[0].nonResourceURLs: rules cannot",
            ),
            ("rules: [{level: Metadata, nonResourceURLs: [x]}]", "rules[0].nonResourceURLs: \"x\" must start"),
            ("rules: [{level: Loud}]", "policy.yaml: "),
            ("rules: [{level: None, user: a}]", "policy.yaml: "),
        ] {
            let error = policy(text).expect_err(text).to_string();
            assert!(error.starts_with(want), "{error}");
        }
    }
}
