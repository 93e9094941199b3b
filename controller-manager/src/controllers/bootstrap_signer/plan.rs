//! The signatures of `cluster-info`.

use crate::objects::secrets::{Life, life, text};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const NAMESPACE: &str = "kube-public";
pub(super) const NAME: &str = "cluster-info";
const KUBECONFIG: &str = "kubeconfig";
const PREFIX: &str = "jws-kubeconfig-";

/// The map with exactly the signatures of these tokens; `None` if it has them.
pub(super) fn signed(map: &ConfigMap, tokens: &BTreeMap<String, String>) -> Option<ConfigMap> {
    let data = map.data.as_ref()?;
    let content = data.get(KUBECONFIG)?;
    let mut after: BTreeMap<String, String> = data
        .iter()
        .filter(|(key, _)| !key.starts_with(PREFIX))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for (id, secret) in tokens {
        after.insert(format!("{PREFIX}{id}"), signature(content, id, secret));
    }
    (after != *data).then(|| ConfigMap { data: Some(after), ..map.clone() })
}

/// A JSON Web Signature without the content.
fn signature(content: &str, id: &str, secret: &str) -> String {
    let header = serde_json::json!({"alg": "HS256", "kid": id}).to_string();
    let header = URL_SAFE_NO_PAD.encode(header);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(content));
    let key = hmac::Key::new(hmac::HMAC_SHA256, format!("{id}.{secret}").as_bytes());
    format!("{header}..{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes())))
}

/// The tokens to sign with, by id, and when the first of them ends.
pub(super) fn tokens(secrets: &[Arc<Secret>], now: Timestamp) -> (BTreeMap<String, String>, Option<SignedDuration>) {
    let (mut tokens, mut ends): (BTreeMap<_, _>, Option<SignedDuration>) = (BTreeMap::new(), None);
    for secret in secrets {
        let left = match life(secret, now) {
            Life::Over => continue,
            Life::Endless => None,
            Life::Left(left) => Some(left),
        };
        let (id, value) = (text(secret, "token-id"), text(secret, "token-secret"));
        let named = secret.metadata.name.as_deref().and_then(|name| name.strip_prefix("bootstrap-token-"));
        if id.is_empty() || value.is_empty() || named != Some(id) || text(secret, "usage-bootstrap-signing") != "true" {
            continue;
        }
        tokens.insert(id.to_owned(), value.to_owned());
        ends = [ends, left].into_iter().flatten().min();
    }
    (tokens, ends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(data: serde_json::Value) -> ConfigMap {
        serde_json::from_value(json!({"metadata": {"name": NAME}, "data": data})).unwrap()
    }

    #[test]
    fn a_known_signature() {
        let signature = signature(
            "Hello from the other side. I must have called a thousand times.",
            "joshua",
            "my voice is my passcode",
        );
        assert!(signature.starts_with("eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9.."), "{signature}");
        assert_eq!(signature.rsplit('.').next().map(str::len), Some(43));
    }

    #[test]
    fn exactly_the_tokens_have_signatures() {
        let tokens: BTreeMap<String, String> = [("abcdef".to_owned(), "x".to_owned())].into();
        let old = map(json!({KUBECONFIG: "k", "jws-kubeconfig-old": "s", "other": "o"}));
        let after = signed(&old, &tokens).unwrap();
        let keys: Vec<_> = after.data.as_ref().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["jws-kubeconfig-abcdef", KUBECONFIG, "other"]);
        assert_eq!(signed(&after, &tokens), None);
        assert_eq!(signed(&map(json!({"other": "o"})), &tokens), None);
    }

    #[test]
    fn tokens_that_may_sign() {
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let secret = |name: &str, id: &str, usage: &str, end: &str| -> Arc<Secret> {
            let data = json!({"token-id": encode(id), "token-secret": encode("s"), "usage-bootstrap-signing": encode(usage),
                "expiration": encode(end)});
            Arc::new(serde_json::from_value(json!({"metadata": {"name": name}, "data": data})).unwrap())
        };
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let secrets = [
            secret("bootstrap-token-aaaaaa", "aaaaaa", "true", ""),
            secret("bootstrap-token-bbbbbb", "bbbbbb", "true", "2026-01-01T00:00:07Z"),
            secret("bootstrap-token-cccccc", "cccccc", "false", ""),
            secret("bootstrap-token-dddddd", "other", "true", ""),
            secret("bootstrap-token-eeeeee", "eeeeee", "true", "2025-01-01T00:00:07Z"),
        ];
        let (tokens, ends) = tokens(&secrets, now);
        assert_eq!(tokens.keys().collect::<Vec<_>>(), ["aaaaaa", "bbbbbb"]);
        assert_eq!(ends, Some(SignedDuration::from_secs(7)));
    }
}
