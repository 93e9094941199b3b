//! A bounded pull reader of JSON text.

use super::write::plain;
use crate::codec::DecodeError;
use crate::{Map, Value};
use std::borrow::Cow;

/// Deepest nesting taken: what serde_json reads, so that whatever is stored can be read again
/// by everybody.
pub(super) const MAX_DEPTH: usize = 120;
/// Deepest nesting of what is not kept, as Go has it.
const MAX_PASSED: usize = 10_000;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

impl Token {
    /// The word of Go's messages.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Token::Object => "object",
            Token::Array => "array",
            Token::String => "string",
            Token::Number => "number",
            Token::Bool => "bool",
            Token::Null => "null",
        }
    }
}

pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// The next member or element is the first of its object or array.
    first: bool,
    /// The first number that no `f64` can hold.
    excess: Option<&'a str>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, first: false, excess: None }
    }

    /// Refuses numbers that are too large for a tree, which [`Self::any`] has read as the largest there is.
    pub(super) fn refuse_excess(&self) -> Result<(), DecodeError> {
        match self.excess {
            None => Ok(()),
            Some(number) => {
                Err(DecodeError::Type(format!("json: cannot unmarshal number {number} into Go value of type float64")))
            }
        }
    }

    /// Where the reader is.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The text from a place on that the reader has been at.
    pub(super) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    pub(super) fn peek(&mut self) -> Result<Token, DecodeError> {
        match self.next_byte()? {
            b'{' => Ok(Token::Object),
            b'[' => Ok(Token::Array),
            b'"' => Ok(Token::String),
            b'-' | b'0'..=b'9' => Ok(Token::Number),
            b't' | b'f' => Ok(Token::Bool),
            b'n' => Ok(Token::Null),
            _ => Err(self.unexpected("looking for beginning of value")),
        }
    }

    /// Enters an object or array.
    pub(super) fn open(&mut self, bracket: u8) -> Result<(), DecodeError> {
        self.expect(bracket)?;
        self.first = true;
        Ok(())
    }

    /// The next member's key, its colon consumed; `None` at the end of the object.
    pub(super) fn key(&mut self) -> Result<Option<Cow<'a, str>>, DecodeError> {
        if !self.more(b'}', "after object key:value pair")? {
            return Ok(None);
        }
        if self.next_byte()? != b'"' {
            return Err(self.unexpected("looking for beginning of object key string"));
        }
        let key = self.string()?;
        if self.next_byte()? != b':' {
            return Err(self.unexpected("after object key"));
        }
        self.at += 1;
        Ok(Some(key))
    }

    /// Whether the array has another element.
    pub(super) fn element(&mut self) -> Result<bool, DecodeError> {
        self.more(b']', "after array element")
    }

    fn more(&mut self, end: u8, place: &str) -> Result<bool, DecodeError> {
        let first = std::mem::take(&mut self.first);
        match self.next_byte()? {
            byte if byte == end => {
                self.at += 1;
                Ok(false)
            }
            b',' if !first => {
                self.at += 1;
                // A comma promises another member.
                match self.next_byte()? == end {
                    true if end == b'}' => Err(self.unexpected("looking for beginning of object key string")),
                    true => Err(self.unexpected("looking for beginning of value")),
                    false => Ok(true),
                }
            }
            _ if first => Ok(true),
            _ => Err(self.unexpected(place)),
        }
    }

    /// Any value, as a tree.
    pub(super) fn any(&mut self, depth: usize) -> Result<Value, DecodeError> {
        if depth > MAX_DEPTH {
            return Err(DecodeError::Limit("exceeded max depth"));
        }
        match self.peek()? {
            Token::String => self.string().map(|s| Value::String(s.into_owned())),
            Token::Number => self.number(),
            Token::Bool if self.text[self.at..].starts_with('t') => self.word("true", true.into()),
            Token::Bool => self.word("false", false.into()),
            Token::Null => self.word("null", Value::Null),
            Token::Array => {
                let mut list = Vec::new();
                self.open(b'[')?;
                while self.element()? {
                    list.push(self.any(depth + 1)?);
                }
                Ok(Value::Array(list))
            }
            Token::Object => {
                let mut map = Map::new();
                self.open(b'{')?;
                while let Some(key) = self.key()? {
                    let value = self.any(depth + 1)?;
                    map.insert(key.into_owned(), value);
                }
                Ok(Value::Object(map))
            }
        }
    }

    /// Any value, which is not kept: so deep as Go takes it, without recursion.
    pub(super) fn pass(&mut self, depth: usize) -> Result<(), DecodeError> {
        let mut around = Vec::new();
        loop {
            match self.peek()? {
                token @ (Token::Object | Token::Array) if depth + around.len() < MAX_PASSED => {
                    self.open(if token == Token::Object { b'{' } else { b'[' })?;
                    around.push(token);
                }
                Token::Object | Token::Array => return Err(DecodeError::Limit("exceeded max depth")),
                _ => drop(self.any(0)?),
            }
            loop {
                let goes_on = match around.last() {
                    None => return Ok(()),
                    Some(Token::Array) => self.element()?,
                    Some(_) => self.key()?.is_some(),
                };
                if goes_on {
                    break;
                }
                around.pop();
            }
        }
    }

    /// Nothing but white space is left.
    pub(super) fn end(&mut self) -> Result<(), DecodeError> {
        self.skip_space();
        match self.at == self.text.len() {
            true => Ok(()),
            false => Err(self.unexpected("after top-level value")),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, DecodeError> {
        match self.text[self.at..].starts_with(word) {
            true => {
                self.at += word.len();
                Ok(value)
            }
            false => {
                let same =
                    word.bytes().zip(self.text[self.at..].bytes()).take_while(|(want, have)| want == have).count();
                self.at += same;
                let wanted = word.as_bytes().get(same).copied().unwrap_or_default();
                Err(self.unexpected(&format!("in literal {word} (expecting {})", quoted(wanted))))
            }
        }
    }

    fn number(&mut self) -> Result<Value, DecodeError> {
        let start = self.at;
        let end = self.end_of_number()?;
        self.at = start;
        let (number, length) = (&self.text[start..end], end - start);
        if let Some(integer) = plain_integer(number) {
            self.at += length;
            return Ok(integer.into());
        }
        match serde_json::from_str::<serde_json::Number>(number) {
            Ok(parsed) => {
                self.at += length;
                Ok(Value::Number(parsed))
            }
            // The text may be a number for all that.
            Err(_) if serde_json::from_str::<&serde_json::value::RawValue>(number).is_ok() => {
                self.at += length;
                self.excess.get_or_insert(number);
                let largest = if number.starts_with('-') { f64::MIN } else { f64::MAX };
                Ok(largest.into())
            }
            Err(_) => Err(DecodeError::Syntax(format!("invalid number literal {number:?}"))),
        }
    }

    /// Where a number ends, by JSON's grammar; what stands there is for others to judge.
    fn end_of_number(&mut self) -> Result<usize, DecodeError> {
        if self.takes(b"-") {
            self.digit("in numeric literal")?;
        }
        if !self.takes(b"0") {
            self.digits();
        }
        if self.takes(b".") {
            self.digit("after decimal point in numeric literal")?;
            self.digits();
        }
        if self.takes(b"eE") {
            self.takes(b"+-");
            self.digit("in exponent of numeric literal")?;
            self.digits();
        }
        Ok(self.at)
    }

    /// Goes past one of these bytes if it is next.
    fn takes(&mut self, any: &[u8]) -> bool {
        let is_next = self.text.as_bytes().get(self.at).is_some_and(|byte| any.contains(byte));
        self.at += usize::from(is_next);
        is_next
    }

    fn digits(&mut self) {
        while self.takes(b"0123456789") {}
    }

    /// A digit must come next.
    fn digit(&self, place: &str) -> Result<(), DecodeError> {
        match self.text.as_bytes().get(self.at).is_some_and(u8::is_ascii_digit) {
            true => Ok(()),
            false => Err(self.unexpected(place)),
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let at = start + plain(&bytes[start..]);
        match bytes.get(at) {
            None => Err(truncated()),
            Some(b'"') => {
                self.at = at + 1;
                Ok(Cow::Borrowed(&self.text[start..at]))
            }
            Some(b'\\') => self.escaped_string(start, at),
            Some(_) => {
                self.at = at;
                Err(self.unexpected("in string literal"))
            }
        }
    }

    /// A string with escapes: serde_json knows them all.
    fn escaped_string(&mut self, start: usize, mut at: usize) -> Result<Cow<'a, str>, DecodeError> {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(at) {
                None => return Err(truncated()),
                Some(b'\\') => at = self.end_of_escape(at + 1)?,
                Some(b'"') => break,
                Some(0..0x20) => {
                    self.at = at;
                    return Err(self.unexpected("in string literal"));
                }
                Some(_) => at += 1,
            }
        }
        let quoted = self.text.get(start - 1..=at).ok_or_else(truncated)?;
        self.at = at + 1;
        let text = serde_json::from_str(quoted).ok().or_else(|| lossy(quoted));
        text.map(Cow::Owned).ok_or_else(|| DecodeError::Syntax("invalid character in string escape code".into()))
    }

    /// Where an escape ends whose backslash stands before `at`.
    fn end_of_escape(&mut self, at: usize) -> Result<usize, DecodeError> {
        let bytes = self.text.as_bytes();
        match bytes.get(at) {
            Some(b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => return Ok(at + 1),
            Some(b'u') => {}
            _ => {
                self.at = at;
                return Err(self.unexpected("in string escape code"));
            }
        }
        let digits = bytes[at + 1..].iter().take(4).take_while(|byte| byte.is_ascii_hexdigit()).count();
        self.at = at + 1 + digits;
        match digits {
            4 => Ok(self.at),
            _ => Err(self.unexpected("in \\u hexadecimal character escape")),
        }
    }

    fn next_byte(&mut self) -> Result<u8, DecodeError> {
        self.skip_space();
        self.text.as_bytes().get(self.at).copied().ok_or_else(truncated)
    }

    fn skip_space(&mut self) {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), DecodeError> {
        match self.next_byte()? == byte {
            true => {
                self.at += 1;
                Ok(())
            }
            false => Err(self.unexpected("looking for beginning of value")),
        }
    }

    fn unexpected(&self, place: &str) -> DecodeError {
        match self.text.as_bytes().get(self.at) {
            Some(byte) => DecodeError::Syntax(format!("invalid character {} {place}", quoted(*byte))),
            None => truncated(),
        }
    }
}

/// A byte in Go's quotes, which takes it for a character of its own.
pub fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => "'\\''".into(),
        b'\\' => "'\\\\'".into(),
        7 => "'\\a'".into(),
        8 => "'\\b'".into(),
        b'\t' => "'\\t'".into(),
        b'\n' => "'\\n'".into(),
        11 => "'\\v'".into(),
        12 => "'\\f'".into(),
        b'\r' => "'\\r'".into(),
        0..=0x1f | 0x7f => format!("'\\x{byte:02x}'"),
        // What Latin 1 does not print: controls, the no-break space, the soft hyphen.
        0x80..=0xa0 | 0xad => format!("'\\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

fn truncated() -> DecodeError {
    DecodeError::Syntax("unexpected end of JSON input".into())
}

/// An integer without sign tricks or leading zeros, the common case.
fn plain_integer(number: &str) -> Option<i64> {
    let digits = number.strip_prefix('-').unwrap_or(number);
    let plain = !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && (digits.len() == 1 || !digits.starts_with('0'));
    if plain { number.parse().ok() } else { None }
}

/// The string with escapes of lone surrogates replaced, as Go does; `None` if another escape is
/// malformed.
fn lossy(quoted: &str) -> Option<String> {
    let mut units: Vec<u16> = Vec::new();
    let mut chars = quoted[1..quoted.len() - 1].chars();
    while let Some(c) = chars.next() {
        if c < ' ' {
            return None;
        }
        let plain = match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('u')) => {
                let hex: String = chars.by_ref().take(4).filter(char::is_ascii_hexdigit).collect();
                units.push(u16::from_str_radix(&hex, 16).ok().filter(|_| hex.len() == 4)?);
                continue;
            }
            ('\\', Some('n')) => '\n',
            ('\\', Some('t')) => '\t',
            ('\\', Some('r')) => '\r',
            ('\\', Some('b')) => '\u{8}',
            ('\\', Some('f')) => '\u{c}',
            ('\\', Some(escaped @ ('"' | '\\' | '/'))) => escaped,
            ('\\', _) => return None,
            (c, _) => c,
        };
        units.extend(plain.encode_utf16(&mut [0; 2]).iter());
    }
    Some(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_serde_json_reads() {
        for text in [
            "null",
            "true",
            "0",
            "12",
            "-7",
            "1.5e3",
            "18446744073709551615",
            r#""a\n\u00e9\"""#,
            r#"[1,[],{"a":{}}]"#,
            " { \"a\" : [ 1 , 2 ] } ",
            r#""\ud83d\ude00""#,
        ] {
            let mut reader = Reader::new(text);
            let value = reader.any(0).and_then(|v| reader.end().map(|()| v));
            assert_eq!(value.ok(), serde_json::from_str(text).ok(), "{text}");
        }
    }

    #[test]
    fn refuses_what_serde_json_refuses() {
        for text in [
            "",
            "nul",
            "01",
            "1.",
            "[1,]",
            "[,1]",
            "{\"a\":1,}",
            "{a:1}",
            "\"a",
            "\"\\x\"",
            "[1 2]",
            "{\"a\" 1}",
            "tru",
            "--1",
        ] {
            let mut reader = Reader::new(text);
            assert!(reader.any(0).and_then(|v| reader.end().map(|()| v)).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_that_are_too_large_are_told() {
        let mut reader = Reader::new("[1e400,-1e999]");
        assert_eq!(reader.any(0).ok(), Some(serde_json::json!([f64::MAX, f64::MIN])));
        let want = "json: cannot unmarshal number 1e400 into Go value of type float64";
        assert_eq!(reader.refuse_excess().map_err(|error| error.to_string()), Err(want.into()));
    }

    #[test]
    fn numbers_that_are_none_are_told_as_go_does() {
        for (text, want) in [
            ("--1", "invalid character '-' in numeric literal"),
            ("-", "unexpected end of JSON input"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1e+,", "invalid character ',' in exponent of numeric literal"),
            ("01", "invalid character '1' after top-level value"),
            (r#""a\x""#, "invalid character 'x' in string escape code"),
            (r#""\u12g4""#, r"invalid character 'g' in \u hexadecimal character escape"),
            ("\"\\n\u{1}\"", "invalid character '\\x01' in string literal"),
            (r#""\"#, "unexpected end of JSON input"),
            ("[1-2]", "invalid character '-' after array element"),
            ("tru}", "invalid character '}' in literal true (expecting 'e')"),
            ("fx", "invalid character 'x' in literal false (expecting 'a')"),
            ("nu", "unexpected end of JSON input"),
        ] {
            let mut reader = Reader::new(text);
            let read = reader.any(0).and_then(|_| reader.end());
            assert_eq!(read.map_err(|error| error.to_string()), Err(want.to_owned()), "{text}");
        }
    }

    #[test]
    fn lone_surrogates_are_replaced() {
        assert_eq!(Reader::new(r#""a\ud800b\n""#).any(0).ok(), Some("a\u{fffd}b\n".into()));
        for text in [r#""\ud800\x""#, r#""\ud800\u12""#, r#""\ud80""#, r#""\u+123""#, "\"\\ud800\u{1}\""] {
            assert!(Reader::new(text).any(0).is_err(), "{text}");
        }
    }
}
