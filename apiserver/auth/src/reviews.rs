//! Reviews: who is this token, may this user do that, who am I, what may I do.
//!
//! Upstream: `pkg/registry/{authentication,authorization}`.

mod access;
mod selector;

use crate::authentication::tokens::INVALID;
use crate::authentication::{Authenticator, TokenVerdict};
use crate::authorization::Authorizer;
use crate::authorization::node::node_name;
use crate::authorization::rules::Rule;
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
            "tokenreviews" => self.token(&review).await?,
            "selfsubjectreviews" => json!({"userInfo": user_value(&cx.user)}),
            "selfsubjectrulesreviews" => self.rules(cx, &review)?,
            "selfsubjectaccessreviews" => {
                access::validate(cx, &review)?;
                access::answer(&self.authorizer, &cx.user, &review).await
            }
            "subjectaccessreviews" | "localsubjectaccessreviews" => {
                access::validate(cx, &review)?;
                access::answer(&self.authorizer, &access::subject(&review), &review).await
            }
            _ => return Err(Status::method_not_allowed()),
        };
        match &*cx.resource.plural {
            // Upstream answers what it has found out alone.
            "selfsubjectreviews" => review["metadata"] = json!({"creationTimestamp": time::now()}),
            "selfsubjectrulesreviews" => (review["metadata"], review["spec"]) = (json!({}), json!({})),
            _ => {}
        }
        Ok(review)
    }
}

impl Reviews {
    async fn token(&self, review: &Value) -> Result<Value, Status> {
        let token = review.pointer("/spec/token").and_then(Value::as_str).unwrap_or_default();
        if token.is_empty() {
            return Err(Status::bad_request("token is required for TokenReview in authentication"));
        }
        let asked: Vec<String> = strings(review.pointer("/spec/audiences"));
        let tokens = &self.authenticator.tokens;
        Ok(match tokens.authenticate(token, &asked).await {
            TokenVerdict::User(user, audiences) => {
                let mut status = json!({"authenticated": true, "user": user_value(&user)});
                let matched = tokens.matched(&audiences, &asked);
                if !matched.is_empty() {
                    status["audiences"] = matched.into();
                }
                status
            }
            TokenVerdict::Invalid(why) => json!({"user": {}, "error": why}),
            TokenVerdict::NotMine => json!({"user": {}, "error": INVALID}),
        })
    }

    fn rules(&self, cx: &Context, review: &Value) -> Result<Value, Status> {
        let namespace = review.pointer("/spec/namespace").and_then(Value::as_str).unwrap_or_default();
        if namespace.is_empty() {
            return Err(Status::bad_request("no namespace on request"));
        }
        let (rules, mut errors) = self.authorizer.rules_for(&cx.user, namespace);
        if node_name(&cx.user).is_some() && self.authorizer.has_node_mode() {
            errors.push("node authorizer does not support user rule resolution".into());
        }
        let (paths, resources): (Vec<Rule>, Vec<Rule>) = rules.into_iter().partition(|rule| !rule.paths.is_empty());
        let values = |rules: &[Rule]| rules.iter().map(Rule::to_value).collect::<Vec<_>>();
        let mut status = json!({
            "resourceRules": values(&resources), "nonResourceRules": values(&paths), "incomplete": !errors.is_empty(),
        });
        if !errors.is_empty() {
            status["evaluationError"] = crate::authorization::rbac::aggregate(errors).into();
        }
        Ok(status)
    }
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A user as `authentication.k8s.io/v1 UserInfo`.
pub fn user_value(user: &UserInfo) -> Value {
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
    use crate::authentication::{TokenFile, Tokens};
    use crate::authorization::Mode;

    #[tokio::test]
    async fn tokens() {
        let file = TokenFile::parse("t0,alice,u0,dev\n").expect("a token file");
        let tokens = Tokens { file: Some(file), audiences: vec!["api".into()], ..Tokens::default() };
        let reviews = Reviews {
            authenticator: Arc::new(Authenticator { tokens, ..Authenticator::default() }),
            authorizer: Arc::new(Authorizer { modes: vec![Mode::AlwaysDeny], ..Authorizer::default() }),
        };
        let good = reviews.token(&json!({"spec": {"token": "t0"}})).await.expect("an answer");
        let user = json!({"username": "alice", "uid": "u0", "groups": ["dev", "system:authenticated"]});
        assert_eq!(good, json!({"authenticated": true, "audiences": ["api"], "user": user}));
        for spec in [json!({"token": "t1"}), json!({"token": "t0", "audiences": ["other"]})] {
            let bad = reviews.token(&json!({"spec": spec})).await.expect("an answer");
            assert_eq!(bad, json!({"user": {}, "error": "invalid bearer token"}));
        }
        assert_eq!(reviews.token(&json!({"spec": {}})).await.expect_err("no token").code, 400);
    }
}
