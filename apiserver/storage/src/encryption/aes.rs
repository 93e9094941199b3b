//! AES in CBC mode with PKCS #7 padding, and in Galois/Counter mode with the place of the value as
//! additional data, for keys of 16, 24 and 32 bytes.
//!
//! Upstream: `apiserver/pkg/storage/value/encrypt/aes`.

use super::provider::CryptoError;
use aes::{Aes128, Aes192, Aes256};
use aes_gcm::aead::rand_core::RngCore;
use aes_gcm::aead::{Aead, KeyInit, OsRng, Payload};
use aes_gcm::{AesGcm, Nonce};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::consts::U12;
use cbc::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};

const BLOCK: usize = 16;
const NONCE: usize = 12;

/// Initialisation vector and ciphertext.
pub(super) fn cbc_encrypt(key: &[u8], value: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let mut iv = [0; BLOCK];
    OsRng.fill_bytes(&mut iv);
    let sealed = match key.len() {
        16 => cbc::Encryptor::<Aes128>::new_from_slices(key, &iv).map(|c| c.encrypt_padded_vec_mut::<Pkcs7>(value)),
        24 => cbc::Encryptor::<Aes192>::new_from_slices(key, &iv).map(|c| c.encrypt_padded_vec_mut::<Pkcs7>(value)),
        _ => cbc::Encryptor::<Aes256>::new_from_slices(key, &iv).map(|c| c.encrypt_padded_vec_mut::<Pkcs7>(value)),
    };
    Ok([&iv[..], &sealed.map_err(|_| CryptoError::Forged)?].concat())
}

pub(super) fn cbc_decrypt(key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let (iv, sealed) = sealed.split_at_checked(BLOCK).ok_or(CryptoError::TooShort)?;
    let wrong = CryptoError::Forged;
    let plain = match key.len() {
        16 => cbc::Decryptor::<Aes128>::new_from_slices(key, iv).map(|c| c.decrypt_padded_vec_mut::<Pkcs7>(sealed)),
        24 => cbc::Decryptor::<Aes192>::new_from_slices(key, iv).map(|c| c.decrypt_padded_vec_mut::<Pkcs7>(sealed)),
        _ => cbc::Decryptor::<Aes256>::new_from_slices(key, iv).map(|c| c.decrypt_padded_vec_mut::<Pkcs7>(sealed)),
    };
    plain.ok().and_then(Result::ok).ok_or(wrong)
}

/// Nonce, ciphertext and tag.
pub(super) fn gcm_encrypt(key: &[u8], place: &[u8], value: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let mut nonce = [0; NONCE];
    OsRng.fill_bytes(&mut nonce);
    let payload = Payload { msg: value, aad: place };
    let nonce_ref = Nonce::from_slice(&nonce);
    let sealed = match key.len() {
        16 => AesGcm::<Aes128, U12>::new_from_slice(key).map(|c| c.encrypt(nonce_ref, payload)),
        24 => AesGcm::<Aes192, U12>::new_from_slice(key).map(|c| c.encrypt(nonce_ref, payload)),
        _ => AesGcm::<Aes256, U12>::new_from_slice(key).map(|c| c.encrypt(nonce_ref, payload)),
    };
    let sealed = sealed.ok().and_then(Result::ok).ok_or(CryptoError::Forged)?;
    Ok([&nonce[..], &sealed].concat())
}

pub(super) fn gcm_decrypt(key: &[u8], place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE).ok_or(CryptoError::TooShort)?;
    let (nonce, payload) = (Nonce::from_slice(nonce), Payload { msg: sealed, aad: place });
    let plain = match key.len() {
        16 => AesGcm::<Aes128, U12>::new_from_slice(key).map(|c| c.decrypt(nonce, payload)),
        24 => AesGcm::<Aes192, U12>::new_from_slice(key).map(|c| c.decrypt(nonce, payload)),
        _ => AesGcm::<Aes256, U12>::new_from_slice(key).map(|c| c.decrypt(nonce, payload)),
    };
    plain.ok().and_then(Result::ok).ok_or(CryptoError::Forged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_key_lengths() {
        for length in [16, 24, 32] {
            let key = vec![3; length];
            let sealed = cbc_encrypt(&key, b"value").expect("encrypts");
            assert_eq!((sealed.len(), cbc_decrypt(&key, &sealed)), (32, Ok(b"value".to_vec())));
            let sealed = gcm_encrypt(&key, b"place", b"value").expect("encrypts");
            assert_eq!((sealed.len(), gcm_decrypt(&key, b"place", &sealed)), (33, Ok(b"value".to_vec())));
            assert_eq!(gcm_decrypt(&key, b"other", &sealed), Err(CryptoError::Forged));
        }
        assert_eq!(cbc_decrypt(&[3; 16], b"short"), Err(CryptoError::TooShort));
        assert_eq!(cbc_decrypt(&[3; 16], &[0; 20]), Err(CryptoError::Forged));
    }
}
