//! Tokens that do not end: their claims, and the key that signs them.
//!
//! Upstream: `pkg/serviceaccount/{legacy,jwt}.go`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::path::Path;

const ISSUER: &str = "kubernetes/serviceaccount";

/// The private key of `--service-account-private-key-file`.
pub(super) struct SigningKey {
    header: Header,
    key: EncodingKey,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyError {
    /// The file holds none.
    #[error(transparent)]
    File(#[from] pki::PkiError),
    /// It is of a kind that cannot sign tokens.
    #[error("neither an RSA nor an ECDSA key")]
    Unsupported,
}

/// What a token says.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    #[serde(rename = "kubernetes.io/serviceaccount/namespace")]
    namespace: &'a str,
    #[serde(rename = "kubernetes.io/serviceaccount/secret.name")]
    secret: &'a str,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.name")]
    account: &'a str,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.uid")]
    uid: &'a str,
    sub: String,
}

impl SigningKey {
    /// The key of a file; its id is the digest of its public half, as upstream has it.
    pub(super) fn read(path: &Path) -> Result<Self, KeyError> {
        Self::from_pem(&pki::pem::read(path)?, &path.display().to_string())
    }

    fn from_pem(pem: &[u8], place: &str) -> Result<Self, KeyError> {
        let public = pki::Key::from_pem(pem, place)?.public_der();
        let rsa = EncodingKey::from_rsa_pem(pem).map(|key| (key, Algorithm::RS256));
        let ecdsa = || EncodingKey::from_ec_pem(pem).map(|key| (key, Algorithm::ES256));
        let (key, algorithm) = rsa.or_else(|_| ecdsa()).map_err(|_| KeyError::Unsupported)?;
        let mut header = Header::new(algorithm);
        header.typ = None;
        header.kid = Some(URL_SAFE_NO_PAD.encode(Sha256::digest(public)));
        Ok(Self { header, key })
    }

    /// A token of the account, good as long as the Secret is there.
    pub(super) fn token(
        &self,
        account: &ServiceAccount,
        secret: &Secret,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let namespace = secret.metadata.namespace.as_deref().unwrap_or_default();
        let name = account.metadata.name.as_deref().unwrap_or_default();
        let claims = Claims {
            iss: ISSUER,
            namespace,
            secret: secret.metadata.name.as_deref().unwrap_or_default(),
            account: name,
            uid: account.metadata.uid.as_deref().unwrap_or_default(),
            sub: format!("system:serviceaccount:{namespace}:{name}"),
        };
        jsonwebtoken::encode(&self.header, &claims, &self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_token_says_whose_it_is() {
        for (algorithm, name) in [(pki::Algorithm::Rsa2048, "RS256"), (pki::Algorithm::EcdsaP256, "ES256")] {
            let pem = pki::Key::generate(algorithm).unwrap().to_pem();
            let key = SigningKey::from_pem(pem.as_bytes(), "test").ok().unwrap();
            let account =
                serde_json::from_value(json!({"metadata": {"name": "a", "namespace": "n", "uid": "u"}})).unwrap();
            let secret = serde_json::from_value(json!({"metadata": {"name": "s", "namespace": "n"}})).unwrap();
            let token = key.token(&account, &secret).unwrap();
            let part = |n: usize| -> Value {
                let part = token.split('.').nth(n).unwrap();
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
            };
            assert_eq!((part(0)["alg"].as_str(), part(0)["kid"].as_str().map(str::len)), (Some(name), Some(43)));
            assert_eq!(part(1)["sub"], "system:serviceaccount:n:a");
            assert_eq!(part(1)["kubernetes.io/serviceaccount/secret.name"], "s");
            assert_eq!(part(1).get("exp"), None);
        }
        assert!(SigningKey::from_pem(b"x", "test").is_err());
    }
}
