//! Secrets that controllers know the meaning of: tokens of service accounts and of bootstrapping
//! nodes.
//!
//! Upstream: `cluster-bootstrap/util/secrets`, `pkg/serviceaccount`.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};

/// The type of service account tokens.
pub const ACCOUNT_TOKEN: &str = "kubernetes.io/service-account-token";
/// The type of bootstrap tokens.
pub const BOOTSTRAP_TOKEN: &str = "bootstrap.kubernetes.io/token";
/// Whose token it is.
pub const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
/// And of which of that name.
pub const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

/// A datum as text; empty if there is none.
pub fn text<'a>(secret: &'a Secret, key: &str) -> &'a str {
    let datum = secret.data.as_ref().and_then(|data| data.get(key));
    datum.and_then(|datum| std::str::from_utf8(&datum.0).ok()).unwrap_or_default()
}

/// An annotation; empty if there is none.
pub fn annotation<'a>(secret: &'a Secret, key: &str) -> &'a str {
    let annotations = secret.metadata.annotations.as_ref();
    annotations.and_then(|annotations| annotations.get(key)).map(String::as_str).unwrap_or_default()
}

/// Whether the token is this account's, not that of another of its name.
pub fn is_token_of(secret: &Secret, account: &ServiceAccount) -> bool {
    let uid = annotation(secret, ACCOUNT_UID);
    account.metadata.name.as_deref() == Some(annotation(secret, ACCOUNT_NAME))
        && account.metadata.namespace == secret.metadata.namespace
        && (uid.is_empty() || account.metadata.uid.as_deref() == Some(uid))
}

/// How long a bootstrap token lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// For ever.
    Endless,
    /// So long.
    Left(SignedDuration),
    /// It is over, or nobody can say when.
    Over,
}

/// How long a bootstrap token lives.
pub fn life(secret: &Secret, now: Timestamp) -> Life {
    match text(secret, "expiration") {
        "" => Life::Endless,
        end => match end.parse::<Timestamp>().map(|end| end.duration_since(now)) {
            Ok(left) if left.is_positive() => Life::Left(left),
            _ => Life::Over,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tokens_end() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let with = |end: &str| -> Secret { serde_json::from_value(json!({"data": {"expiration": end}})).unwrap() };
        // In base64: 2026-01-01T00:00:10Z, 2025-01-01T00:00:00Z, nonsense.
        let table = [
            ("", Life::Endless),
            ("MjAyNi0wMS0wMVQwMDowMDoxMFo=", Life::Left(SignedDuration::from_secs(10))),
            ("MjAyNS0wMS0wMVQwMDowMDowMFo=", Life::Over),
            ("bm9uc2Vuc2U=", Life::Over),
        ];
        for (end, expected) in table {
            assert_eq!(life(&with(end), now), expected, "{end}");
        }
    }

    #[test]
    fn a_token_is_of_one_account() {
        let secret = |uid: &str| -> Secret {
            serde_json::from_value(
                json!({"metadata": {"namespace": "n", "annotations": {ACCOUNT_NAME: "a", ACCOUNT_UID: uid}}}),
            )
            .unwrap()
        };
        let account: ServiceAccount =
            serde_json::from_value(json!({"metadata": {"name": "a", "namespace": "n", "uid": "u"}})).unwrap();
        assert!(is_token_of(&secret("u"), &account) && is_token_of(&secret(""), &account));
        assert!(!is_token_of(&secret("v"), &account));
    }
}
