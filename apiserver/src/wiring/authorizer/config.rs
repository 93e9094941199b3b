//! `AuthorizationConfiguration` of `apiserver.config.k8s.io/v1`.
//!
//! Upstream: `apiserver/pkg/apis/apiserver/validation/validation.go`.

use super::Link;
use apiserver_auth::authorization::conditions::{MAX_CONDITIONS, MatchConditions};
use apiserver_auth::authorization::webhook::{OnError, WebhookOptions};
use component::GoDuration;
use component::kinds::{self, Kind, KindError};
use serde::Deserialize;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

const KIND: Kind = Kind { api_version: "apiserver.config.k8s.io/v1", kind: "AuthorizationConfiguration", unbuilt: &[] };
/// Longest `timeout`.
const MAX_TIMEOUT: Duration = Duration::from_secs(30);

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfigError {
    #[error(transparent)]
    File(#[from] KindError),
    #[error("{path}: {why}")]
    Value { path: String, why: &'static str },
    #[error("{path}: {why}")]
    Expression { path: String, why: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    authorizers: Vec<AuthorizerRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorizerRule {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    webhook: Option<WebhookRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WebhookRule {
    #[serde(rename = "authorizedTTL", default)]
    authorized_ttl: Option<GoDuration>,
    #[serde(default)]
    cache_authorized_requests: Option<bool>,
    #[serde(rename = "unauthorizedTTL", default)]
    unauthorized_ttl: Option<GoDuration>,
    #[serde(default)]
    cache_unauthorized_requests: Option<bool>,
    timeout: GoDuration,
    subject_access_review_version: String,
    #[serde(default)]
    match_condition_subject_access_review_version: String,
    failure_policy: String,
    connection_info: ConnectionInfo,
    #[serde(default)]
    match_conditions: Vec<MatchCondition>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MatchCondition {
    #[serde(default)]
    expression: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ConnectionInfo {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    kube_config_file: Option<PathBuf>,
}

pub(super) fn load(file: &Path) -> Result<Vec<Link>, ConfigError> {
    links(kinds::load(file, &KIND)?.config)
}

fn wrong(path: &str, why: &'static str) -> ConfigError {
    ConfigError::Value { path: path.to_owned(), why }
}

fn links(file: File) -> Result<Vec<Link>, ConfigError> {
    if file.authorizers.is_empty() {
        return Err(wrong("authorizers", "at least one authorization mode must be defined"));
    }
    let (mut names, mut kinds) = (HashSet::new(), HashSet::new());
    let mut links = Vec::new();
    for (at, rule) in file.authorizers.into_iter().enumerate() {
        let path = format!("authorizers[{at}]");
        if rule.name.is_empty() || !names.insert(rule.name) {
            return Err(wrong(&format!("{path}.name"), "a name that no other authorizer has is required"));
        }
        links.push(match (rule.kind.as_str(), rule.webhook) {
            ("Webhook", Some(webhook)) => Link::Webhook(Box::new(webhook.options(&format!("{path}.webhook"))?)),
            ("Webhook", None) => return Err(wrong(&format!("{path}.webhook"), "required when type=Webhook")),
            (_, Some(_)) => return Err(wrong(&format!("{path}.webhook"), "may only be specified when type=Webhook")),
            (kind, None) if !kinds.insert(kind.to_owned()) => {
                return Err(wrong(&format!("{path}.type"), "may be used once only"));
            }
            (kind @ ("AlwaysAllow" | "AlwaysDeny" | "ABAC" | "RBAC" | "Node"), None) => Link::Plain(kind.to_owned()),
            _ => return Err(wrong(&format!("{path}.type"), "is not a known authorizer")),
        });
    }
    Ok(links)
}

impl WebhookRule {
    fn options(self, path: &str) -> Result<WebhookOptions, ConfigError> {
        let at = |member: &str| format!("{path}.{member}");
        match self.match_condition_subject_access_review_version.as_str() {
            "v1" => {}
            "" if self.match_conditions.is_empty() => {}
            "" => {
                let path = at("matchConditionSubjectAccessReviewVersion");
                return Err(wrong(&path, "required if match conditions are specified"));
            }
            _ => return Err(wrong(&at("matchConditionSubjectAccessReviewVersion"), "must be v1")),
        }
        let conditions = conditions(&self.match_conditions, &at("matchConditions"))?;
        if !matches!(self.subject_access_review_version.as_str(), "v1" | "v1beta1") {
            return Err(wrong(&at("subjectAccessReviewVersion"), "must be v1 or v1beta1"));
        }
        if self.timeout.0.is_zero() || self.timeout.0 > MAX_TIMEOUT {
            return Err(wrong(&at("timeout"), "must be more than 0s and at most 30s"));
        }
        let kubeconfig = match (self.connection_info.kind.as_str(), self.connection_info.kube_config_file) {
            ("KubeConfigFile", Some(file)) => file,
            ("KubeConfigFile", None) => return Err(wrong(&at("connectionInfo.kubeConfigFile"), "is required")),
            ("InClusterConfig", _) => {
                return Err(wrong(&at("connectionInfo.type"), "InClusterConfig is known but not built"));
            }
            _ => return Err(wrong(&at("connectionInfo.type"), "must be KubeConfigFile or InClusterConfig")),
        };
        let life = |ttl: Option<GoDuration>, kept: Option<bool>, default: u64| match kept {
            Some(false) => Duration::ZERO,
            _ => ttl.map_or(Duration::from_secs(default), |ttl| ttl.0),
        };
        Ok(WebhookOptions {
            kubeconfig,
            conditions,
            version: self.subject_access_review_version,
            authorized_ttl: life(self.authorized_ttl, self.cache_authorized_requests, 300),
            unauthorized_ttl: life(self.unauthorized_ttl, self.cache_unauthorized_requests, 30),
            timeout: self.timeout.0,
            on_error: match self.failure_policy.as_str() {
                "NoOpinion" => OnError::NoOpinion,
                "Deny" => OnError::Deny,
                _ => return Err(wrong(&at("failurePolicy"), "must be NoOpinion or Deny")),
            },
        })
    }
}

fn conditions(rules: &[MatchCondition], path: &str) -> Result<MatchConditions, ConfigError> {
    if rules.len() > MAX_CONDITIONS {
        return Err(wrong(path, "must have at most 64 items"));
    }
    let mut seen = HashSet::new();
    for (at, rule) in rules.iter().enumerate() {
        let path = format!("{path}[{at}].expression");
        if rule.expression.trim().is_empty() {
            return Err(wrong(&path, "Required value"));
        }
        if !seen.insert(&rule.expression) {
            return Err(wrong(&path, "Duplicate value"));
        }
    }
    let compiled = MatchConditions::compile(rules.iter().map(|rule| rule.expression.as_str()));
    compiled.map_err(|(at, why)| ConfigError::Expression { path: format!("{path}[{at}].expression"), why })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(authorizers: &str) -> Result<Vec<Link>, ConfigError> {
        let text = format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers: {authorizers}"
        );
        links(kinds::parse(&text, "authz.yaml", &KIND)?.config)
    }

    const WEBHOOK: &str = "timeout: 3s, subjectAccessReviewVersion: v1, failurePolicy: Deny, unauthorizedTTL: 10s, connectionInfo: {type: KubeConfigFile, kubeConfigFile: /k}";

    #[test]
    fn chains_keep_their_order() {
        let links = parse(&format!(
            "[{{type: Node, name: node}}, {{type: Webhook, name: hook, webhook: {{{WEBHOOK}}}}}, {{type: RBAC, name: rbac}}]"
        ))
        .expect("a chain");
        match links.as_slice() {
            [Link::Plain(node), Link::Webhook(webhook), Link::Plain(rbac)] => {
                assert_eq!((node.as_str(), rbac.as_str(), webhook.on_error), ("Node", "RBAC", OnError::Deny));
                assert_eq!((webhook.authorized_ttl.as_secs(), webhook.unauthorized_ttl.as_secs()), (300, 10));
            }
            _ => panic!("another chain"),
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (text, want) in [
            ("[]".to_owned(), "authorizers: at least one"),
            ("[{type: RBAC, name: a}, {type: RBAC, name: b}]".into(), "authorizers[1].type: may be used once only"),
            ("[{type: RBAC, name: a}, {type: Node, name: a}]".into(), "authorizers[1].name: "),
            ("[{type: Magic, name: a}]".into(), "authorizers[0].type: is not a known authorizer"),
            ("[{type: Webhook, name: a}]".into(), "authorizers[0].webhook: required"),
            (
                format!("[{{type: Webhook, name: a, webhook: {{{WEBHOOK}, matchConditions: [{{expression: x}}]}}}}]"),
                "authorizers[0].webhook.matchConditionSubjectAccessReviewVersion: required if match conditions",
            ),
            (
                format!(
                    "[{{type: Webhook, name: a, webhook: {{{WEBHOOK}, matchConditionSubjectAccessReviewVersion: v1, matchConditions: [{{expression: x}}]}}}}]"
                ),
                "authorizers[0].webhook.matchConditions[0].expression: compilation failed: ",
            ),
            (
                format!("[{{type: Webhook, name: a, webhook: {{{}}}}}]", WEBHOOK.replace("3s", "31s")),
                "authorizers[0].webhook.timeout: ",
            ),
        ] {
            let error = parse(&text).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.starts_with(want), "{error}");
        }
    }
}
