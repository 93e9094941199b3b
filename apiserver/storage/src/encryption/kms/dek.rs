//! Keys of values: given as they are, or derived from a seed, one for each value.
//!
//! Upstream: `apiserver/pkg/storage/value/encrypt/aes/aes_extended_nonce.go`.

use super::super::aes;
use super::super::provider::CryptoError;
use super::envelope::SourceKind;
use aes_gcm::aead::OsRng;
use aes_gcm::aead::rand_core::RngCore as _;
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

/// Bytes of a seed, of a key, and of what tells the keys of a seed apart.
const SIZE: usize = 32;

/// What decrypts values, and perhaps encrypts them. It is wiped when dropped.
pub(super) enum Dek {
    /// A key of AES.
    Key(Zeroizing<Vec<u8>>),
    /// A seed of such keys.
    Seed(Zeroizing<Vec<u8>>),
}

impl Dek {
    pub(super) fn new(kind: SourceKind, plain: Zeroizing<Vec<u8>>) -> Result<Self, &'static str> {
        match (kind, plain.len()) {
            (SourceKind::Key, 16 | 24 | 32) => Ok(Self::Key(plain)),
            (SourceKind::Seed, SIZE..) => Ok(Self::Seed(plain)),
            (SourceKind::Key, _) => Err("invalid key length"),
            (SourceKind::Seed, _) => Err("invalid seed length used for key generation"),
        }
    }

    /// A new seed, and its bytes for the service.
    pub(super) fn generate() -> (Self, Zeroizing<Vec<u8>>) {
        let mut seed = Zeroizing::new(vec![0; SIZE]);
        OsRng.fill_bytes(&mut seed);
        (Self::Seed(seed.clone()), seed)
    }

    pub(super) fn seal(&self, place: &[u8], value: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match self {
            Self::Key(key) => aes::gcm_encrypt(key, place, value),
            Self::Seed(seed) => {
                let mut info = [0; SIZE];
                OsRng.fill_bytes(&mut info);
                let sealed = aes::gcm_encrypt(&derive(seed, &info), place, value)?;
                Ok([&info[..], &sealed].concat())
            }
        }
    }

    pub(super) fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match self {
            Self::Key(key) => aes::gcm_decrypt(key, place, sealed),
            Self::Seed(seed) => {
                let (info, sealed) = sealed.split_at_checked(SIZE).ok_or(CryptoError::TooShort)?;
                aes::gcm_decrypt(&derive(seed, info), place, sealed)
            }
        }
    }
}

/// HKDF's expansion with SHA-256 (RFC 5869, 2.3), of which one block is needed.
fn derive(seed: &[u8], info: &[u8]) -> Zeroizing<Vec<u8>> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, seed);
    let mut context = hmac::Context::with_key(&key);
    context.update(info);
    context.update(&[1]);
    Zeroizing::new(context.sign().as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal")).collect()
    }

    #[test]
    fn keys_are_derived_as_rfc_5869_says() {
        // The first 32 bytes of its test case 1.
        let key = derive(
            &bytes("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"),
            &bytes("f0f1f2f3f4f5f6f7f8f9"),
        );
        assert_eq!(*key, bytes("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"));
    }

    #[test]
    fn values_open_at_their_place_only() {
        let (seed, plain) = Dek::generate();
        let same = Dek::new(SourceKind::Seed, plain).expect("a seed");
        let sealed = seed.seal(b"place", b"value").expect("sealed");
        assert_eq!(same.open(b"place", &sealed), Ok(b"value".to_vec()));
        assert_eq!(same.open(b"other", &sealed), Err(CryptoError::Forged));
        assert_eq!(same.open(b"place", &sealed[..20]), Err(CryptoError::TooShort));
        assert_ne!(seed.seal(b"place", b"value").expect("sealed"), sealed);
        let key = Dek::new(SourceKind::Key, Zeroizing::new(vec![7; 32])).expect("a key");
        assert_eq!(key.open(b"p", &key.seal(b"p", b"v").expect("sealed")), Ok(b"v".to_vec()));
        for (kind, length) in [(SourceKind::Key, 31), (SourceKind::Seed, 31), (SourceKind::Seed, 0)] {
            assert!(Dek::new(kind, Zeroizing::new(vec![7; length])).is_err());
        }
    }
}
