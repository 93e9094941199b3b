//! One provider: what it is called in stored values, and what it does to them.

use super::kms::Kms;
use super::{ENCRYPTED, aes, secretbox};
use std::sync::Arc;
use zeroize::Zeroizing;

/// A value that cannot be encrypted or decrypted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CryptoError {
    /// The resource is not to be encrypted, yet the value is.
    #[error("identity transformer tried to read encrypted data")]
    NotConfigured,
    /// No provider of the resource has written it.
    #[error("no matching prefix found")]
    NoProvider,
    /// A provider has written it with a key that it no longer has.
    #[error("no matching key was found for the provided {0} transformer")]
    NoKey(&'static str),
    /// The value is too short to be one of the provider's.
    #[error("the stored data was shorter than the required size")]
    TooShort,
    /// A key management service, or what it has sealed, cannot be used.
    #[error("KMS provider {name}: {why}")]
    Kms {
        /// Its name in the configuration.
        name: String,
        /// Why.
        why: String,
    },
    /// The value has been changed, moved, or encrypted with another key of this name.
    #[error("the stored data does not belong to its key")]
    Forged,
}

/// A named key. It is wiped when dropped, and `Debug` does not show it.
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) secret: Zeroizing<Vec<u8>>,
}

/// A kind of encryption with its keys, the one that encrypts first.
pub(crate) enum Provider {
    Identity,
    AesCbc(Vec<Key>),
    AesGcm(Vec<Key>),
    SecretBox(Vec<Key>),
    Kms(Arc<Kms>),
}

impl Provider {
    /// The name in the configuration and in stored values.
    fn name(&self) -> &'static str {
        match self {
            Provider::Identity => "identity",
            Provider::AesCbc(_) => "aescbc",
            Provider::AesGcm(_) => "aesgcm",
            Provider::SecretBox(_) => "secretbox",
            Provider::Kms(_) => "kms",
        }
    }

    fn keys(&self) -> &[Key] {
        match self {
            Provider::Identity | Provider::Kms(_) => &[],
            Provider::AesCbc(keys) | Provider::AesGcm(keys) | Provider::SecretBox(keys) => keys,
        }
    }

    fn prefix(&self) -> Vec<u8> {
        [ENCRYPTED, self.name().as_bytes(), b":v1:"].concat()
    }

    /// Whether a stored value is one of this provider's.
    pub(super) fn owns(&self, value: &[u8]) -> bool {
        match self {
            Provider::Identity => !value.starts_with(ENCRYPTED),
            Provider::Kms(kms) => kms.owns(value),
            _ => value.starts_with(&self.prefix()),
        }
    }

    /// Encrypts with the first key; `place` is the whole key in etcd.
    pub(super) fn encrypt(&self, place: &[u8], value: &[u8]) -> Result<Vec<u8>, CryptoError> {
        if let Provider::Kms(kms) = self {
            return kms.encrypt(place, value);
        }
        let key = self.keys().first().ok_or(CryptoError::NoKey(self.name()))?;
        let sealed = match self {
            Provider::Identity | Provider::Kms(_) => value.to_vec(),
            Provider::AesCbc(_) => aes::cbc_encrypt(&key.secret, value)?,
            Provider::AesGcm(_) => aes::gcm_encrypt(&key.secret, place, value)?,
            Provider::SecretBox(_) => secretbox::encrypt(&key.secret, value)?,
        };
        Ok([&self.prefix()[..], key.name.as_bytes(), b":", &sealed].concat())
    }

    /// Decrypts with the key that the value names; also whether it is the first.
    pub(super) fn decrypt(&self, place: &[u8], value: &[u8]) -> Result<(Vec<u8>, bool), CryptoError> {
        if let Provider::Kms(kms) = self {
            return kms.decrypt(place, value);
        }
        let rest = value.strip_prefix(&self.prefix()[..]).ok_or(CryptoError::NoProvider)?;
        let named = |key: &Key| rest.strip_prefix(key.name.as_bytes()).and_then(|r| r.strip_prefix(b":"));
        let found = self.keys().iter().enumerate().find_map(|(at, key)| named(key).map(|sealed| (at, key, sealed)));
        let (position, key, sealed) = found.ok_or(CryptoError::NoKey(self.name()))?;
        let plain = match self {
            Provider::Identity | Provider::Kms(_) => sealed.to_vec(),
            Provider::AesCbc(_) => aes::cbc_decrypt(&key.secret, sealed)?,
            Provider::AesGcm(_) => aes::gcm_decrypt(&key.secret, place, sealed)?,
            Provider::SecretBox(_) => secretbox::decrypt(&key.secret, sealed)?,
        };
        Ok((plain, position == 0))
    }
}
