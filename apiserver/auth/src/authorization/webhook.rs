//! Authorization answered elsewhere: a `SubjectAccessReview` is posted, and its answer kept.
//!
//! Upstream: `apiserver/plugin/pkg/authorizer/webhook`.

use super::conditions::MatchConditions;
use super::{Attributes, Decision, Reason};
use crate::reviews::user_value;
use apimachinery::selector::{FieldSelector, LabelSelector, Operator};
use apiserver_registry::UserInfo;
use apiserver_webhook::Means;
use apiserver_webhook::remote::{Expiring, Remote, RemoteError};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::time::Duration;

/// Longest part of a request that may be kept an answer for: what attackers choose must not fill
/// the memory.
const MAX_KEPT: usize = 10_000;

/// `--authorization-webhook-*`, or a webhook of an `AuthorizationConfiguration`.
#[derive(Clone, Debug)]
pub struct WebhookOptions {
    /// The kubeconfig that leads to it.
    pub kubeconfig: PathBuf,
    /// `v1` or `v1beta1`.
    pub version: String,
    /// How long "allowed" is kept.
    pub authorized_ttl: Duration,
    /// How long everything else is.
    pub unauthorized_ttl: Duration,
    /// Longest time for one answer.
    pub timeout: Duration,
    /// What no answer means.
    pub on_error: OnError,
    /// Which requests it is asked about.
    pub conditions: MatchConditions,
}

/// What it means that there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// Others may allow it.
    NoOpinion,
    /// It is denied.
    Deny,
}

/// The webhook.
#[derive(Debug)]
pub struct WebhookAuthorizer {
    remote: Remote,
    options: WebhookOptions,
    kept: Expiring<[u8; 32], Decision>,
}

impl WebhookAuthorizer {
    /// Prepares the webhook; it is called when it is asked.
    pub fn new(options: WebhookOptions, means: &Means) -> Result<Self, RemoteError> {
        let remote = Remote::load(&options.kubeconfig, options.timeout, means)?;
        Ok(Self { remote, options, kept: Expiring::default() })
    }

    /// Asks, or remembers.
    pub async fn authorize(&self, user: &UserInfo, attributes: &Attributes<'_>) -> Decision {
        let spec = spec(user, attributes);
        let selectors = spec.get("resourceAttributes").unwrap_or(&Value::Null);
        match self.options.conditions.hold(user, attributes, selectors) {
            Ok(true) => {}
            Ok(false) => return Decision::NoOpinion(String::new()),
            Err(error) => return self.without_answer(&error),
        }
        let key: [u8; 32] = Sha256::digest(spec.to_string()).into();
        if let Some(known) = self.kept.get(&key) {
            return known;
        }
        let version = format!("authorization.k8s.io/{}", self.options.version);
        let spec = if self.options.version == "v1beta1" { old_spec(spec) } else { spec };
        let review = json!({"kind": "SubjectAccessReview", "apiVersion": version, "metadata": {}, "spec": spec, "status": {"allowed": false}});
        let answer = match self.remote.review(&review).await {
            Ok(answer) => answer,
            Err(error) => return self.without_answer(&error),
        };
        let decision = decision(answer.get("status").unwrap_or(&Value::Null));
        if size(attributes) <= MAX_KEPT {
            let life = match decision.is_allowed() {
                true => self.options.authorized_ttl,
                false => self.options.unauthorized_ttl,
            };
            self.kept.keep(key, decision.clone(), life);
        }
        decision
    }
}

impl WebhookAuthorizer {
    fn without_answer(&self, error: &str) -> Decision {
        tracing::error!(error, "Failed to make webhook authorizer request");
        match self.options.on_error {
            OnError::NoOpinion => Decision::NoOpinion(String::new()),
            OnError::Deny => Decision::Deny(String::new()),
        }
    }
}

fn size(attributes: &Attributes<'_>) -> usize {
    let Attributes { verb, group, version, resource, subresource, namespace, name, path, .. } = attributes;
    [verb, group, version, resource, subresource, namespace, name, path].iter().map(|text| text.len()).sum()
}

fn decision(status: &Value) -> Decision {
    let flag = |key: &str| status.get(key).and_then(Value::as_bool).unwrap_or_default();
    let reason = status.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned();
    match (flag("denied"), flag("allowed")) {
        (true, _) => Decision::Deny(reason),
        (false, true) => Decision::Allow(Reason::Text(reason)),
        (false, false) => Decision::NoOpinion(reason),
    }
}

/// The `spec` of a review.
fn spec(user: &UserInfo, attributes: &Attributes<'_>) -> Value {
    let mut spec = Map::new();
    match attributes.is_resource {
        true => spec.insert("resourceAttributes".into(), resource(attributes)),
        false => spec.insert(
            "nonResourceAttributes".into(),
            members(&[("path", attributes.path), ("verb", attributes.verb)]).into(),
        ),
    };
    let mut who = user_value(user);
    for (from, to) in [("username", "user"), ("uid", "uid"), ("groups", "groups"), ("extra", "extra")] {
        if let Some(value) = who.get_mut(from).map(Value::take) {
            spec.insert(to.into(), value);
        }
    }
    Value::Object(spec)
}

/// As `v1beta1` has it: `group` for groups.
fn old_spec(mut spec: Value) -> Value {
    if let Some(members) = spec.as_object_mut()
        && let Some(groups) = members.remove("groups")
    {
        members.insert("group".into(), groups);
    }
    spec
}

fn members(pairs: &[(&str, &str)]) -> Map<String, Value> {
    pairs.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| ((*k).to_owned(), (*v).into())).collect()
}

fn resource(attributes: &Attributes<'_>) -> Value {
    let mut resource = members(&[
        ("namespace", attributes.namespace),
        ("verb", attributes.verb),
        ("group", attributes.group),
        ("version", attributes.version),
        ("resource", attributes.resource),
        ("subresource", attributes.subresource),
        ("name", attributes.name),
    ]);
    if let Some(fields) = attributes.fields.filter(|f| !f.terms.is_empty()) {
        resource.insert("fieldSelector".into(), json!({"requirements": field_requirements(fields)}));
    }
    if let Some(labels) = attributes.labels.filter(|l| !l.requirements.is_empty()) {
        resource.insert("labelSelector".into(), json!({"requirements": label_requirements(labels)}));
    }
    Value::Object(resource)
}

fn field_requirements(fields: &FieldSelector) -> Vec<Value> {
    let operator = |negated: bool| if negated { "NotIn" } else { "In" };
    let terms = fields.terms.iter();
    terms.map(|t| json!({"key": t.field, "operator": operator(t.negated), "values": [t.value]})).collect()
}

/// Comparisons have no form in a review and are left out, which asks for more.
fn label_requirements(labels: &LabelSelector) -> Vec<Value> {
    let one = |r: &apimachinery::selector::Requirement| match &r.operator {
        Operator::In(values) => Some(json!({"key": r.key, "operator": "In", "values": values})),
        Operator::NotIn(values) => Some(json!({"key": r.key, "operator": "NotIn", "values": values})),
        Operator::Exists => Some(json!({"key": r.key, "operator": "Exists"})),
        Operator::DoesNotExist => Some(json!({"key": r.key, "operator": "DoesNotExist"})),
        Operator::GreaterThan(_) | Operator::LessThan(_) => None,
    };
    labels.requirements.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reviews_say_what_is_asked() {
        let user = UserInfo { name: "a".into(), groups: vec!["g".into()], ..UserInfo::default() };
        let fields = FieldSelector::parse("spec.nodeName=n1").expect("a selector");
        let labels = LabelSelector::parse("a in (b),c").expect("a selector");
        let list = Attributes {
            verb: "list",
            is_resource: true,
            version: "v1",
            resource: "pods",
            fields: Some(&fields),
            labels: Some(&labels),
            ..Attributes::default()
        };
        let asked = spec(&user, &list);
        assert_eq!(
            asked,
            json!({"user": "a", "groups": ["g"], "resourceAttributes": {"verb": "list", "version": "v1", "resource": "pods",
                "fieldSelector": {"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n1"]}]},
                "labelSelector": {"requirements": [{"key": "a", "operator": "In", "values": ["b"]}, {"key": "c", "operator": "Exists"}]}}})
        );
        assert_eq!(old_spec(asked)["group"], json!(["g"]));
        let path = Attributes { verb: "get", path: "/x", ..Attributes::default() };
        assert_eq!(spec(&user, &path)["nonResourceAttributes"], json!({"path": "/x", "verb": "get"}));
    }

    #[test]
    fn answers_are_decisions() {
        for (status, want) in [
            (json!({"allowed": true, "reason": "r"}), Decision::Allow(Reason::Text("r".into()))),
            (json!({"allowed": false, "reason": "r"}), Decision::NoOpinion("r".into())),
            (json!({"denied": true, "reason": "r"}), Decision::Deny("r".into())),
            (json!({"denied": true, "allowed": true}), Decision::Deny(String::new())),
            (Value::Null, Decision::NoOpinion(String::new())),
        ] {
            assert_eq!(decision(&status), want);
        }
    }
}
