//! Key pairs: for certificates, and for signing service account tokens.

use crate::{PkiError, pem};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};

/// Which key to generate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256: small, fast to make and to verify.
    #[default]
    EcdsaP256,
    /// RSA with 2048 bits: what upstream's tools make for service account tokens.
    Rsa2048,
}

/// A key pair. `Debug` shows no secret.
pub struct Key {
    pub(crate) pair: KeyPair,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// A new random key.
    pub fn generate(algorithm: Algorithm) -> Result<Self, PkiError> {
        let pair = match algorithm {
            Algorithm::EcdsaP256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Algorithm::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        };
        Ok(Self { pair: pair.map_err(PkiError::crypto("cannot generate a key"))? })
    }

    /// A key from PEM (PKCS#8, SEC1 or PKCS#1); `place` names it in errors.
    pub fn from_pem(text: &[u8], place: &str) -> Result<Self, PkiError> {
        let der = pem::parse_private_key(text, place)?;
        let pair = KeyPair::try_from(&der).map_err(PkiError::crypto("cannot use the private key"))?;
        Ok(Self { pair })
    }

    /// The private key as PKCS#8 PEM.
    pub fn to_pem(&self) -> String {
        self.pair.serialize_pem()
    }

    /// The public key as DER (`SubjectPublicKeyInfo`).
    pub fn public_der(&self) -> Vec<u8> {
        use rcgen::PublicKeyData as _;
        self.pair.subject_public_key_info()
    }

    /// The public key as PEM (`PUBLIC KEY`).
    pub fn public_pem(&self) -> String {
        self.pair.public_key_pem()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_pem_and_shows_no_secret() {
        for algorithm in [Algorithm::EcdsaP256, Algorithm::Rsa2048] {
            let key = Key::generate(algorithm).unwrap();
            let again = Key::from_pem(key.to_pem().as_bytes(), "test").unwrap();
            assert_eq!(key.public_pem(), again.public_pem());
            assert!(key.public_pem().starts_with("-----BEGIN PUBLIC KEY-----"));
            assert_eq!(format!("{key:?}"), "Key(…)");
        }
    }

    #[test]
    fn garbage_is_no_key() {
        assert!(matches!(Key::from_pem(b"x", "sa.key"), Err(PkiError::Missing { .. })));
    }
}
