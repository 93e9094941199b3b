//! Trees and strings as JSON text, the bytes that serde_json writes.
//!
//! Most of what is stored is strings with nothing to escape, so those are searched eight bytes at a time and copied;
//! serde_json looks at them byte by byte.

use crate::Value;

/// One bit in each byte of a word.
const ONES: u64 = u64::MAX / 255;

/// How many bytes in front stand for themselves in a JSON string: up to the first quote, backslash or control.
pub fn plain(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let special = special(u64::from_le_bytes(*word));
        if special != 0 {
            return at * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let is_special = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\');
    words.len() * 8 + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// Zero if no byte of a word is special; otherwise its lowest bit lies in the first special one. A borrow can mark
/// more bytes, but only above one that is special.
fn special(word: u64) -> u64 {
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word & (ONES * 0x80);
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    below(word, 0x20) | is(b'"') | is(b'\\')
}

/// Appends a string, quoted and escaped.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    if plain(text.as_bytes()) < text.len() {
        return write_rare(out, text);
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Appends a tree.
pub fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => write_rare(out, number),
        Value::String(text) => write_text(out, text),
        Value::Array(list) => {
            out.push(b'[');
            for (at, item) in list.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(out, item);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            for (at, (name, member)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_text(out, name);
                out.push(b':');
                write(out, member);
            }
            out.push(b'}');
        }
    }
}

fn write_rare<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Numbers and strings are JSON, and a `Vec` takes all bytes.
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_byte_is_found_at_every_place() {
        for byte in 0..=u8::MAX {
            for at in 0..20 {
                for other in [b'a', 0x7f, 0x80, 0xff, b'!', b'#', b'[', b']', b' '] {
                    let mut bytes = [other; 20];
                    bytes[at] = byte;
                    let is_special = byte < b' ' || byte == b'"' || byte == b'\\';
                    assert_eq!(plain(&bytes), if is_special { at } else { 20 }, "{byte:#x} at {at} in {other:#x}");
                }
            }
        }
        assert_eq!((plain(b""), plain(b"\"\"\"\"\"\"\"\"")), (0, 0));
    }

    #[test]
    fn writes_what_serde_json_writes() {
        for value in [
            json!(null),
            json!([]),
            json!({}),
            json!([true, false, null, 0, -7, 1.5, 1e300, u64::MAX, i64::MIN, [[]], [{}]]),
            json!({"": "", "a\"b": "\\", "é\u{1}": "\u{8}\u{c}\n\r\t\u{1f}\u{7f}\u{2028}😀", "z": {"y": ["x<>&", "long enough for a word"]}}),
        ] {
            let mut out = b"before".to_vec();
            write(&mut out, &value);
            assert_eq!(String::from_utf8(out).expect("text"), format!("before{value}"));
        }
    }
}
