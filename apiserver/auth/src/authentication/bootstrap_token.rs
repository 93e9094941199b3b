//! Bootstrap tokens: `ID.SECRET`, in secrets of `kube-system` named `bootstrap-token-ID`, with
//! which nodes join a cluster.
//!
//! Upstream: `plugin/pkg/auth/authenticator/token/bootstrap`.

use super::service_account::core;
use super::{AUTHENTICATED, Audiences, TokenVerdict};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apiserver_registry::UserInfo;
use apiserver_storage::Store;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// The group of all such tokens, and the prefix of the others they may have.
const GROUP: &str = "system:bootstrappers";

/// `--enable-bootstrap-token-auth`.
#[derive(Debug)]
pub struct BootstrapTokens {
    /// Where the secrets are.
    pub store: Store,
}

impl BootstrapTokens {
    /// The user of this token. What is wrong with a secret is logged, never told.
    pub fn authenticate(&self, token: &str) -> TokenVerdict {
        let Some((id, secret)) = parts(token) else { return TokenVerdict::NotMine };
        let name = format!("bootstrap-token-{id}");
        let Some(resource) = core("secrets") else { return TokenVerdict::NotMine };
        let Some(object) = self.store.cached(resource, &resource.key("kube-system", &name)) else {
            return TokenVerdict::NotMine;
        };
        match judge(&object.value(), id, secret, jiff::Timestamp::now()) {
            Ok(groups) => {
                let user = UserInfo { name: format!("system:bootstrap:{id}"), groups, ..UserInfo::default() };
                TokenVerdict::User(Arc::new(user), Audiences::Api)
            }
            Err(why) => {
                tracing::warn!(secret = name, "bootstrap token refused: {why}");
                TokenVerdict::NotMine
            }
        }
    }
}

/// `[a-z0-9]{6}.[a-z0-9]{16}`.
fn parts(token: &str) -> Option<(&str, &str)> {
    let is_word = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let (id, secret) = token.split_once('.')?;
    (id.len() == 6 && secret.len() == 16 && is_word(id) && is_word(secret)).then_some((id, secret))
}

/// The groups of a token whose secret is right and says that it may authenticate.
fn judge(object: &Value, id: &str, secret: &str, now: jiff::Timestamp) -> Result<Vec<String>, String> {
    if object.is_deleting() {
        return Err("is deleted and awaiting removal".into());
    }
    if object.get("type").and_then(Value::as_str) != Some("bootstrap.kubernetes.io/token") {
        return Err("has invalid type, expected bootstrap.kubernetes.io/token".into());
    }
    if !bool::from(data(object, "token-secret").as_bytes().ct_eq(secret.as_bytes())) {
        return Err("has invalid value for key token-secret".into());
    }
    if data(object, "token-id") != id {
        return Err("has invalid value for key token-id".into());
    }
    let expiration = data(object, "expiration");
    if !expiration.is_empty() && expiration.parse::<jiff::Timestamp>().is_ok_and(|at| at < now) {
        return Err("has expired".into());
    }
    if !expiration.is_empty() && expiration.parse::<jiff::Timestamp>().is_err() {
        return Err("has an expiration that is no time".into());
    }
    if data(object, "usage-bootstrap-authentication") != "true" {
        return Err("not marked usage-bootstrap-authentication=true".into());
    }
    groups(&data(object, "auth-extra-groups"))
}

fn data(object: &Value, key: &str) -> String {
    let encoded = object.get("data").and_then(|d| d.get(key)).and_then(Value::as_str).unwrap_or_default();
    STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

fn groups(extra: &str) -> Result<Vec<String>, String> {
    let mut groups = vec![GROUP.to_owned()];
    for group in extra.split(',').filter(|_| !extra.is_empty()) {
        let rest = group.strip_prefix(GROUP).and_then(|g| g.strip_prefix(':')).unwrap_or_default();
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b':' | b'-');
        let is_valid = rest.len() <= 256
            && rest.bytes().all(inner)
            && rest.bytes().last().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !is_valid {
            return Err(format!("has invalid value for key auth-extra-groups: group {group:?}"));
        }
        groups.push(group.to_owned());
    }
    groups.sort();
    groups.dedup();
    groups.push(AUTHENTICATED.to_owned());
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn secret(overrides: &[(&str, &str)]) -> Value {
        let mut object = json!({"type": "bootstrap.kubernetes.io/token", "metadata": {}, "data": {}});
        let defaults =
            [("token-id", "abcdef"), ("token-secret", "0123456789abcdef"), ("usage-bootstrap-authentication", "true")];
        for (key, value) in defaults.iter().chain(overrides) {
            object["data"][*key] = STANDARD.encode(value).into();
        }
        object
    }

    #[test]
    fn tokens_have_two_parts() {
        assert_eq!(parts("abcdef.0123456789abcdef"), Some(("abcdef", "0123456789abcdef")));
        for bad in ["abcdef", "abcde.0123456789abcdef", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcdef.x"] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }

    #[test]
    fn secrets_must_be_right() {
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let judge = |object: &Value| judge(object, "abcdef", "0123456789abcdef", now);
        let good = secret(&[("expiration", "2027-01-01T00:00:00Z"), ("auth-extra-groups", "system:bootstrappers:a:b")]);
        assert_eq!(
            judge(&good),
            Ok(vec![GROUP.into(), "system:bootstrappers:a:b".into(), "system:authenticated".into()])
        );
        for bad in [
            secret(&[("expiration", "2025-01-01T00:00:00Z")]),
            secret(&[("expiration", "soon")]),
            secret(&[("token-secret", "x")]),
            secret(&[("token-id", "x")]),
            secret(&[("usage-bootstrap-authentication", "false")]),
            secret(&[("auth-extra-groups", "system:masters")]),
            json!({"type": "Opaque"}),
            json!({"metadata": {"deletionTimestamp": "t"}}),
        ] {
            assert!(judge(&bad).is_err(), "{bad}");
        }
    }
}
