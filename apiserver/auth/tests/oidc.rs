//! ID tokens of an issuer that publishes its keys over TLS: fetched on first use, and again when
//! they have been rotated.

mod support;

use apiserver_auth::authentication::TokenVerdict;
use apiserver_auth::authentication::oidc::{Configuration, FlagOptions, Oidc};
use apiserver_auth::keys::{SigningKey, key_set};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;

/// An issuer of tokens on a port of its own.
struct Issuer {
    url: String,
    authority: String,
    keys: Arc<Mutex<Value>>,
}

impl Issuer {
    async fn start() -> Self {
        let keys = Arc::new(Mutex::new(json!({"keys": []})));
        let published = keys.clone();
        let answer = move |url: &str, head: &str, _| match head.starts_with("GET /.well-known/openid-configuration ") {
            true => json!({"issuer": url, "jwks_uri": format!("{url}/keys")}),
            false => published.lock().clone(),
        };
        let (url, authority) = support::https(answer).await;
        Self { url, authority, keys }
    }

    /// Publishes a new key, which signs from now on.
    fn rotate(&self) -> Signer {
        let pem = pki::key::Key::generate(pki::key::Algorithm::EcdsaP256).expect("a key").to_pem();
        let public = SigningKey::from_pem(pem.as_bytes()).expect("a key").public;
        *self.keys.lock() = key_set(std::slice::from_ref(&public));
        Signer {
            id: public.id,
            key: EncodingKey::from_ec_pem(pem.as_bytes()).expect("a key"),
            issuer: self.url.clone(),
        }
    }
}

struct Signer {
    id: String,
    key: EncodingKey,
    issuer: String,
}

impl Signer {
    fn token(&self, audience: &str) -> String {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::ES256) };
        let expiry = jiff::Timestamp::now().as_second() + 600;
        let claims = json!({"iss": self.issuer, "aud": audience, "exp": expiry, "sub": "jane", "groups": ["dev"]});
        jsonwebtoken::encode(&header, &claims, &self.key).expect("a token")
    }
}

fn oidc(issuer: &Issuer, authority: &str) -> Oidc {
    let flags = FlagOptions {
        issuer_url: issuer.url.clone(),
        client_id: "kubernetes".into(),
        authorities: Some(authority.to_owned()),
        username_claim: "sub".into(),
        username_prefix: "oidc:".into(),
        groups_claim: "groups".into(),
        algorithms: vec!["ES256".into()],
        ..FlagOptions::default()
    };
    Oidc::new(&Configuration::from_flags(flags).expect("an issuer")).expect("an authenticator")
}

#[tokio::test]
async fn tokens_are_verified_with_published_keys() {
    let issuer = Issuer::start().await;
    let signer = issuer.rotate();
    let oidc = oidc(&issuer, &issuer.authority);
    match oidc.authenticate(&signer.token("kubernetes")).await {
        TokenVerdict::User(user, _) => {
            assert_eq!((user.name.as_str(), user.groups[0].as_str()), ("oidc:jane", "dev"));
        }
        verdict => panic!("{verdict:?}"),
    }
    assert!(
        matches!(oidc.authenticate(&signer.token("other")).await, TokenVerdict::Invalid(why) if why.contains("expected audience"))
    );
    // Keys were fetched only just: a token of an unknown one is refused without asking again.
    let next = issuer.rotate();
    assert!(matches!(oidc.authenticate(&next.token("kubernetes")).await, TokenVerdict::Invalid(_)));
    assert!(matches!(oidc.authenticate("opaque").await, TokenVerdict::NotMine));
}

#[tokio::test]
async fn issuers_must_be_who_they_say() {
    let (issuer, other) = (Issuer::start().await, Issuer::start().await);
    let signer = issuer.rotate();
    let oidc = oidc(&issuer, &other.authority);
    match oidc.authenticate(&signer.token("kubernetes")).await {
        TokenVerdict::Invalid(why) => assert!(why.starts_with("oidc: verify token: Get \"https://localhost:"), "{why}"),
        verdict => panic!("{verdict:?}"),
    }
}
