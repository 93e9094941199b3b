//! Tokens that lie in secrets of type `kubernetes.io/service-account-token`: good as long as the
//! secret holds them.
//!
//! Upstream: `pkg/serviceaccount/legacy.go`.

use super::lookup::{core, deleted_for};
use super::{LegacyClaims, Reference, ServiceAccountTokens};
use apimachinery::Value;
use apiserver_storage::{Change, Decide, Object, StorageError};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Day of the token's last use.
const LAST_USED: &str = "kubernetes.io/legacy-token-last-used";
/// Set by the controller that cleans up tokens nobody uses.
const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";

impl ServiceAccountTokens {
    pub(super) async fn judge_legacy(
        &self,
        token: &str,
        claims: &LegacyClaims,
        audiences: &[String],
    ) -> Result<(), String> {
        let ours = &self.config.audiences;
        super::check_audiences(ours, if audiences.is_empty() { ours } else { audiences }, ours)?;
        complete(claims)?;
        match self.config.lookup {
            true => self.look_up(token, claims).await,
            false => Ok(()),
        }
    }

    async fn look_up(&self, token: &str, claims: &LegacyClaims) -> Result<(), String> {
        let (namespace, account) = (claims.namespace.as_str(), &claims.account);
        let secret = self.find("secrets", namespace, &claims.secret).await;
        let secret = secret.filter(|s| !deleted_for(s, 0)).ok_or("Token has been invalidated")?;
        let value = secret.value();
        let held = value.pointer("/data/token").and_then(Value::as_str).unwrap_or_default();
        let held = STANDARD.decode(held).unwrap_or_default();
        if !bool::from(held.ct_eq(token.as_bytes())) {
            return Err("Token does not match server's copy".into());
        }
        self.account(namespace, &Reference { name: account.clone(), uid: claims.uid.clone() }).await?;
        self.note_use(&secret).await;
        match secret.label(INVALID_SINCE) {
            None | Some("") => Ok(()),
            Some(_) => Err(format!(
                "the token in secret {namespace}/{} for service account {namespace}/{account} has been marked invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the '{INVALID_SINCE}' label from the secret to temporarily allow use of this token",
                claims.secret
            )),
        }
    }

    /// Labels the secret with today's date, once a day.
    async fn note_use(&self, secret: &Arc<Object>) {
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let tomorrow = today.tomorrow().unwrap_or(today);
        // A clock that is ahead elsewhere must not start a race.
        if secret.label(LAST_USED).is_some_and(|day| day == today.to_string() || day == tomorrow.to_string()) {
            return;
        }
        let Some(secrets) = core("secrets") else { return };
        let mut label = NoteUse { uid: secret.uid(), day: today.to_string() };
        if let Err(error) = self.store.decide(secrets, secret.key(), None, &mut label).await {
            tracing::warn!(%error, secret = secret.key(), "cannot note the last use of a token");
        }
    }
}

/// Sets the date of the last use.
struct NoteUse<'a> {
    uid: &'a str,
    day: String,
}

#[async_trait]
impl Decide<StorageError> for NoteUse<'_> {
    async fn decide(&mut self, current: &Arc<Object>) -> Result<Change, StorageError> {
        if current.uid() != self.uid {
            return Ok(Change::Keep);
        }
        let mut value = current.value();
        value["metadata"]["labels"][LAST_USED] = self.day.as_str().into();
        Ok(Change::Put(value))
    }
}

fn complete(claims: &LegacyClaims) -> Result<(), String> {
    for (claim, name) in [
        (&claims.sub, "sub"),
        (&claims.namespace, "namespace"),
        (&claims.secret, "secretName"),
        (&claims.account, "serviceAccountName"),
        (&claims.uid, "serviceAccountUID"),
    ] {
        if claim.is_empty() {
            return Err(format!("{name} claim is missing"));
        }
    }
    let subject = format!("system:serviceaccount:{}:{}", claims.namespace, claims.account);
    if claims.sub == subject { Ok(()) } else { Err("sub claim is invalid".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_must_be_complete() {
        let good = LegacyClaims {
            iss: super::super::LEGACY_ISSUER.into(),
            namespace: "ns".into(),
            secret: "s".into(),
            account: "a".into(),
            uid: "u".into(),
            sub: "system:serviceaccount:ns:a".into(),
        };
        assert_eq!(complete(&good), Ok(()));
        for (claims, want) in [
            (LegacyClaims { secret: String::new(), ..good.clone() }, "secretName claim is missing"),
            (LegacyClaims { uid: String::new(), ..good.clone() }, "serviceAccountUID claim is missing"),
            (LegacyClaims { sub: "system:serviceaccount:ns:b".into(), ..good.clone() }, "sub claim is invalid"),
        ] {
            assert_eq!(complete(&claims), Err(want.into()));
        }
    }
}
