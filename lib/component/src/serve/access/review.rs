//! Asking the apiserver, and remembering its answers for ten seconds. Tokens are remembered by
//! their hash only.

use super::{Attributes, User};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;
use tokio::time::Instant;

/// Upstream's `--authentication-token-webhook-cache-ttl` and its twins.
const REMEMBERED: Duration = Duration::from_secs(10);
/// Answers remembered at most; more and all are forgotten.
const ANSWERS_AT_MOST: usize = 4096;
/// How long the apiserver may take.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Reviews {
    tokens: Option<Api<TokenReview>>,
    access: Option<Api<SubjectAccessReview>>,
    users: Memory<[u8; 32], Option<User>>,
    decisions: Memory<(User, Attributes), bool>,
}

impl Reviews {
    pub(super) fn new(authentication: Option<kube::Client>, authorization: Option<kube::Client>) -> Self {
        Self {
            tokens: authentication.map(Api::all),
            access: authorization.map(Api::all),
            users: Memory::default(),
            decisions: Memory::default(),
        }
    }

    /// A token's user; `None` if the apiserver does not believe it or cannot be asked.
    pub(super) async fn user_of(&self, token: &str) -> Option<User> {
        let key: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(user) = self.users.get(&key) {
            return user;
        }
        let spec = TokenReviewSpec { token: token.to_owned(), audiences: None };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answer = ask(self.tokens.as_ref()?, &review).await?.status?;
        let user = answer.user.filter(|_| answer.authenticated == Some(true)).map(|info| User {
            name: info.username.unwrap_or_default(),
            uid: info.uid.unwrap_or_default(),
            groups: info.groups.unwrap_or_default(),
            extra: info.extra.unwrap_or_default(),
        });
        self.users.put(key, user.clone());
        user
    }

    /// Whether the apiserver allows it; not if it cannot be asked.
    pub(super) async fn allows(&self, user: &User, attributes: &Attributes) -> bool {
        let key = (user.clone(), attributes.clone());
        if let Some(decision) = self.decisions.get(&key) {
            return decision;
        }
        let Some(api) = &self.access else { return false };
        let review = SubjectAccessReview { spec: spec(user, attributes), ..SubjectAccessReview::default() };
        let Some(status) = ask(api, &review).await.and_then(|review| review.status) else { return false };
        self.decisions.put(key, status.allowed);
        status.allowed
    }
}

async fn ask<K>(api: &Api<K>, review: &K) -> Option<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    match tokio::time::timeout(TIMEOUT, api.create(&PostParams::default(), review)).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            tracing::warn!(kind = %K::kind(&()), %error, "the apiserver does not review");
            None
        }
        Err(_) => {
            tracing::warn!(kind = %K::kind(&()), "the apiserver takes too long to review");
            None
        }
    }
}

fn spec(user: &User, attributes: &Attributes) -> SubjectAccessReviewSpec {
    let mut spec = SubjectAccessReviewSpec {
        user: Some(user.name.clone()),
        uid: Some(user.uid.clone()),
        groups: Some(user.groups.clone()),
        extra: Some(user.extra.clone()).filter(|extra| !extra.is_empty()),
        ..SubjectAccessReviewSpec::default()
    };
    match attributes {
        Attributes::Path { verb, path } => {
            let path = NonResourceAttributes { verb: Some(verb.clone()), path: Some(path.clone()) };
            spec.non_resource_attributes = Some(path);
        }
        Attributes::Resource { verb, group, resource, subresource, namespace, name } => {
            spec.resource_attributes = Some(ResourceAttributes {
                verb: Some(verb.clone()),
                group: Some(group.clone()),
                version: Some("v1".to_owned()),
                resource: Some(resource.clone()),
                subresource: Some(subresource.clone()),
                namespace: Some(namespace.clone()).filter(|namespace| !namespace.is_empty()),
                name: Some(name.clone()),
                ..ResourceAttributes::default()
            });
        }
    }
    spec
}

/// Answers with the time they were given.
#[derive(Debug)]
struct Memory<K, V> {
    answers: Mutex<HashMap<K, (Instant, V)>>,
}

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Self { answers: Mutex::new(HashMap::new()) }
    }
}

impl<K: Eq + Hash, V: Clone> Memory<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        let answers = self.answers.lock();
        answers.get(key).filter(|(given, _)| given.elapsed() < REMEMBERED).map(|(_, answer)| answer.clone())
    }

    fn put(&self, key: K, answer: V) {
        let mut answers = self.answers.lock();
        if answers.len() >= ANSWERS_AT_MOST {
            answers.clear();
        }
        answers.insert(key, (Instant::now(), answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_remembered_for_its_time() {
        let memory = Memory::default();
        memory.put(1, "yes");
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(memory.get(&1), Some("yes"));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(memory.get(&1), None);
        for key in 0..=ANSWERS_AT_MOST {
            memory.put(key as i32, "no");
        }
        assert!(memory.answers.lock().len() <= ANSWERS_AT_MOST);
    }

    #[test]
    fn a_review_asks_for_the_resource() {
        let attributes = Attributes::Resource {
            verb: "create".into(),
            group: String::new(),
            resource: "nodes".into(),
            subresource: "proxy".into(),
            namespace: String::new(),
            name: "n1".into(),
        };
        let resource = spec(&User::anonymous(), &attributes).resource_attributes.unwrap();
        assert_eq!((resource.subresource.as_deref(), resource.name.as_deref()), (Some("proxy"), Some("n1")));
    }
}
