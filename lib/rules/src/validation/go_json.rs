//! What Go's JSON reader says of a text that should be an object.
//!
//! Upstream: Go's `encoding/json` (`scanner.go`).

use apimachinery::codec::json::quoted;

/// Go's words for what is wrong with a text that should be an object or `null`; none if it is one.
pub(super) fn object_error(text: &[u8]) -> Option<String> {
    let mut scanner = Scanner { text, at: 0 };
    if let Err(wrong) = scanner.document() {
        return Some(match wrong {
            None => "unexpected end of JSON input".into(),
            Some((byte, place)) => format!("invalid character {} {place}", quoted(byte)),
        });
    }
    let first = text.iter().find(|b| !is_space(**b));
    let found = match first {
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "bool",
        Some(b'-' | b'0'..=b'9') => "number",
        _ => return None,
    };
    Some(format!("json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"))
}

/// What is wrong: nothing more to read, or a byte and where it stands.
type Wrong = Option<(u8, String)>;

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), Wrong> {
        self.value(0)?;
        match self.skip_space() {
            Some(byte) => Err(Some((byte, "after top-level value".into()))),
            None => Ok(()),
        }
    }

    fn skip_space(&mut self) -> Option<u8> {
        while self.text.get(self.at).is_some_and(|b| is_space(*b)) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, Wrong> {
        let byte = self.text.get(self.at).copied().ok_or(None)?;
        self.at += 1;
        Ok(byte)
    }

    fn value(&mut self, depth: usize) -> Result<(), Wrong> {
        const MAX_DEPTH: usize = 1000;
        let byte = self.skip_space().ok_or(None)?;
        self.at += 1;
        match byte {
            _ if depth > MAX_DEPTH => Err(Some((byte, "exceeded max depth".into()))),
            b'{' => self.members(depth),
            b'[' => self.elements(depth),
            b'"' => self.string(),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            b'-' | b'0'..=b'9' => self.number(byte),
            other => Err(Some((other, "looking for beginning of value".into()))),
        }
    }

    fn members(&mut self, depth: usize) -> Result<(), Wrong> {
        if self.skip_space().ok_or(None)? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            match self.skip_space().ok_or(None)? {
                b'"' => self.at += 1,
                other => return Err(Some((other, "looking for beginning of object key string".into()))),
            }
            self.string()?;
            match self.skip_space().ok_or(None)? {
                b':' => self.at += 1,
                other => return Err(Some((other, "after object key".into()))),
            }
            self.value(depth + 1)?;
            let byte = self.skip_space().ok_or(None)?;
            self.at += 1;
            match byte {
                b',' => {}
                b'}' => return Ok(()),
                other => return Err(Some((other, "after object key:value pair".into()))),
            }
        }
    }

    fn elements(&mut self, depth: usize) -> Result<(), Wrong> {
        if self.skip_space().ok_or(None)? == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            let byte = self.skip_space().ok_or(None)?;
            self.at += 1;
            match byte {
                b',' => {}
                b']' => return Ok(()),
                other => return Err(Some((other, "after array element".into()))),
            }
        }
    }

    fn string(&mut self) -> Result<(), Wrong> {
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => match self.next()? {
                    b'u' => {
                        for _ in 0..4 {
                            let digit = self.next()?;
                            if !digit.is_ascii_hexdigit() {
                                return Err(Some((digit, "in \\u hexadecimal character escape".into())));
                            }
                        }
                    }
                    b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => {}
                    other => return Err(Some((other, "in string escape code".into()))),
                },
                control @ ..0x20 => return Err(Some((control, "in string literal".into()))),
                _ => {}
            }
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), Wrong> {
        for wanted in word.bytes().skip(1) {
            let byte = self.next()?;
            if byte != wanted {
                return Err(Some((byte, format!("in literal {word} (expecting {})", quoted(wanted)))));
            }
        }
        Ok(())
    }

    fn number(&mut self, first: u8) -> Result<(), Wrong> {
        let mut digit = first;
        if first == b'-' {
            digit = self.next()?;
            if !digit.is_ascii_digit() {
                return Err(Some((digit, "in numeric literal".into())));
            }
        }
        if digit != b'0' {
            self.skip_digits();
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.text.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn digits(&mut self, place: &str) -> Result<(), Wrong> {
        let first = self.next()?;
        if !first.is_ascii_digit() {
            return Err(Some((first, place.to_owned())));
        }
        self.skip_digits();
        Ok(())
    }

    fn skip_digits(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_go_says() {
        for (text, want) in [
            (&b"{}"[..], None),
            (b" null ", None),
            (b"{\"a\":[1.5e3,true,\"\\u00e9\"]}", None),
            (b"", Some("unexpected end of JSON input")),
            (b"{\"a\":", Some("unexpected end of JSON input")),
            (b"x", Some("invalid character 'x' looking for beginning of value")),
            (b"\xfd", Some("invalid character '\u{fd}' looking for beginning of value")),
            (b"\x13", Some("invalid character '\\x13' looking for beginning of value")),
            (b"{a", Some("invalid character 'a' looking for beginning of object key string")),
            (b"{\"a\" 1", Some("invalid character '1' after object key")),
            (b"{\"a\":1 2", Some("invalid character '2' after object key:value pair")),
            (b"{}x", Some("invalid character 'x' after top-level value")),
            (b"nul!", Some("invalid character '!' in literal null (expecting 'l')")),
            (b"[1]", Some("json: cannot unmarshal array into Go value of type map[string]interface {}")),
            (b"7", Some("json: cannot unmarshal number into Go value of type map[string]interface {}")),
        ] {
            assert_eq!(object_error(text).as_deref(), want, "{text:?}");
        }
    }
}
