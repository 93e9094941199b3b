//! Texts in Go's double quotes, as upstream's messages have them.
//!
//! Upstream: Go's `strconv.Quote`, the `%q` of its formats.

/// A text in double quotes; what is not printable is escaped.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if is_printable(c) => out.push(c),
            c if u32::from(c) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

/// Whether Go prints a character outside of ASCII as it is: letters, marks, numbers, punctuation and symbols. Rust's
/// table is the same, but that it escapes marks that have nothing to stand on.
fn is_printable(c: char) -> bool {
    let mut buffer = [b'a', 0, 0, 0, 0];
    let length = c.encode_utf8(&mut buffer[1..]).len();
    let text = std::str::from_utf8(&buffer[..=length]).unwrap_or_default();
    text.escape_debug().nth(1) == Some(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stand_in_gos_quotes() {
        for (text, want) in [
            ("a b", r#""a b""#),
            ("a\"\\'", r#""a\"\\'""#),
            ("\0\u{7}\u{8}\t\n\u{b}\u{c}\r\u{1b}\u{7f}", r#""\x00\a\b\t\n\v\f\r\x1b\x7f""#),
            ("é漢\u{301}😀", "\"é漢\u{301}😀\""),
            ("\u{85}\u{a0}\u{ad}\u{feff}\u{fffd}", "\"\\u0085\\u00a0\\u00ad\\ufeff\u{fffd}\""),
            ("\u{10ffff}\u{e000}", r#""\U0010ffff\ue000""#),
        ] {
            assert_eq!(quoted(text), want);
        }
    }
}
