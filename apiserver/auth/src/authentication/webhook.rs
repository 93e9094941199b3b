//! Bearer tokens judged elsewhere: a `TokenReview` is posted, and its answer kept.
//!
//! Upstream: `apiserver/plugin/pkg/authenticator/token/webhook`.

use super::{AUTHENTICATED, Audiences, TokenVerdict};
use apiserver_registry::UserInfo;
use apiserver_webhook::Means;
use apiserver_webhook::remote::{Expiring, Remote, RemoteError};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longest time for one answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// `--authentication-token-webhook-*`.
#[derive(Debug)]
pub struct WebhookTokens {
    remote: Remote,
    version: String,
    life: Duration,
    kept: Expiring<[u8; 32], TokenVerdict>,
}

impl WebhookTokens {
    /// A webhook that takes reviews of this version; answers are kept for `life`.
    pub fn new(kubeconfig: &Path, version: &str, life: Duration, means: &Means) -> Result<Self, RemoteError> {
        let remote = Remote::load(kubeconfig, TIMEOUT, means)?;
        Ok(Self { remote, version: version.to_owned(), life, kept: Expiring::default() })
    }

    /// The user of a token that is for one of `audiences`, if there are any.
    pub async fn authenticate(&self, token: &str, audiences: &[String]) -> TokenVerdict {
        let key: [u8; 32] = Sha256::digest(json!([token, audiences]).to_string()).into();
        if let Some(known) = self.kept.get(&key) {
            return known;
        }
        let version = format!("authentication.k8s.io/{}", self.version);
        let mut review = json!({"kind": "TokenReview", "apiVersion": version, "metadata": {}, "spec": {"token": token}, "status": {"user": {}}});
        if !audiences.is_empty() {
            review["spec"]["audiences"] = json!(audiences);
        }
        match self.remote.review(&review).await {
            Ok(answer) => {
                let verdict = verdict(answer.get("status").unwrap_or(&Value::Null), audiences);
                self.kept.keep(key, verdict.clone(), self.life);
                verdict
            }
            Err(error) => {
                tracing::error!(%error, "Failed to make webhook authenticator request");
                TokenVerdict::Invalid(error)
            }
        }
    }
}

fn verdict(status: &Value, asked: &[String]) -> TokenVerdict {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    if status.get("authenticated").and_then(Value::as_bool) != Some(true) {
        return match text(status, "error") {
            none if none.is_empty() => TokenVerdict::NotMine,
            error => TokenVerdict::Invalid(error),
        };
    }
    let strings = |value: Option<&Value>| -> Vec<String> {
        let list = value.and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    // A webhook that knows no audiences speaks for the apiserver.
    let audiences = match strings(status.get("audiences")) {
        none if none.is_empty() => Audiences::Api,
        named if asked.is_empty() || named.iter().any(|a| asked.contains(a)) => Audiences::Claimed(named.into()),
        _ => return TokenVerdict::NotMine,
    };
    let user = status.get("user").unwrap_or(&Value::Null);
    let mut groups = strings(user.get("groups"));
    if !groups.iter().any(|g| g == AUTHENTICATED) {
        groups.push(AUTHENTICATED.into());
    }
    let extra = user.get("extra").and_then(Value::as_object).into_iter().flatten();
    let user = UserInfo {
        name: text(user, "username"),
        uid: text(user, "uid"),
        groups,
        extra: extra.map(|(key, value)| (key.clone(), strings(Some(value)))).collect(),
    };
    TokenVerdict::User(Arc::new(user), audiences)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_verdicts() {
        let jane = json!({"username": "jane", "uid": "1", "groups": ["dev"], "extra": {"a": ["b"]}});
        match verdict(&json!({"authenticated": true, "user": jane}), &[]) {
            TokenVerdict::User(user, Audiences::Api) => {
                assert_eq!(
                    (user.name.as_str(), user.groups.as_slice()),
                    ("jane", &["dev".to_owned(), AUTHENTICATED.into()][..])
                );
                assert_eq!(user.extra["a"], ["b"]);
            }
            other => panic!("{other:?}"),
        }
        let asked = ["api".to_owned()];
        let for_others = json!({"authenticated": true, "audiences": ["other"], "user": jane});
        assert!(matches!(verdict(&for_others, &asked), TokenVerdict::NotMine));
        assert!(matches!(verdict(&json!({"error": "no"}), &[]), TokenVerdict::Invalid(why) if why == "no"));
        assert!(matches!(verdict(&Value::Null, &[]), TokenVerdict::NotMine));
    }
}
