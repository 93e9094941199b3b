//! ID tokens of an issuer that publishes its keys over TLS: fetched on first use, and again when
//! they have been rotated.
#![expect(clippy::disallowed_methods, reason = "tests own their tasks")]

use apiserver_auth::authentication::TokenVerdict;
use apiserver_auth::authentication::oidc::{Configuration, FlagOptions, Oidc};
use apiserver_auth::keys::{SigningKey, key_set};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// An issuer of tokens on a port of its own.
struct Issuer {
    url: String,
    authority: String,
    keys: Arc<Mutex<Value>>,
}

impl Issuer {
    async fn start() -> Self {
        let serving = pki::serving::self_signed("localhost", &["localhost"]).expect("a certificate");
        let certificates =
            pki::pem::parse_certificates(serving.certificate_pem.as_bytes(), "test").expect("certificates");
        let key = pki::pem::parse_private_key(serving.key_pem.as_bytes(), "test").expect("a key");
        let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .expect("an identity");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("https://localhost:{}", listener.local_addr().expect("an address").port());
        let keys = Arc::new(Mutex::new(json!({"keys": []})));
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(tls)), url.clone(), keys.clone()));
        Self { url, authority: serving.certificate_pem, keys }
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

async fn serve(listener: TcpListener, tls: TlsAcceptor, url: String, keys: Arc<Mutex<Value>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(mut stream) = tls.accept(stream).await else { continue };
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a request"));
        }
        let body = match head.starts_with(b"GET /.well-known/openid-configuration ") {
            true => json!({"issuer": url, "jwks_uri": format!("{url}/keys")}),
            false => keys.lock().clone(),
        };
        let body = body.to_string();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.expect("sent");
        let _ = stream.shutdown().await;
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
