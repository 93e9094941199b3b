//! Service account tokens: issued here, verified here, and checked against the objects they are
//! bound to on every use.
//!
//! Upstream: `pkg/serviceaccount/{claims,jwt}.go`.

use super::AUTHENTICATED;
use crate::keys::{SigningKey, VerifyingKey};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::resources::{self, ResourceInfo};
use apiserver_registry::UserInfo;
use apiserver_storage::Store;
use jsonwebtoken::{Header, Validation};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Tokens whose signature is remembered; past it the memory starts anew.
const REMEMBERED: usize = 16_384;
/// Seconds a token may outlive the deletion of what it is bound to.
const DELETION_GRACE_SECONDS: i64 = 60;

/// The claims of a token, as upstream names them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// Audiences.
    #[serde(deserialize_with = "one_or_many")]
    pub aud: Vec<String>,
    /// Expiry, seconds since the epoch.
    pub exp: i64,
    /// Issued at.
    pub iat: i64,
    /// Issuer.
    pub iss: String,
    /// Token ID.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jti: String,
    /// What the token is bound to.
    #[serde(rename = "kubernetes.io")]
    pub kubernetes: Bound,
    /// Not before.
    #[serde(default)]
    pub nbf: i64,
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub sub: String,
}

/// The `kubernetes.io` claim.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bound {
    /// Namespace of the service account.
    pub namespace: String,
    /// Node of the pod, or the node the token is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Reference>,
    /// Pod that the token is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Reference>,
    /// Secret that the token is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Reference>,
    /// The service account.
    pub serviceaccount: Reference,
    /// When clients should have replaced the token, for tokens with an extended life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warnafter: Option<i64>,
}

/// Name and UID of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Name.
    pub name: String,
    /// UID.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Audience::deserialize(deserializer)? {
        Audience::One(one) => vec![one],
        Audience::Many(many) => many,
    })
}

/// `--service-account-*` and `--api-audiences`.
#[derive(Debug, Default)]
pub struct TokenConfig {
    /// `--service-account-issuer`: the first issues, all are accepted.
    pub issuers: Vec<String>,
    /// `--api-audiences`; the issuers if empty.
    pub audiences: Vec<String>,
    /// `--service-account-key-file`.
    pub keys: Vec<VerifyingKey>,
    /// `--service-account-signing-key-file`.
    pub signing: Option<SigningKey>,
    /// `--service-account-max-token-expiration` in seconds.
    pub max_expiration: Option<i64>,
    /// `--service-account-extend-token-expiration`.
    pub extend_expiration: bool,
}

/// Issues and verifies service account tokens.
pub struct ServiceAccountTokens {
    pub(crate) config: TokenConfig,
    pub(crate) store: Store,
    remembered: RwLock<HashMap<[u8; 32], Arc<Claims>>>,
}

impl std::fmt::Debug for ServiceAccountTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceAccountTokens").field("issuers", &self.config.issuers).finish_non_exhaustive()
    }
}

impl ServiceAccountTokens {
    /// Tokens of these issuers and keys, bound to objects in `store`. A signing key also verifies.
    pub fn new(mut config: TokenConfig, store: Store) -> Self {
        if config.audiences.is_empty() {
            config.audiences = config.issuers.clone();
        }
        if let Some(signing) = &config.signing
            && !config.keys.iter().any(|k| k.id == signing.public.id)
        {
            config.keys.push(signing.public.clone());
        }
        Self { config, store, remembered: RwLock::default() }
    }

    /// The audiences of tokens for this apiserver.
    pub fn api_audiences(&self) -> &[String] {
        &self.config.audiences
    }

    /// The JSON Web Key Set of all verifying keys.
    pub fn key_set(&self) -> Value {
        crate::keys::key_set(&self.config.keys)
    }

    /// The issuer that new tokens name.
    pub fn issuer(&self) -> &str {
        self.config.issuers.first().map_or("", String::as_str)
    }

    /// The user of a valid token for one of `audiences` (the apiserver's own if empty).
    pub fn authenticate(&self, token: &str, audiences: &[String]) -> Option<Arc<UserInfo>> {
        let claims = self.claims(token, audiences)?;
        self.still_bound(&claims).then(|| Arc::new(user(&claims)))
    }

    /// The claims of a token that is well signed, in time and meant for one of `audiences`.
    pub fn claims(&self, token: &str, audiences: &[String]) -> Option<Arc<Claims>> {
        let claims = self.verified(token)?;
        let audiences = if audiences.is_empty() { &self.config.audiences } else { audiences };
        let now = jiff::Timestamp::now().as_second();
        let in_time = claims.nbf <= now && now < claims.exp;
        let for_us = claims.aud.iter().any(|a| audiences.contains(a));
        let from_us = self.config.issuers.contains(&claims.iss);
        (in_time && for_us && from_us).then_some(claims)
    }

    /// Signs these claims.
    pub fn sign(&self, claims: &Claims) -> Option<Result<String, jsonwebtoken::errors::Error>> {
        let signing = self.config.signing.as_ref()?;
        let header =
            Header { typ: None, kid: Some(signing.public.id.clone()), ..Header::new(signing.public.algorithm) };
        Some(jsonwebtoken::encode(&header, claims, &signing.key))
    }

    /// Checks the signature, or remembers that it was good.
    fn verified(&self, token: &str) -> Option<Arc<Claims>> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(claims) = self.remembered.read().get(&digest) {
            return Some(claims.clone());
        }
        let claims = Arc::new(self.decode(token)?);
        let mut remembered = self.remembered.write();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(digest, claims.clone());
        Some(claims)
    }

    fn decode(&self, token: &str) -> Option<Claims> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let named = |key: &&VerifyingKey| header.kid.as_ref().is_none_or(|kid| *kid == key.id);
        self.config.keys.iter().filter(named).filter(|k| k.algorithm == header.alg).find_map(|key| {
            let mut validation = Validation::new(key.algorithm);
            // Time and audience are checked on each use, because claims are remembered.
            validation.validate_exp = false;
            validation.validate_aud = false;
            validation.required_spec_claims.clear();
            jsonwebtoken::decode::<Claims>(token, &key.key, &validation).ok().map(|data| data.claims)
        })
    }

    /// Whether the service account and all that the token is bound to still exist.
    fn still_bound(&self, claims: &Claims) -> bool {
        let bound = &claims.kubernetes;
        let namespace = bound.namespace.as_str();
        let alive = |resource: &str, namespace: &str, reference: &Reference| match core(resource) {
            Some(info) => self.is_alive(info, namespace, reference),
            None => false,
        };
        claims.sub == format!("system:serviceaccount:{namespace}:{}", bound.serviceaccount.name)
            && alive("serviceaccounts", namespace, &bound.serviceaccount)
            && bound.pod.as_ref().is_none_or(|pod| alive("pods", namespace, pod))
            && bound.secret.as_ref().is_none_or(|secret| alive("secrets", namespace, secret))
            && (bound.pod.is_some() || bound.node.as_ref().is_none_or(|node| alive("nodes", "", node)))
    }

    fn is_alive(&self, resource: &Arc<ResourceInfo>, namespace: &str, reference: &Reference) -> bool {
        let Some(object) = self.store.cached(resource, &resource.key(namespace, &reference.name)) else {
            return false;
        };
        if object.uid() != reference.uid {
            return false;
        }
        // Only deletions in progress need a look inside.
        if memchr::memmem::find(object.json(), b"\"deletionTimestamp\"").is_none() {
            return true;
        }
        let value = object.value();
        let deleted = value.meta_str("deletionTimestamp").parse::<jiff::Timestamp>();
        deleted.map_or(true, |at| jiff::Timestamp::now().as_second() < at.as_second() + DELETION_GRACE_SECONDS)
    }
}

/// A core/v1 resource.
pub(crate) fn core(plural: &str) -> Option<&'static Arc<ResourceInfo>> {
    resources::find("", "v1", plural)
}

/// The user that claims stand for.
pub fn user(claims: &Claims) -> UserInfo {
    let bound = &claims.kubernetes;
    let mut extra = BTreeMap::new();
    let mut add = |key: &str, value: String| {
        extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value]);
    };
    if !claims.jti.is_empty() {
        add("credential-id", format!("JTI={}", claims.jti));
    }
    for (what, reference) in [("pod", &bound.pod), ("node", &bound.node)] {
        if let Some(reference) = reference {
            add(&format!("{what}-name"), reference.name.clone());
            if !reference.uid.is_empty() {
                add(&format!("{what}-uid"), reference.uid.clone());
            }
        }
    }
    let groups = vec![
        "system:serviceaccounts".into(),
        format!("system:serviceaccounts:{}", bound.namespace),
        AUTHENTICATED.into(),
    ];
    UserInfo { name: claims.sub.clone(), uid: bound.serviceaccount.uid.clone(), groups, extra }
}
