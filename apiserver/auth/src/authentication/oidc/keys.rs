//! The keys of an issuer: found through its discovery document, and fetched again when a token
//! names one that is not known.

use super::fetch::Fetcher;
use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Shortest time between two fetches: forged tokens must not make us a nuisance.
const PAUSE: Duration = Duration::from_secs(10);
/// Longest token that is looked at.
const MAX_TOKEN: usize = 64 * 1024;

/// The keys of one issuer.
#[derive(Debug)]
pub(super) struct Keys {
    fetcher: Fetcher,
    discovery_url: String,
    issuer: String,
    known: ArcSwap<JwkSet>,
    /// When they were last fetched.
    fetched: Mutex<Option<Instant>>,
}

impl Keys {
    pub(super) fn new(fetcher: Fetcher, discovery_url: String, issuer: String) -> Self {
        let known = ArcSwap::from_pointee(JwkSet { keys: Vec::new() });
        Self { fetcher, discovery_url, issuer, known, fetched: Mutex::default() }
    }

    /// The claims of a token that one of the keys has signed.
    pub(super) async fn verify(&self, token: &str, algorithms: &[Algorithm]) -> Result<Map<String, Value>, String> {
        let header = jsonwebtoken::decode_header(token).map_err(|e| e.to_string())?;
        if !algorithms.contains(&header.alg) {
            return Err(format!(
                "id token signed with unsupported algorithm, expected {algorithms:?} got {:?}",
                header.alg
            ));
        }
        let known = self.known.load_full();
        if let Some(claims) = decode(&known, token, header.kid.as_deref(), header.alg) {
            return Ok(claims);
        }
        let known = self.refreshed(&known).await?;
        decode(&known, token, header.kid.as_deref(), header.alg)
            .ok_or_else(|| "failed to verify signature: failed to verify id token signature".to_owned())
    }

    /// Newer keys than these, unless they were fetched only just.
    async fn refreshed(&self, seen: &Arc<JwkSet>) -> Result<Arc<JwkSet>, String> {
        let mut fetched = self.fetched.lock().await;
        let now = self.known.load_full();
        // Somebody else has fetched them while this one waited.
        if !Arc::ptr_eq(&now, seen) || fetched.is_some_and(|at| at.elapsed() < PAUSE) {
            return Ok(now);
        }
        *fetched = Some(Instant::now());
        let keys = Arc::new(self.fetch().await?);
        self.known.store(keys.clone());
        Ok(keys)
    }

    async fn fetch(&self) -> Result<JwkSet, String> {
        let document = self.fetcher.get(&self.discovery_url).await?;
        let text = |key: &str| document.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("issuer") != self.issuer {
            return Err(format!(
                "oidc: issuer did not match the issuer returned by provider, expected {:?} got {:?}",
                self.issuer,
                text("issuer")
            ));
        }
        let keys = text("jwks_uri");
        if !keys.starts_with("https://") {
            return Err(format!("fetching keys: {keys:?} is no https URL"));
        }
        serde_json::from_value(self.fetcher.get(keys).await?).map_err(|e| format!("fetching keys: {e}"))
    }
}

fn decode(keys: &JwkSet, token: &str, kid: Option<&str>, algorithm: Algorithm) -> Option<Map<String, Value>> {
    let named = |key: &&jsonwebtoken::jwk::Jwk| kid.is_none_or(|kid| key.common.key_id.as_deref() == Some(kid));
    keys.keys.iter().filter(named).find_map(|jwk| {
        let key = DecodingKey::from_jwk(jwk).ok()?;
        let mut validation = Validation::new(algorithm);
        // What the claims say is judged apart.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation).ok().map(|data| data.claims)
    })
}

/// Whom a token claims to be from, believed by nobody yet.
pub(super) fn issuer(token: &str) -> Option<String> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || token.len() > MAX_TOKEN {
        return None;
    }
    let claims: Map<String, Value> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    claims.get("iss")?.as_str().map(str::to_owned)
}
