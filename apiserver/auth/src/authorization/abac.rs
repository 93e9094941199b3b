//! Attribute-based access control: a file with one policy, a JSON object, a line.
//!
//! Upstream: `pkg/auth/authorizer/abac`.

use super::rules::{Rule, path_matches};
use super::{Attributes, Decision, Reason};
use crate::authentication::AUTHENTICATED;
use apiserver_registry::UserInfo;
use serde::Deserialize;

const VERSION: &str = "abac.authorization.kubernetes.io/v1beta1";

/// A policy file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AbacError {
    /// A line is no policy.
    #[error("error reading policy at line {line}: {text:?}")]
    Line {
        /// Line number, from 1.
        line: usize,
        /// The line.
        text: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A line is of another kind or version.
    #[error("error reading policy at line {line}: {version:?}, Kind={kind:?} is not {VERSION}, Kind=Policy")]
    Kind {
        /// Line number, from 1.
        line: usize,
        /// Its `apiVersion`.
        version: String,
        /// Its `kind`.
        kind: String,
    },
}

/// The policies of a file.
#[derive(Debug, Default)]
pub struct Abac {
    policies: Vec<Policy>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    spec: Policy,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Policy {
    user: String,
    group: String,
    readonly: bool,
    api_group: String,
    resource: String,
    namespace: String,
    non_resource_path: String,
}

impl Abac {
    /// Reads the file's text. Blank lines and comments are skipped.
    pub fn parse(text: &str) -> Result<Self, AbacError> {
        let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let policies = lines.map(|(number, line)| policy(number, line)).collect::<Result<_, _>>()?;
        Ok(Self { policies })
    }

    /// The first policy that matches allows.
    pub fn authorize(&self, user: &UserInfo, attributes: &Attributes<'_>) -> Decision {
        match self.policies.iter().any(|p| p.is_for(user) && p.covers(attributes)) {
            true => Decision::Allow(Reason::None),
            false => Decision::NoOpinion("No policy matched.".into()),
        }
    }

    /// What the policies say of `user` in `namespace`, as rules.
    pub fn rules_for(&self, user: &UserInfo, namespace: &str) -> Vec<Rule> {
        let is_meant = |p: &&Policy| p.is_for(user) && (p.namespace == "*" || p.namespace == namespace);
        self.policies.iter().filter(is_meant).flat_map(Policy::rules).collect()
    }
}

fn policy(line: usize, text: &str) -> Result<Policy, AbacError> {
    let read: Line =
        serde_json::from_str(text).map_err(|source| AbacError::Line { line, text: text.to_owned(), source })?;
    if read.api_version != VERSION || read.kind != "Policy" {
        return Err(AbacError::Kind { line, version: read.api_version, kind: read.kind });
    }
    let mut policy = read.spec;
    // Everybody means everybody who has proved an identity.
    if policy.user == "*" || policy.group == "*" {
        policy.user.clear();
        policy.group = AUTHENTICATED.into();
    }
    Ok(policy)
}

impl Policy {
    fn is_for(&self, user: &UserInfo) -> bool {
        let named = !self.user.is_empty() || !self.group.is_empty();
        let user_fits = self.user.is_empty() || self.user == user.name;
        let group_fits = self.group.is_empty() || user.groups.contains(&self.group);
        named && user_fits && group_fits
    }

    fn covers(&self, request: &Attributes<'_>) -> bool {
        let reads = matches!(request.verb, "get" | "list" | "watch");
        let is = |own: &str, asked: &str| own == "*" || own == asked;
        (reads || !self.readonly)
            && match request.is_resource {
                true => {
                    is(&self.namespace, request.namespace)
                        && is(&self.resource, request.resource)
                        && is(&self.api_group, request.group)
                }
                false => path_matches(&self.non_resource_path, request.path),
            }
    }

    fn rules(&self) -> Vec<Rule> {
        let verbs: &[&str] = if self.readonly { &["get", "list", "watch"] } else { &["*"] };
        let verbs = || verbs.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
        let mut rules = Vec::new();
        if !self.resource.is_empty() {
            let (groups, resources) = (vec![self.api_group.clone()], vec![self.resource.clone()]);
            rules.push(Rule { verbs: verbs(), groups, resources, ..Rule::default() });
        }
        if !self.non_resource_path.is_empty() {
            rules.push(Rule { verbs: verbs(), paths: vec![self.non_resource_path.clone()], ..Rule::default() });
        }
        rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(spec: &str) -> String {
        format!("{{\"apiVersion\": {VERSION:?}, \"kind\": \"Policy\", \"spec\": {{{spec}}}}}\n")
    }

    #[test]
    fn policies_match() {
        let text = "# policies\n\n".to_owned()
            + &line(r#""user": "alice", "namespace": "*", "resource": "*", "apiGroup": "*""#)
            + &line(r#""user": "bob", "namespace": "dev", "resource": "pods", "readonly": true"#)
            + &line(r#""group": "ops", "nonResourcePath": "/logs/*""#)
            + &line(r#""user": "*", "nonResourcePath": "/version", "readonly": true"#);
        let abac = Abac::parse(&text).expect("policies");
        let pods = |verb, namespace| Attributes {
            verb,
            is_resource: true,
            resource: "pods",
            namespace,
            ..Attributes::default()
        };
        let path = |verb, path| Attributes { verb, path, ..Attributes::default() };
        for (user, groups, request, want) in [
            ("alice", &[][..], pods("delete", "prod"), true),
            ("bob", &[], pods("list", "dev"), true),
            ("bob", &[], pods("delete", "dev"), false),
            ("bob", &[], pods("list", "prod"), false),
            ("carol", &["ops"], path("get", "/logs/x"), true),
            ("carol", &["ops"], pods("get", "dev"), false),
            ("carol", &[AUTHENTICATED], path("get", "/version"), true),
            ("carol", &[], path("get", "/version"), false),
        ] {
            let groups = groups.iter().map(|g| (*g).to_owned()).collect();
            let user = UserInfo { name: user.into(), groups, ..UserInfo::default() };
            assert_eq!(abac.authorize(&user, &request).is_allowed(), want, "{} {request:?}", user.name);
        }
        let bob = UserInfo { name: "bob".into(), ..UserInfo::default() };
        assert_eq!(abac.rules_for(&bob, "dev").len(), 1);
        assert_eq!(abac.authorize(&bob, &pods("delete", "dev")).reason(), "No policy matched.");
    }

    #[test]
    fn lines_that_are_no_policies_are_named() {
        for (text, want) in [
            ("nonsense".to_owned(), "error reading policy at line 1"),
            ("\n{}".to_owned(), "error reading policy at line 2"),
            (line(r#""uzer": "alice""#), "error reading policy at line 1"),
        ] {
            let error = Abac::parse(&text).expect_err("no policy").to_string();
            assert!(error.starts_with(want), "{error}");
        }
    }
}
