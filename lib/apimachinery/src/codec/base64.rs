//! Base64 as Go reads it.
//!
//! Upstream: Go's `encoding/base64`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Text that is no base64, in Go's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("illegal base64 data at input byte {0}")]
pub struct IllegalBase64(pub usize);

/// The bytes that a text stands for; line breaks in it mean nothing.
pub fn decode(text: &str) -> Result<Vec<u8>, IllegalBase64> {
    decode_plain(&without_breaks(text))
}

/// The text that is written for the same bytes.
pub fn canonical(text: &str) -> Result<String, IllegalBase64> {
    let plain = without_breaks(text);
    let decoded = decode_plain(&plain)?;
    Ok(if decoded.len().div_ceil(3) * 4 == plain.len() { plain } else { STANDARD.encode(decoded) })
}

fn without_breaks(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect()
}

fn decode_plain(plain: &str) -> Result<Vec<u8>, IllegalBase64> {
    STANDARD.decode(plain).map_err(|error| match error {
        base64::DecodeError::InvalidByte(at, _) => IllegalBase64(at),
        _ => IllegalBase64(plain.len()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_mean_nothing() {
        assert_eq!(decode("aGVs\nbG8=\r\n"), Ok(b"hello".to_vec()));
        assert_eq!(canonical("aGVs\nbG8=\r\n"), Ok("aGVsbG8=".into()));
        assert_eq!(decode("a b=").map_err(|e| e.to_string()), Err("illegal base64 data at input byte 1".into()));
    }
}
