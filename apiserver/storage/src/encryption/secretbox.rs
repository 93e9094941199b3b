//! XSalsa20 and Poly1305, as NaCl's secretbox.
//!
//! Upstream: `apiserver/pkg/storage/value/encrypt/secretbox`.

use super::provider::CryptoError;
use crypto_secretbox::aead::{Aead, AeadCore, KeyInit, OsRng};
use crypto_secretbox::{Nonce, XSalsa20Poly1305};

const NONCE: usize = 24;

/// Nonce and box.
pub(super) fn encrypt(key: &[u8], value: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let nonce = XSalsa20Poly1305::generate_nonce(&mut OsRng);
    let cipher = XSalsa20Poly1305::new_from_slice(key).map_err(|_| CryptoError::Forged)?;
    let sealed = cipher.encrypt(&nonce, value).map_err(|_| CryptoError::Forged)?;
    Ok([nonce.as_slice(), &sealed].concat())
}

pub(super) fn decrypt(key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE).ok_or(CryptoError::TooShort)?;
    let cipher = XSalsa20Poly1305::new_from_slice(key).map_err(|_| CryptoError::Forged)?;
    cipher.decrypt(Nonce::from_slice(nonce), sealed).map_err(|_| CryptoError::Forged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_open_with_their_key_only() {
        let key = [7; 32];
        let sealed = encrypt(&key, b"value").expect("encrypts");
        assert_eq!(sealed.len(), NONCE + 16 + 5);
        assert_eq!(decrypt(&key, &sealed), Ok(b"value".to_vec()));
        assert_eq!(decrypt(&[0; 32], &sealed), Err(CryptoError::Forged));
        assert_eq!(decrypt(&key, b"short"), Err(CryptoError::TooShort));
    }
}
