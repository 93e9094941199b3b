//! Digests that go into names of chains.

use sha2::{Digest as _, Sha256};

/// The first `length` characters, at most 32, of the base32 (RFC 4648) of the SHA-256 of all parts.
pub(crate) fn digest(parts: &[&str], length: usize) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
    }
    let mut text = base32(&hash.finalize()[..20]);
    text.truncate(length);
    text
}

/// Of bytes whose number is a multiple of five.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut out = String::with_capacity(bytes.len() * 8 / 5);
    for chunk in bytes.chunks(5) {
        let word = chunk.iter().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
        for i in (0..8).rev() {
            out.push(char::from(ALPHABET[(word >> (5 * i)) as usize & 31]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_digested_as_one_text() {
        assert_eq!(digest(&["a", "bc"], 8), digest(&["abc"], 8));
        assert_eq!(digest(&["abc"], 8), "XJ4BNP4P");
        assert_eq!(digest(&[""], 32).len(), 32);
    }
}
