//! Text to tokens.
//!
//! Upstream: `cel-go/parser/gen/CEL.g4`, `cel-go/parser/unescape.go`.

use crate::Issue;
use crate::error::Issues;
use std::sync::Arc;

/// A token and the byte offset of its start.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spanned {
    pub(crate) at: usize,
    pub(crate) end: usize,
    pub(crate) token: Token,
}

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Ident(Arc<str>),
    /// A name between backticks, which no expression of Kubernetes has.
    Escaped,
    /// Digits as written, to be read together with a sign.
    Int(Arc<str>),
    Uint(u64),
    Double(f64),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
    Sign(&'static str),
    End,
}

/// What is said of what is no token.
const NO_TOKEN: &str = "Syntax error: token recognition error at: ";

/// Operators and brackets, longer ones first.
const SIGNS: &[&str] = &[
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", "(", ")", "[", "]", "{", "}",
    ",", ".",
];

/// All tokens of a text, with [`Token::End`] at its end. What is no token is passed over and goes to
/// `issues`; what is one with a wrong value ends it.
pub(crate) fn tokens(source: &str, issues: &mut Issues) -> Result<Vec<Spanned>, Issue> {
    let mut lexer = Lexer { source, at: 0 };
    let mut all = Vec::new();
    loop {
        lexer.skip_blank();
        let at = lexer.at;
        let token = match lexer.next() {
            Ok(token) => token,
            Err(Issue { at, message }) if message.starts_with(NO_TOKEN) => {
                issues.push(at, message);
                lexer.pass_over(at);
                continue;
            }
            Err(issue) => return Err(issue),
        };
        let ended = token == Token::End;
        all.push(Spanned { at, end: lexer.at, token });
        if ended {
            return Ok(all);
        }
    }
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn skip_blank(&mut self) {
        loop {
            let blank = self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']).len();
            self.at += blank;
            if !self.rest().starts_with("//") {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    fn next(&mut self) -> Result<Token, Issue> {
        let Some(first) = self.rest().chars().next() else { return Ok(Token::End) };
        if let Some(prefix) = string_prefix(self.rest()) {
            return self.string(prefix);
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let word = self.take(|c| c.is_ascii_alphanumeric() || c == '_');
            return Ok(Token::Ident(word.into()));
        }
        let second_is_digit = self.rest().chars().nth(1).is_some_and(|second| second.is_ascii_digit());
        // Whatever stands before the dot: this is no selection.
        if first.is_ascii_digit() || first == '.' && second_is_digit {
            return self.number();
        }
        if first == '`' {
            return self.escaped();
        }
        match SIGNS.iter().find(|sign| self.rest().starts_with(**sign)) {
            Some(sign) => {
                self.at += sign.len();
                Ok(Token::Sign(sign))
            }
            None => {
                let text = &self.rest()[..self.unknown()];
                self.fail(self.at, format!("{NO_TOKEN}'{text}'"))
            }
        }
    }

    /// The length of what is no token: half a sign takes what follows with it.
    fn unknown(&self) -> usize {
        let mut chars = self.rest().chars();
        let first = chars.next();
        let second = chars.next().filter(|_| matches!(first, Some('=' | '&' | '|')));
        first.map_or(0, char::len_utf8) + second.map_or(0, char::len_utf8)
    }

    /// Goes on after what is no token and started there.
    fn pass_over(&mut self, start: usize) {
        if self.at == start {
            self.at += self.unknown();
        }
    }

    /// A name between backticks.
    fn escaped(&mut self) -> Result<Token, Issue> {
        let start = self.at;
        self.at += 1;
        let name = self.take(|c| c.is_ascii_alphanumeric() || "_.-/ ".contains(c)).len();
        if name > 0 && self.rest().starts_with('`') {
            self.at += 1;
            return Ok(Token::Escaped);
        }
        self.unfinished(start, 0)
    }

    /// A token that does not go on as it should `ahead` bytes from here: what is there belongs to it, too.
    fn unfinished<T>(&mut self, start: usize, ahead: usize) -> Result<T, Issue> {
        self.at += ahead;
        self.at += self.rest().chars().next().map_or(0, char::len_utf8);
        let text = &self.source[start..self.at];
        self.fail(start, format!("{NO_TOKEN}'{text}'"))
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> &str {
        let start = self.at;
        self.at += self.rest().find(|c| !belongs(c)).unwrap_or(self.rest().len());
        &self.source[start..self.at]
    }

    fn number(&mut self) -> Result<Token, Issue> {
        let start = self.at;
        if self.rest().starts_with("0x") || self.rest().starts_with("0X") {
            let has_digits = self.rest()[2..].starts_with(|c: char| c.is_ascii_hexdigit());
            self.at += if has_digits { 2 } else { 1 };
            if has_digits {
                self.take(|c| c.is_ascii_hexdigit());
            }
            return self.whole(start);
        }
        self.take(|c| c.is_ascii_digit());
        let mut is_double = false;
        if self.rest().starts_with('.') && self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) {
            self.at += 1;
            self.take(|c| c.is_ascii_digit());
            is_double = true;
        }
        if let Some(length) = exponent(self.rest()) {
            self.at += length;
            is_double = true;
        }
        if !is_double {
            return self.whole(start);
        }
        let text = &self.source[start..self.at];
        match text.parse::<f64>().ok().filter(|number| number.is_finite()) {
            Some(number) => Ok(Token::Double(number)),
            None => self.fail(start, "invalid double literal".into()),
        }
    }

    fn whole(&mut self, start: usize) -> Result<Token, Issue> {
        let text: Arc<str> = self.source[start..self.at].into();
        if !self.rest().starts_with(['u', 'U']) {
            return Ok(Token::Int(text));
        }
        self.at += 1;
        let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => text.parse(),
        };
        match parsed {
            Ok(number) => Ok(Token::Uint(number)),
            Err(_) => self.fail(start, "invalid uint literal".into()),
        }
    }

    fn string(&mut self, prefix: Prefix) -> Result<Token, Issue> {
        let start = self.at;
        self.at += prefix.length;
        let body = self.at;
        loop {
            let rest = self.rest();
            if rest.starts_with(prefix.quote) {
                break;
            }
            let Some(c) = rest.chars().next().filter(|c| prefix.quote.len() == 3 || *c != '\n') else {
                if let Some(token) = self.shorter(start, &prefix) {
                    return Ok(token);
                }
                let text = &self.source[start..self.at];
                return self.fail(start, format!("{NO_TOKEN}'{text}'"));
            };
            self.at += c.len_utf8();
            if c == '\\' && !prefix.raw {
                match escape_length(self.rest()) {
                    Ok(length) => self.at += length,
                    Err(ahead) => match self.shorter(start, &prefix) {
                        Some(token) => return Ok(token),
                        None => return self.unfinished(start, ahead),
                    },
                }
            }
        }
        let text = &self.source[body..self.at];
        let bytes = if prefix.raw { Some(text.as_bytes().to_vec()) } else { unescape(text, prefix.bytes) };
        self.at += prefix.quote.len();
        let Some(bytes) = bytes else { return self.fail(start, "Syntax error: invalid escape in a string".into()) };
        if prefix.bytes {
            return Ok(Token::Bytes(bytes.into()));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Token::String(text.into())),
            Err(_) => self.fail(start, "Syntax error: invalid escape in a string".into()),
        }
    }

    /// What there is where a text begins that does not end: its letters are a name, and two of three quotes an empty
    /// text.
    fn shorter(&mut self, start: usize, prefix: &Prefix) -> Option<Token> {
        let letters = prefix.length - prefix.quote.len();
        if letters > 0 {
            self.at = start + letters;
            return Some(Token::Ident(self.source[start..self.at].into()));
        }
        (prefix.quote.len() == 3).then(|| {
            self.at = start + 2;
            Token::String("".into())
        })
    }

    fn fail<T>(&self, at: usize, message: String) -> Result<T, Issue> {
        Err(Issue { at, message })
    }
}

/// The length of `e+12` at the beginning of a text.
fn exponent(text: &str) -> Option<usize> {
    let digits = text.strip_prefix(['e', 'E'])?.trim_start_matches(['+', '-']);
    let count = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    (count > 0).then(|| text.len() - digits.len() + count)
}

/// How a string begins.
struct Prefix {
    raw: bool,
    bytes: bool,
    quote: &'static str,
    length: usize,
}

fn string_prefix(text: &str) -> Option<Prefix> {
    let letters = text.find(|c: char| !"rRbB".contains(c)).filter(|n| *n <= 2)?;
    let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| text[letters..].starts_with(quote))?;
    let has = |letter: char| text[..letters].to_ascii_lowercase().contains(letter);
    if letters == 2 && !(has('r') && has('b')) {
        return None;
    }
    Some(Prefix { raw: has('r'), bytes: has('b'), quote, length: letters + quote.len() })
}

/// How long an escape is, of which `text` begins behind the backslash; where it is malformed if it is.
fn escape_length(text: &str) -> Result<usize, usize> {
    let digits = |count: usize, fits: fn(&char) -> bool| {
        let there = text[1..].chars().take(count).take_while(fits).count();
        if there == count { Ok(1 + count) } else { Err(1 + there) }
    };
    match text.chars().next() {
        Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '"' | '\'' | '`' | '\\' | '?') => Ok(1),
        Some('x' | 'X') => digits(2, char::is_ascii_hexdigit),
        Some('u') => digits(4, char::is_ascii_hexdigit),
        Some('U') => digits(8, char::is_ascii_hexdigit),
        Some('0'..='3') => digits(2, |c| matches!(c, '0'..='7')),
        _ => Err(0),
    }
}

/// Replaces escapes; `None` if one is malformed.
fn unescape(text: &str, as_bytes: bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = rest[at + 1..].chars().next()?;
        rest = &rest[at + 1 + escape.len_utf8()..];
        let simple = match escape {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 11,
            '\\' | '?' | '"' | '\'' | '`' => escape as u8,
            _ => {
                let (code, used) = numeric(escape, rest)?;
                rest = &rest[used..];
                push_code(&mut out, code, as_bytes && matches!(escape, 'x' | 'X' | '0'..='3'))?;
                continue;
            }
        };
        out.push(simple);
    }
    out.extend_from_slice(rest.as_bytes());
    Some(out)
}

/// The code of a numeric escape, and how much of `rest` belongs to it.
fn numeric(escape: char, rest: &str) -> Option<(u32, usize)> {
    let digits = |count: usize| rest.get(..count);
    match escape {
        'x' | 'X' => Some((u32::from_str_radix(digits(2)?, 16).ok()?, 2)),
        'u' => Some((u32::from_str_radix(digits(4)?, 16).ok()?, 4)),
        'U' => Some((u32::from_str_radix(digits(8)?, 16).ok()?, 8)),
        '0'..='3' => {
            let low = u32::from_str_radix(digits(2)?, 8).ok()?;
            Some((escape.to_digit(8)? * 64 + low, 2))
        }
        _ => None,
    }
}

fn push_code(out: &mut Vec<u8>, code: u32, as_byte: bool) -> Option<()> {
    if as_byte {
        out.push(u8::try_from(code).ok()?);
    } else {
        let mut buffer = [0; 4];
        out.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut buffer).as_bytes());
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lex(text: &str) -> Vec<Token> {
        let mut issues = Issues::default();
        let mut all: Vec<_> = tokens(text, &mut issues).expect("tokens").into_iter().map(|t| t.token).collect();
        assert!(issues.is_empty(), "{text}: {issues:?}");
        assert_eq!(all.pop(), Some(Token::End));
        all
    }

    fn first_issue(text: &str) -> (usize, String) {
        let mut issues = Issues::default();
        let found = tokens(text, &mut issues).err().or_else(|| issues.first().cloned()).expect(text);
        (found.at, found.message)
    }

    #[test]
    fn literals() {
        for (text, want) in [
            ("12", Token::Int("12".into())),
            ("0x1F", Token::Int("0x1F".into())),
            ("7u", Token::Uint(7)),
            ("1.5e3", Token::Double(1500.0)),
            ("2e-1", Token::Double(0.2)),
            (r#"'a\n\u00e9\x41\101'"#, Token::String("a\néAA".into())),
            (r#"r'\d'"#, Token::String(r"\d".into())),
            ("\"\"\"a\nb\"\"\"", Token::String("a\nb".into())),
            (r#"b'\xff'"#, Token::Bytes(vec![255].into())),
            (".5", Token::Double(0.5)),
            ("`a-b`", Token::Escaped),
            ("rb", Token::Ident("rb".into())),
        ] {
            assert_eq!(lex(text), [want], "{text}");
        }
    }

    #[test]
    fn letters_of_other_scripts_are_no_tokens() {
        for (text, first) in [("ό", 'ό'), ("a + é", 'é'), ("日本", '日'), ("🦀", '🦀')] {
            assert_eq!(first_issue(text).1, format!("Syntax error: token recognition error at: '{first}'"));
        }
        assert_eq!(lex("'é'"), [Token::String("é".into())]);
    }

    #[test]
    fn signs_and_comments() {
        assert_eq!(lex("a.b // all\n"), [Token::Ident("a".into()), Token::Sign("."), Token::Ident("b".into())]);
        assert_eq!(lex("<=").len() + lex("1 .5").len(), 3);
    }

    #[test]
    fn what_is_no_token_ends_where_it_stops_to_be_one() {
        for (text, at, no_token) in
            [(r"'a\q'", 0, r"'a\q"), (r"'\x'", 0, r"'\x'"), ("b'a", 1, "'a"), ("'''a", 2, "'a"), ("a.`b", 2, "`b")]
        {
            let want = (at, format!("Syntax error: token recognition error at: '{no_token}'"));
            assert_eq!(first_issue(text), want, "{text}");
        }
        assert_eq!(lex("0x"), [Token::Int("0".into()), Token::Ident("x".into())]);
    }

    #[test]
    fn nonsense_is_pointed_at() {
        for (text, at) in [("a @ b", 2), ("'open", 0), (r"'\q'", 0), ("99999999999999999999u", 0), ("'\\ud800'", 0)] {
            assert_eq!(first_issue(text).0, at, "{text}");
        }
    }
}
