//! Signatures, and the memory of those that were good.

use super::super::Audiences;
use super::claims::{AnyClaims, Claims, LEGACY_ISSUER, LegacyClaims};
use crate::keys::VerifyingKey;
use apiserver_registry::UserInfo;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Validation;
use parking_lot::RwLock;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;

/// Tokens whose signature is remembered; past it the memory starts anew.
const REMEMBERED: usize = 16_384;
/// Longest token that is looked at.
const MAX_TOKEN: usize = 64 * 1024;

/// A token whose signature was good.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) claims: AnyClaims,
    pub(super) user: Arc<UserInfo>,
    pub(super) audiences: Audiences,
}

/// Claims by the digest of their token.
#[derive(Default)]
pub(super) struct Verified(RwLock<HashMap<[u8; 32], Arc<Known>>>);

impl Verified {
    /// The claims of a well-signed token of one of our issuers; `None` if it is not one of them.
    pub(super) fn claims(
        &self,
        token: &str,
        keys: &[VerifyingKey],
        issuers: &[String],
    ) -> Result<Option<Arc<Known>>, String> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(known) = self.0.read().get(&digest) {
            return Ok(Some(known.clone()));
        }
        let claims = match issuer(token) {
            Some(issuer) if issuers.contains(&issuer) => AnyClaims::Bound(decode::<Claims>(token, keys)?),
            Some(issuer) if issuer == LEGACY_ISSUER => AnyClaims::Legacy(decode::<LegacyClaims>(token, keys)?),
            _ => return Ok(None),
        };
        let audiences = match &claims {
            AnyClaims::Bound(claims) => Audiences::Claimed(claims.aud.as_slice().into()),
            AnyClaims::Legacy(_) => Audiences::Api,
        };
        let known = Arc::new(Known { user: Arc::new(super::user(&claims)), claims, audiences });
        let mut remembered = self.0.write();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(digest, known.clone());
        Ok(Some(known))
    }

    /// Forgets all, because the keys have changed.
    pub(super) fn forget(&self) {
        self.0.write().clear();
    }
}

/// Whom a token claims to be from, believed by nobody yet.
fn issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Unverified {
        iss: String,
    }
    if token.len() > MAX_TOKEN {
        return None;
    }
    let (_, rest) = token.split_once('.')?;
    let (payload, signature) = rest.split_once('.')?;
    if signature.contains('.') {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice::<Unverified>(&payload).ok().map(|u| u.iss)
}

fn decode<T: DeserializeOwned + Clone>(token: &str, keys: &[VerifyingKey]) -> Result<Box<T>, String> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| "invalid bearer token")?;
    let named = |key: &&VerifyingKey| header.kid.as_ref().is_none_or(|kid| *kid == key.id);
    let mut keys = keys.iter().filter(named).peekable();
    if keys.peek().is_none() {
        return Err("invalid signature, no keys found".into());
    }
    let decoded = keys.filter(|k| k.algorithm == header.alg).find_map(|key| {
        let mut validation = Validation::new(key.algorithm);
        // Time and audience are checked on each use, because claims are remembered.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        jsonwebtoken::decode::<T>(token, &key.key, &validation).ok()
    });
    decoded.map(|data| Box::new(data.claims)).ok_or_else(|| "go-jose/go-jose: error in cryptographic primitive".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_issuers_of_tokens() {
        let token = |payload: &str| format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(payload));
        for (token, want) in [
            (token(r#"{"iss":"a"}"#), Some("a")),
            (token(r#"{"sub":"a"}"#), None),
            (token("nonsense"), None),
            ("a.b".into(), None),
            (token(r#"{"iss":"a"}"#) + ".more", None),
            ("opaque".into(), None),
        ] {
            assert_eq!(issuer(&token).as_deref(), want, "{token}");
        }
    }
}
