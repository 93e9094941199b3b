//! Service account keys: reading them from PEM, their key IDs, and the JSON Web Key Set.
//!
//! Upstream: `pkg/serviceaccount/{jwt,openidmetadata}.go`.

use apimachinery::Value;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use sha2::{Digest, Sha256};

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Neither RSA nor ECDSA in a PEM form that is understood.
    #[error("not an RSA or ECDSA key in PEM")]
    Unsupported,
    /// A public key where a private one is needed.
    #[error("the signing key is not a private key")]
    NotPrivate,
    /// The key's parts cannot be read.
    #[error("the key cannot be used")]
    Unusable(#[source] jsonwebtoken::errors::Error),
}

/// A key that verifies tokens.
#[derive(Clone)]
pub struct VerifyingKey {
    /// Upstream's key ID: the digest of the public key.
    pub id: String,
    /// The algorithm that belongs to the key.
    pub algorithm: Algorithm,
    pub(crate) key: DecodingKey,
    jwk: Jwk,
}

/// A key that signs tokens.
#[derive(Clone)]
pub struct SigningKey {
    /// The public half.
    pub public: VerifyingKey,
    pub(crate) key: EncodingKey,
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VerifyingKey({})", self.id)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.public.id)
    }
}

impl SigningKey {
    /// Reads a private key: PKCS #8, or PKCS #1 for RSA.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        if !contains(pem, b"PRIVATE KEY-----") {
            return Err(KeyError::NotPrivate);
        }
        let rsa = EncodingKey::from_rsa_pem(pem).map(|k| (k, Algorithm::RS256));
        let ecdsa = || EncodingKey::from_ec_pem(pem).map(|k| (k, Algorithm::ES256));
        let (key, algorithm) = rsa.or_else(|_| ecdsa()).map_err(|_| KeyError::Unsupported)?;
        let jwk = Jwk::from_encoding_key(&key, algorithm).map_err(KeyError::Unusable)?;
        Ok(Self { public: VerifyingKey::from_jwk(jwk, algorithm)?, key })
    }
}

impl VerifyingKey {
    /// Reads all keys of a file; a private key counts as its public half, as upstream has it.
    pub fn all_from_pem(pem: &[u8]) -> Result<Vec<Self>, KeyError> {
        let text = String::from_utf8_lossy(pem);
        let keys: Result<Vec<_>, _> = blocks(&text).map(|block| Self::from_block(block.as_bytes())).collect();
        keys.and_then(|keys| if keys.is_empty() { Err(KeyError::Unsupported) } else { Ok(keys) })
    }

    fn from_block(pem: &[u8]) -> Result<Self, KeyError> {
        if contains(pem, b"PRIVATE KEY-----") {
            return SigningKey::from_pem(pem).map(|signing| signing.public);
        }
        let rsa = DecodingKey::from_rsa_pem(pem).map(|k| (k, Algorithm::RS256));
        let ecdsa = || DecodingKey::from_ec_pem(pem).map(|k| (k, Algorithm::ES256));
        let (key, algorithm) = rsa.or_else(|_| ecdsa()).map_err(|_| KeyError::Unsupported)?;
        let jwk = Jwk::from_decoding_key(&key, Some(algorithm)).map_err(KeyError::Unusable)?;
        Self::from_jwk(jwk, algorithm)
    }

    fn from_jwk(jwk: Jwk, algorithm: Algorithm) -> Result<Self, KeyError> {
        let key = DecodingKey::from_jwk(&jwk).map_err(KeyError::Unusable)?;
        let der = public_key_info(&jwk).ok_or(KeyError::Unsupported)?;
        Ok(Self { id: URL_SAFE_NO_PAD.encode(Sha256::digest(der)), algorithm, key, jwk })
    }

    fn to_value(&self) -> Value {
        let mut jwk = serde_json::to_value(&self.jwk).unwrap_or_default();
        if let Some(map) = jwk.as_object_mut() {
            map.insert("use".into(), "sig".into());
            map.insert("kid".into(), self.id.clone().into());
            map.insert("alg".into(), format!("{:?}", self.algorithm).into());
        }
        jwk
    }
}

/// The JSON Web Key Set served at `/openid/v1/jwks`.
pub fn key_set(keys: &[VerifyingKey]) -> Value {
    serde_json::json!({ "keys": keys.iter().map(VerifyingKey::to_value).collect::<Vec<_>>() })
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}

/// The PEM blocks of a file.
fn blocks(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split("-----BEGIN ").skip(1).map(|rest| {
        let end = rest.find("-----END ").and_then(|e| rest[e..].find('\n').map(|n| e + n)).unwrap_or(rest.len());
        format!("-----BEGIN {}\n", &rest[..end])
    })
}

/// The DER of `SubjectPublicKeyInfo`, whose digest upstream uses as the key ID.
fn public_key_info(jwk: &Jwk) -> Option<Vec<u8>> {
    const RSA: &[u8] = &[0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    const P256: &[u8] =
        &[0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let (algorithm, key) = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => {
            let numbers = [der_integer(&decode(&rsa.n)?), der_integer(&decode(&rsa.e)?)].concat();
            (RSA, der(0x30, &numbers))
        }
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
            (P256, [vec![4], decode(&ec.x)?, decode(&ec.y)?].concat())
        }
        _ => return None,
    };
    let bits = der(0x03, &[vec![0], key].concat());
    Some(der(0x30, &[algorithm.to_vec(), bits].concat()))
}

fn der_integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len().saturating_sub(1));
    let sign = bytes.get(start).is_some_and(|b| b & 0x80 != 0);
    let mut body = if sign { vec![0] } else { Vec::new() };
    body.extend_from_slice(&bytes[start..]);
    der(0x02, &body)
}

fn der(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match body.len() {
        short @ 0..=127 => out.push(short as u8),
        long => {
            let bytes: Vec<u8> = long.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect();
            out.push(0x80 | bytes.len() as u8);
            out.extend(bytes);
        }
    }
    out.extend_from_slice(body);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_der() {
        assert_eq!(der_integer(&[0, 0, 1]), [2, 1, 1]);
        assert_eq!(der_integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(der(0x30, &[0; 200])[..3], [0x30, 0x81, 200]);
        assert_eq!(der(0x30, &[0; 300])[..4], [0x30, 0x82, 1, 44]);
    }

    #[test]
    fn splits_blocks() {
        let text = "junk\n-----BEGIN A-----\nx\n-----END A-----\n-----BEGIN B-----\ny\n-----END B-----";
        let found: Vec<String> = blocks(text).collect();
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("-----BEGIN A-----\nx\n-----END A-----"));
    }

    #[test]
    fn refuses_other_keys() {
        assert!(matches!(SigningKey::from_pem(b"-----BEGIN PUBLIC KEY-----\n"), Err(KeyError::NotPrivate)));
        assert!(matches!(VerifyingKey::all_from_pem(b"nothing"), Err(KeyError::Unsupported)));
    }
}
