//! Where a JSON value ends, or what is wrong with it, byte by byte in Go's words.
//!
//! Upstream: Go's `encoding/json`.

use apimachinery::codec::json::quoted;

/// What a byte does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// More of the value follows.
    More,
    /// It is the last of the value.
    Last,
    /// The value ended before it.
    Before,
}

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Value,
    /// The first element of an array, or its end.
    FirstElement,
    /// The first key of an object, or its end.
    FirstKey,
    Key,
    Colon,
    /// What stands behind a member or an element.
    Behind,
    String(Role),
    Escape(Role),
    /// So many hexadecimal digits.
    Digits(Role, u8),
    /// The rest of `true`, `false` or `null`.
    Word(&'static str, usize),
    Number(Number),
}

/// What a string is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Key,
    Value,
}

/// What of a number was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Digits,
    Point,
    Fraction,
    E,
    Sign,
    Exponent,
}

pub(super) struct Scanner {
    state: State,
    /// The brackets that are open.
    open: Vec<u8>,
    begun: bool,
}

impl Scanner {
    pub(super) fn new() -> Self {
        Self { state: State::Value, open: Vec::new(), begun: false }
    }

    /// Whether anything but white space came.
    pub(super) fn begun(&self) -> bool {
        self.begun
    }

    /// Whether the value is complete if nothing more comes.
    pub(super) fn may_end(&self) -> bool {
        let complete = |number| matches!(number, Number::Zero | Number::Digits | Number::Fraction | Number::Exponent);
        self.open.is_empty() && matches!(self.state, State::Number(number) if complete(number))
    }

    /// Reads on; answers how many bytes belong to the value, and if it ended, how.
    pub(super) fn read(&mut self, bytes: &[u8]) -> (usize, Option<Result<(), String>>) {
        for (at, byte) in bytes.iter().enumerate() {
            match self.step(*byte) {
                Ok(Step::More) => {}
                Ok(Step::Last) => return (at + 1, Some(Ok(()))),
                Ok(Step::Before) => return (at, Some(Ok(()))),
                Err(why) => return (at + 1, Some(Err(why))),
            }
        }
        (bytes.len(), None)
    }

    fn step(&mut self, byte: u8) -> Result<Step, String> {
        match self.state {
            State::String(role) => self.in_string(byte, role),
            State::Escape(role) => self.in_escape(byte, role),
            State::Digits(role, left) => self.in_digits(byte, role, left),
            State::Word(word, at) => self.in_word(byte, word, at),
            State::Number(number) => self.in_number(byte, number),
            _ if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') => Ok(Step::More),
            state => {
                self.begun = true;
                self.between(byte, state)
            }
        }
    }

    fn go(&mut self, state: State) -> Result<Step, String> {
        self.state = state;
        Ok(Step::More)
    }

    fn between(&mut self, byte: u8, state: State) -> Result<Step, String> {
        let wrong = |place: &str| Err(format!("invalid character {} {place}", quoted(byte)));
        match (state, byte) {
            (State::FirstElement, b']') | (State::FirstKey, b'}') => self.close(),
            (State::FirstKey | State::Key, b'"') => self.go(State::String(Role::Key)),
            (State::FirstKey | State::Key, _) => wrong("looking for beginning of object key string"),
            (State::Colon, b':') => self.go(State::Value),
            (State::Colon, _) => wrong("after object key"),
            (State::Behind, _) => match (self.open.last(), byte) {
                (Some(b'{'), b',') => self.go(State::Key),
                (Some(b'['), b',') => self.go(State::Value),
                (Some(b'{'), b'}') | (Some(b'['), b']') => self.close(),
                (Some(b'{'), _) => wrong("after object key:value pair"),
                _ => wrong("after array element"),
            },
            (_, b'{' | b'[') => {
                self.open.push(byte);
                self.go(if byte == b'{' { State::FirstKey } else { State::FirstElement })
            }
            (_, b'"') => self.go(State::String(Role::Value)),
            (_, b't') => self.go(State::Word("true", 1)),
            (_, b'f') => self.go(State::Word("false", 1)),
            (_, b'n') => self.go(State::Word("null", 1)),
            (_, b'-') => self.go(State::Number(Number::Minus)),
            (_, b'0') => self.go(State::Number(Number::Zero)),
            (_, b'1'..=b'9') => self.go(State::Number(Number::Digits)),
            _ => wrong("looking for beginning of value"),
        }
    }

    fn close(&mut self) -> Result<Step, String> {
        self.open.pop();
        self.value_ended()
    }

    fn value_ended(&mut self) -> Result<Step, String> {
        self.state = State::Behind;
        Ok(if self.open.is_empty() { Step::Last } else { Step::More })
    }

    fn in_string(&mut self, byte: u8, role: Role) -> Result<Step, String> {
        match byte {
            b'"' if role == Role::Key => self.go(State::Colon),
            b'"' => self.value_ended(),
            b'\\' => self.go(State::Escape(role)),
            0..0x20 => Err(format!("invalid character {} in string literal", quoted(byte))),
            _ => Ok(Step::More),
        }
    }

    fn in_escape(&mut self, byte: u8, role: Role) -> Result<Step, String> {
        match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.go(State::String(role)),
            b'u' => self.go(State::Digits(role, 4)),
            _ => Err(format!("invalid character {} in string escape code", quoted(byte))),
        }
    }

    fn in_digits(&mut self, byte: u8, role: Role, left: u8) -> Result<Step, String> {
        match (byte.is_ascii_hexdigit(), left) {
            (false, _) => Err(format!("invalid character {} in \\u hexadecimal character escape", quoted(byte))),
            (true, 1) => self.go(State::String(role)),
            (true, left) => self.go(State::Digits(role, left - 1)),
        }
    }

    fn in_word(&mut self, byte: u8, word: &'static str, at: usize) -> Result<Step, String> {
        match word.as_bytes()[at] {
            wanted if wanted != byte => {
                Err(format!("invalid character {} in literal {word} (expecting {})", quoted(byte), quoted(wanted)))
            }
            _ if at + 1 == word.len() => self.value_ended(),
            _ => self.go(State::Word(word, at + 1)),
        }
    }

    fn in_number(&mut self, byte: u8, number: Number) -> Result<Step, String> {
        let next = match (number, byte) {
            (Number::Minus, b'0') => Number::Zero,
            (Number::Minus | Number::Digits, b'0'..=b'9') => Number::Digits,
            (Number::Zero | Number::Digits, b'.') => Number::Point,
            (Number::Point | Number::Fraction, b'0'..=b'9') => Number::Fraction,
            (Number::Zero | Number::Digits | Number::Fraction, b'e' | b'E') => Number::E,
            (Number::E, b'+' | b'-') => Number::Sign,
            (Number::E | Number::Sign | Number::Exponent, b'0'..=b'9') => Number::Exponent,
            (Number::Minus, _) => return Err(format!("invalid character {} in numeric literal", quoted(byte))),
            (Number::Point, _) => {
                return Err(format!("invalid character {} after decimal point in numeric literal", quoted(byte)));
            }
            (Number::E | Number::Sign, _) => {
                return Err(format!("invalid character {} in exponent of numeric literal", quoted(byte)));
            }
            _ if self.value_ended()? == Step::Last => return Ok(Step::Before),
            _ => return self.step(byte),
        };
        self.go(State::Number(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of a text, or what is wrong with it.
    fn read(text: &str) -> Result<&str, String> {
        let mut scanner = Scanner::new();
        match scanner.read(text.as_bytes()) {
            (_, Some(Err(why))) => Err(why),
            (read, Some(Ok(()))) => Ok(&text[..read]),
            (_, None) if scanner.may_end() => Ok(text),
            (_, None) => Err("cut".into()),
        }
    }

    #[test]
    fn values_end_where_they_end() {
        for (text, want) in [
            ("{}{}", "{}"),
            (
                " {\"a\": [1, -2.5e+3, 0, {\"b\\\"\\u00e9\": null}], \"c\": true} x",
                " {\"a\": [1, -2.5e+3, 0, {\"b\\\"\\u00e9\": null}], \"c\": true}",
            ),
            ("12 ", "12"),
            ("-0.5", "-0.5"),
            ("[]1", "[]"),
            ("\"a\"b", "\"a\""),
            ("false]", "false"),
        ] {
            assert_eq!(read(text), Ok(want));
        }
        for text in ["", "{", "[1", "\"a", "tru", "-", "1.", "{\"a\"", "{\"a\":1"] {
            assert_eq!(read(text), Err("cut".into()), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_in_gos_words() {
        for (text, want) in [
            ("{a", "'a' looking for beginning of object key string"),
            ("{\"a\":1,}", "'}' looking for beginning of object key string"),
            ("{\"a\" 1", "'1' after object key"),
            ("{\"a\":1 \"b\"", "'\"' after object key:value pair"),
            ("[1 2", "'2' after array element"),
            ("[1,]", "']' looking for beginning of value"),
            ("{\"a\":}", "'}' looking for beginning of value"),
            ("nil", "'i' in literal null (expecting 'u')"),
            ("--", "'-' in numeric literal"),
            ("1.x", "'x' after decimal point in numeric literal"),
            ("1e+x", "'x' in exponent of numeric literal"),
            ("\"\\u12g", "'g' in \\u hexadecimal character escape"),
            ("\"\u{1}", "'\\x01' in string literal"),
        ] {
            assert_eq!(read(text), Err(format!("invalid character {want}")), "{text}");
        }
        assert_eq!(read("\"\\q"), Err("invalid character 'q' in string escape code".into()));
        assert_eq!(read("{\"a\":01"), Err("invalid character '1' after object key:value pair".into()));
    }
}
