//! Reviews: who is this token, may this user do that, who am I, what may I do.
//!
//! Upstream: `pkg/registry/{authentication,authorization}`.

use crate::authentication::{Authenticator, Verdict};
use crate::authorization::rules::Rule;
use crate::authorization::{Attributes, Authorizer, Decision};
use apimachinery::selector::FieldSelector;
use apimachinery::status::Status;
use apimachinery::{Map, Value, time};
use apiserver_registry::{Context, Reviewer, UserInfo};
use async_trait::async_trait;
use serde_json::json;
use std::sync::Arc;

/// Answers reviews with the apiserver's own authenticators and authorizers.
#[derive(Debug)]
pub struct Reviews {
    /// Who.
    pub authenticator: Arc<Authenticator>,
    /// May they.
    pub authorizer: Arc<Authorizer>,
}

#[async_trait]
impl Reviewer for Reviews {
    async fn review(&self, cx: &Context, mut review: Value) -> Result<Value, Status> {
        review["status"] = match &*cx.resource.plural {
            "tokenreviews" => self.token(&review)?,
            "selfsubjectreviews" => json!({"userInfo": user_value(&cx.user)}),
            "selfsubjectrulesreviews" => self.rules(cx, &review)?,
            "selfsubjectaccessreviews" => self.access(&cx.user, &review)?,
            "subjectaccessreviews" => self.access(&subject(&review)?, &review)?,
            "localsubjectaccessreviews" => {
                check_local(cx, &review)?;
                self.access(&subject(&review)?, &review)?
            }
            _ => return Err(Status::method_not_allowed()),
        };
        if &*cx.resource.plural == "selfsubjectreviews" {
            review["metadata"]["creationTimestamp"] = time::now().into();
        }
        Ok(review)
    }
}

impl Reviews {
    fn token(&self, review: &Value) -> Result<Value, Status> {
        let token = review.pointer("/spec/token").and_then(Value::as_str).unwrap_or_default();
        if token.is_empty() {
            return Err(Status::bad_request("token is required for TokenReview in authentication"));
        }
        let asked: Vec<String> = strings(review.pointer("/spec/audiences"));
        let ours: Vec<String> =
            self.authenticator.service_accounts.as_ref().map(|t| t.api_audiences().to_vec()).unwrap_or_default();
        Ok(match self.authenticate(token, &asked) {
            Some((user, audiences)) => {
                let mut status = json!({"authenticated": true, "user": user_value(&user)});
                let shown = if asked.is_empty() { ours } else { audiences };
                if !shown.is_empty() {
                    status["audiences"] = shown.into();
                }
                status
            }
            None => json!({"user": {}, "error": "invalid bearer token"}),
        })
    }

    /// The token's user and the asked audiences that it is for.
    fn authenticate(&self, token: &str, asked: &[String]) -> Option<(Arc<UserInfo>, Vec<String>)> {
        if let Some(tokens) = &self.authenticator.service_accounts
            && let Some(user) = tokens.authenticate(token, asked)
        {
            let claims = tokens.claims(token, asked)?;
            return Some((user, asked.iter().filter(|a| claims.aud.contains(a)).cloned().collect()));
        }
        // Other tokens are for the apiserver itself.
        let ours = self.authenticator.service_accounts.as_ref().map(|t| t.api_audiences().to_vec()).unwrap_or_default();
        let audiences: Vec<String> = asked.iter().filter(|a| ours.contains(a)).cloned().collect();
        match self.authenticator.authenticate_token(token) {
            Verdict::User(user) if asked.is_empty() || !audiences.is_empty() => Some((user, audiences)),
            _ => None,
        }
    }

    fn access(&self, user: &UserInfo, review: &Value) -> Result<Value, Status> {
        let spec = review.get("spec").unwrap_or(&Value::Null);
        let (resource, path) = (spec.get("resourceAttributes"), spec.get("nonResourceAttributes"));
        let text = |value: &'_ Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let decision = match (resource, path) {
            (Some(resource), None) => {
                let [verb, group, version, plural, subresource, namespace, name] =
                    ["verb", "group", "version", "resource", "subresource", "namespace", "name"]
                        .map(|key| text(resource, key));
                let fields = field_selector(resource)?;
                self.authorizer.authorize(
                    user,
                    &Attributes {
                        verb: &verb,
                        is_resource: true,
                        group: &group,
                        version: &version,
                        resource: &plural,
                        subresource: &subresource,
                        namespace: &namespace,
                        name: &name,
                        fields: fields.as_ref(),
                        path: "",
                    },
                )
            }
            (None, Some(path)) => {
                let (verb, path) = (text(path, "verb"), text(path, "path"));
                self.authorizer.authorize(user, &Attributes { verb: &verb, path: &path, ..Attributes::default() })
            }
            _ => {
                return Err(Status::bad_request(
                    "exactly one of nonResourceAttributes or resourceAttributes must be specified",
                ));
            }
        };
        Ok(decision_value(decision))
    }

    fn rules(&self, cx: &Context, review: &Value) -> Result<Value, Status> {
        let namespace = review.pointer("/spec/namespace").and_then(Value::as_str).unwrap_or_default();
        if namespace.is_empty() {
            return Err(Status::bad_request("no namespace on request"));
        }
        let rules = self.authorizer.rbac().map(|rbac| rbac.rules_for(&cx.user, namespace)).unwrap_or_default();
        let (paths, resources): (Vec<Rule>, Vec<Rule>) = rules.into_iter().partition(|rule| !rule.paths.is_empty());
        let values = |rules: &[Rule]| rules.iter().map(Rule::to_value).collect::<Vec<_>>();
        Ok(json!({"resourceRules": values(&resources), "nonResourceRules": values(&paths), "incomplete": false}))
    }
}

fn decision_value(decision: Decision) -> Value {
    let (allowed, denied, reason) = match decision {
        Decision::Allow(reason) => (true, false, reason),
        Decision::Deny(reason) => (false, true, reason),
        Decision::NoOpinion(reason) => (false, false, reason),
    };
    let mut status = Map::new();
    status.insert("allowed".into(), allowed.into());
    if denied {
        status.insert("denied".into(), true.into());
    }
    if !reason.is_empty() {
        status.insert("reason".into(), reason.into());
    }
    Value::Object(status)
}

/// The user that a review is about.
fn subject(review: &Value) -> Result<UserInfo, Status> {
    let spec = review.get("spec").unwrap_or(&Value::Null);
    let text = |key: &str| spec.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let user = UserInfo {
        name: text("user"),
        uid: text("uid"),
        groups: strings(spec.get("groups")),
        extra: spec
            .get("extra")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(k, v)| (k.clone(), strings(Some(v))))
            .collect(),
    };
    match user.name.is_empty() && user.groups.is_empty() {
        true => Err(Status::bad_request("at least one of user or group must be specified")),
        false => Ok(user),
    }
}

fn check_local(cx: &Context, review: &Value) -> Result<(), Status> {
    let namespace = review.pointer("/spec/resourceAttributes/namespace").and_then(Value::as_str).unwrap_or_default();
    match namespace == cx.namespace {
        true => Ok(()),
        false => Err(Status::bad_request(format!(
            "spec.resourceAttributes.namespace must match namespace: {}",
            cx.namespace
        ))),
    }
}

/// The field selector of a review, from its text or its requirements.
fn field_selector(resource: &Value) -> Result<Option<FieldSelector>, Status> {
    use apimachinery::selector::FieldTerm;
    let Some(selector) = resource.get("fieldSelector") else { return Ok(None) };
    if let Some(text) = selector.get("rawSelector").and_then(Value::as_str) {
        return FieldSelector::parse(text).map(Some).map_err(|e| Status::bad_request(e.to_string()));
    }
    let requirements = selector.get("requirements").and_then(Value::as_array).into_iter().flatten();
    let terms = requirements.filter_map(|r| {
        let [value] = strings(r.get("values")).try_into().ok()?;
        let negated = match r.get("operator").and_then(Value::as_str)? {
            "In" => false,
            "NotIn" => true,
            _ => return None,
        };
        Some(FieldTerm { field: r.get("key")?.as_str()?.to_owned(), value, negated })
    });
    Ok(Some(FieldSelector { terms: terms.collect() }))
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A user as `authentication.k8s.io/v1 UserInfo`.
fn user_value(user: &UserInfo) -> Value {
    let mut map = Map::new();
    map.insert("username".into(), user.name.clone().into());
    if !user.uid.is_empty() {
        map.insert("uid".into(), user.uid.clone().into());
    }
    if !user.groups.is_empty() {
        map.insert("groups".into(), user.groups.clone().into());
    }
    if !user.extra.is_empty() {
        map.insert("extra".into(), json!(user.extra));
    }
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authentication::TokenFile;
    use crate::authorization::Mode;

    fn reviews() -> Reviews {
        let token_file = TokenFile::parse("t0,alice,u0,dev\n").expect("a token file");
        Reviews {
            authenticator: Arc::new(Authenticator { token_file: Some(token_file), ..Authenticator::default() }),
            authorizer: Arc::new(Authorizer { modes: vec![Mode::AlwaysDeny], always_allow_paths: Vec::new() }),
        }
    }

    #[test]
    fn tokens() {
        let reviews = reviews();
        let good = reviews.token(&json!({"spec": {"token": "t0"}})).expect("an answer");
        assert_eq!(good["authenticated"], true);
        assert_eq!(good["user"], json!({"username": "alice", "uid": "u0", "groups": ["dev", "system:authenticated"]}));
        let bad = reviews.token(&json!({"spec": {"token": "t1"}})).expect("an answer");
        assert!(bad.get("authenticated").is_none());
        assert!(
            reviews
                .token(&json!({"spec": {"token": "t0", "audiences": ["other"]}}))
                .expect("an answer")
                .get("authenticated")
                .is_none()
        );
        assert_eq!(reviews.token(&json!({"spec": {}})).expect_err("no token").code, 400);
    }

    #[test]
    fn access() {
        let reviews = reviews();
        let ask = |groups: Value| {
            let review = json!({"spec": {"user": "u", "groups": groups, "resourceAttributes": {"verb": "get", "resource": "pods"}}});
            reviews.access(&subject(&review).expect("a subject"), &review).expect("an answer")
        };
        assert_eq!(ask(json!(["system:masters"])), json!({"allowed": true}));
        assert_eq!(ask(json!([]))["allowed"], false);
        assert!(reviews.access(&UserInfo::default(), &json!({"spec": {}})).is_err());
        assert!(subject(&json!({"spec": {}})).is_err());
    }

    #[test]
    fn selectors_of_reviews() {
        let raw = field_selector(&json!({"fieldSelector": {"rawSelector": "spec.nodeName=n1"}})).expect("a selector");
        let listed =
            json!({"fieldSelector": {"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n1"]}]}});
        assert_eq!(raw, field_selector(&listed).expect("a selector"));
        assert_eq!(field_selector(&json!({})).expect("none"), None);
    }
}
