//! Base64 as Go reads it.
//!
//! Upstream: Go's `encoding/base64`.

use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::{Engine, alphabet};

/// Text that is no base64, in Go's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("illegal base64 data at input byte {0}")]
pub struct IllegalBase64(pub usize);

/// Go does not look at the bits of the last letter that stand for nothing.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// The bytes that a text stands for; line breaks in it mean nothing.
pub fn decode(text: &str) -> Result<Vec<u8>, IllegalBase64> {
    LENIENT.decode(without_breaks(text)).map_err(|_| IllegalBase64(illegal_at(text.as_bytes())))
}

/// The text that stands for bytes.
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The text that is written for the same bytes.
pub fn canonical(text: &str) -> Result<String, IllegalBase64> {
    let plain = without_breaks(text);
    match STANDARD.decode(&plain) {
        Ok(decoded) if decoded.len().div_ceil(3) * 4 == plain.len() => Ok(plain),
        Ok(decoded) => Ok(STANDARD.encode(decoded)),
        Err(_) => decode(text).map(|decoded| STANDARD.encode(decoded)),
    }
}

fn without_breaks(text: &str) -> String {
    text.chars().filter(|c| !is_break(*c as u8)).collect()
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// Where Go finds that a text is illegal: at a byte that stands for nothing, or at the beginning of four letters that
/// are not complete.
fn illegal_at(text: &[u8]) -> usize {
    let mut letters = text.iter().enumerate().filter(|(_, byte)| !is_break(**byte));
    loop {
        for place in 0..4 {
            match letters.next() {
                None => return text.len() - place,
                Some((_, byte)) if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/') => {}
                Some((_, b'=')) if place == 2 => {
                    return match letters.next() {
                        None => text.len(),
                        Some((_, b'=')) => letters.next().map_or(text.len(), |(at, _)| at),
                        // Go names the byte before.
                        Some((at, _)) => at - 1,
                    };
                }
                Some((_, b'=')) if place == 3 => return letters.next().map_or(text.len(), |(at, _)| at),
                Some((at, _)) => return at,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_mean_nothing() {
        assert_eq!(decode("aGVs\nbG8=\r\n"), Ok(b"hello".to_vec()));
        assert_eq!(canonical("aGVs\nbG8=\r\n"), Ok("aGVsbG8=".into()));
        assert_eq!(canonical("YR=="), Ok("YQ==".into()), "loose bits mean nothing");
        for (text, at) in [("Bad_Name!", 3), (&"a".repeat(254), 252), ("a/b/c", 4), ("YQ=", 3), ("YQ==a", 4), ("=", 0)]
        {
            assert_eq!(decode(text), Err(IllegalBase64(at)), "{text}");
        }
        assert_eq!(decode("a b=").map_err(|e| e.to_string()), Err("illegal base64 data at input byte 1".into()));
    }
}
