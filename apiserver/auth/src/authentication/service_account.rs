//! Service account tokens: issued here, verified here, and checked against the objects they are
//! bound to on every use.
//!
//! Upstream: `pkg/serviceaccount/{claims,jwt,legacy}.go`.

pub mod claims;
mod legacy;
mod lookup;
mod verify;

pub use claims::{AnyClaims, Bound, Claims, LEGACY_ISSUER, LegacyClaims, Reference};
pub(crate) use lookup::core;

use super::{AUTHENTICATED, TokenVerdict};
use crate::keys::{SigningKey, VerifyingKey};
use apimachinery::Value;
use apiserver_registry::UserInfo;
use apiserver_storage::Store;
use arc_swap::ArcSwap;
use jsonwebtoken::Header;
use std::collections::BTreeMap;
use std::sync::Arc;
use verify::Verified;

/// Seconds that clocks may differ, and that a token may outlive the deletion of what it is bound to.
const LEEWAY: i64 = 60;

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
    /// `--service-account-lookup`.
    pub lookup: bool,
}

/// Issues and verifies service account tokens.
pub struct ServiceAccountTokens {
    pub(crate) config: TokenConfig,
    pub(crate) store: Store,
    keys: ArcSwap<Vec<VerifyingKey>>,
    verified: Verified,
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
        let keys = std::mem::take(&mut config.keys);
        let tokens = Self { config, store, keys: ArcSwap::default(), verified: Verified::default() };
        tokens.replace_keys(keys);
        tokens
    }

    /// Replaces the verifying keys, such as when their files have changed. The signing key's own
    /// always stays.
    pub fn replace_keys(&self, mut keys: Vec<VerifyingKey>) {
        if let Some(signing) = &self.config.signing
            && !keys.iter().any(|k| k.id == signing.public.id)
        {
            keys.push(signing.public.clone());
        }
        self.keys.store(Arc::new(keys));
        self.verified.forget();
    }

    /// The audiences of tokens for this apiserver.
    pub fn api_audiences(&self) -> &[String] {
        &self.config.audiences
    }

    /// The JSON Web Key Set of all verifying keys.
    pub fn key_set(&self) -> Value {
        crate::keys::key_set(&self.keys.load())
    }

    /// The algorithms of the verifying keys, as discovery names them.
    pub fn algorithms(&self) -> Vec<String> {
        let keys = self.keys.load();
        let names: std::collections::BTreeSet<String> = keys.iter().map(|k| format!("{:?}", k.algorithm)).collect();
        names.into_iter().collect()
    }

    /// The issuer that new tokens name.
    pub fn issuer(&self) -> &str {
        self.config.issuers.first().map_or("", String::as_str)
    }

    /// The user of a valid token for one of `audiences` (the apiserver's own if empty).
    pub async fn authenticate(&self, token: &str, audiences: &[String]) -> TokenVerdict {
        let known = match self.verified.claims(token, &self.keys.load(), &self.config.issuers) {
            Ok(Some(known)) => known,
            Ok(None) => return TokenVerdict::NotMine,
            Err(why) => return TokenVerdict::Invalid(why),
        };
        let judged = match &known.claims {
            AnyClaims::Bound(claims) => self.judge(claims, audiences).await,
            AnyClaims::Legacy(claims) => self.judge_legacy(token, claims, audiences).await,
        };
        match judged {
            Ok(()) => TokenVerdict::User(known.user.clone(), known.audiences.clone()),
            Err(why) => TokenVerdict::Invalid(why),
        }
    }

    /// Signs these claims.
    pub fn sign(&self, claims: &Claims) -> Option<Result<String, jsonwebtoken::errors::Error>> {
        let signing = self.config.signing.as_ref()?;
        let header =
            Header { typ: None, kid: Some(signing.public.id.clone()), ..Header::new(signing.public.algorithm) };
        Some(jsonwebtoken::encode(&header, claims, &signing.key))
    }

    async fn judge(&self, claims: &Claims, audiences: &[String]) -> Result<(), String> {
        let wanted = if audiences.is_empty() { &self.config.audiences } else { audiences };
        check_audiences(&claims.aud, wanted, &self.config.audiences)?;
        in_time(claims, jiff::Timestamp::now().as_second())?;
        self.still_bound(&claims.kubernetes).await
    }

    /// Whether the service account and all that the token is bound to still exist.
    async fn still_bound(&self, bound: &Bound) -> Result<(), String> {
        let namespace = bound.namespace.as_str();
        self.account(namespace, &bound.serviceaccount).await?;
        if let Some(secret) = &bound.secret {
            self.bound_object("secrets", "secret", namespace, secret).await?;
        }
        match (&bound.pod, &bound.node) {
            (Some(pod), _) => self.bound_object("pods", "pod", namespace, pod).await,
            (None, Some(node)) => self.bound_object("nodes", "node", "", node).await,
            (None, None) => Ok(()),
        }
    }
}

fn check_audiences(claimed: &[String], wanted: &[String], ours: &[String]) -> Result<(), String> {
    if ours.is_empty() || claimed.iter().any(|a| wanted.contains(a)) {
        return Ok(());
    }
    let list = |names: &[String]| format!("{names:?}").replace("\", \"", "\" \"");
    Err(format!("token audiences {} is invalid for the target audiences {}", list(claimed), list(wanted)))
}

fn in_time(claims: &Claims, now: i64) -> Result<(), String> {
    if claims.nbf > now + LEEWAY {
        return Err("service account token is not valid yet".into());
    }
    if now - LEEWAY > claims.exp {
        return Err("service account token has expired".into());
    }
    if claims.iat > now + LEEWAY {
        return Err("service account token is issued in the future".into());
    }
    Ok(())
}

/// The user that claims stand for.
pub fn user(claims: &AnyClaims) -> UserInfo {
    match claims {
        AnyClaims::Bound(claims) => {
            let bound = &claims.kubernetes;
            let account = &bound.serviceaccount;
            UserInfo { extra: extra(claims), ..account_user(&bound.namespace, &account.name, &account.uid) }
        }
        AnyClaims::Legacy(claims) => account_user(&claims.namespace, &claims.account, &claims.uid),
    }
}

fn account_user(namespace: &str, name: &str, uid: &str) -> UserInfo {
    let groups =
        vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}"), AUTHENTICATED.into()];
    UserInfo {
        name: format!("system:serviceaccount:{namespace}:{name}"),
        uid: uid.to_owned(),
        groups,
        extra: BTreeMap::new(),
    }
}

fn extra(claims: &Claims) -> BTreeMap<String, Vec<String>> {
    let mut extra = BTreeMap::new();
    let mut add = |key: &str, value: String| {
        extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value]);
    };
    if !claims.jti.is_empty() {
        add("credential-id", format!("JTI={}", claims.jti));
    }
    for (what, reference) in [("pod", &claims.kubernetes.pod), ("node", &claims.kubernetes.node)] {
        if let Some(reference) = reference {
            add(&format!("{what}-name"), reference.name.clone());
            // A pod's node may have been unknown when the token was issued.
            if !reference.uid.is_empty() {
                add(&format!("{what}-uid"), reference.uid.clone());
            }
        }
    }
    extra
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(nbf: i64, exp: i64, iat: i64) -> Claims {
        let reference = |name: &str| Reference { name: name.into(), uid: format!("{name}-uid") };
        Claims {
            aud: vec!["api".into()],
            exp,
            iat,
            iss: "https://issuer".into(),
            jti: "j".into(),
            kubernetes: Bound {
                namespace: "ns".into(),
                node: Some(reference("n1")),
                pod: Some(reference("p")),
                secret: None,
                serviceaccount: reference("robot"),
                warnafter: None,
            },
            nbf,
            sub: "system:serviceaccount:ns:robot".into(),
        }
    }

    #[test]
    fn tokens_have_their_time() {
        for (nbf, exp, iat, want) in [
            (0, 1000, 0, Ok(())),
            (0, 950, 0, Ok(())),
            (0, 900, 0, Err("service account token has expired")),
            (1100, 2000, 0, Err("service account token is not valid yet")),
            (0, 2000, 1100, Err("service account token is issued in the future")),
        ] {
            assert_eq!(in_time(&claims(nbf, exp, iat), 1000), want.map_err(String::from), "{nbf} {exp} {iat}");
        }
    }

    #[test]
    fn tokens_have_their_audience() {
        let list = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(check_audiences(&list(&["a", "b"]), &list(&["b"]), &list(&["api"])), Ok(()));
        assert_eq!(
            check_audiences(&list(&["a", "c"]), &list(&["b"]), &list(&["api"])),
            Err(r#"token audiences ["a" "c"] is invalid for the target audiences ["b"]"#.into())
        );
    }

    #[test]
    fn users_say_what_their_token_is_bound_to() {
        let user = user(&AnyClaims::Bound(Box::new(claims(0, 0, 0))));
        assert_eq!((user.name.as_str(), user.uid.as_str()), ("system:serviceaccount:ns:robot", "robot-uid"));
        assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"]);
        let extra: Vec<String> = user.extra.iter().map(|(k, v)| format!("{k}={}", v.join(","))).collect();
        assert_eq!(
            extra,
            [
                "authentication.kubernetes.io/credential-id=JTI=j",
                "authentication.kubernetes.io/node-name=n1",
                "authentication.kubernetes.io/node-uid=n1-uid",
                "authentication.kubernetes.io/pod-name=p",
                "authentication.kubernetes.io/pod-uid=p-uid",
            ]
        );
    }
}
