//! The words of a label selector.

/// A word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Identifier,
    Not,
    In,
    NotIn,
    Equals,
    NotEquals,
    Greater,
    Less,
    Open,
    Close,
    Comma,
    End,
    Nonsense,
}

/// Reads words one at a time.
pub(super) struct Lexer<'a> {
    rest: &'a str,
}

const SYMBOLS: &str = "=!(),><";

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// The next word and its text.
    pub(super) fn next(&mut self) -> (Token, &'a str) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        match self.rest.chars().next() {
            // Upstream's lexer takes this for the end.
            None | Some('\0') => (Token::End, ""),
            Some(first) if SYMBOLS.contains(first) => self.symbol(),
            Some(_) => self.word(),
        }
    }

    fn symbol(&mut self) -> (Token, &'a str) {
        let (token, length) = match self.rest.as_bytes() {
            [b'=', b'=', ..] => (Token::Equals, 2),
            [b'!', b'=', ..] => (Token::NotEquals, 2),
            [b'=', ..] => (Token::Equals, 1),
            [b'!', ..] => (Token::Not, 1),
            [b'(', ..] => (Token::Open, 1),
            [b')', ..] => (Token::Close, 1),
            [b',', ..] => (Token::Comma, 1),
            [b'>', ..] => (Token::Greater, 1),
            [b'<', ..] => (Token::Less, 1),
            _ => (Token::Nonsense, 0),
        };
        (token, self.take(length))
    }

    fn word(&mut self) -> (Token, &'a str) {
        let is_end = |c: char| SYMBOLS.contains(c) || matches!(c, ' ' | '\t' | '\r' | '\n');
        let length = self.rest.find(is_end).unwrap_or(self.rest.len());
        match self.take(length) {
            "in" => (Token::In, "in"),
            "notin" => (Token::NotIn, "notin"),
            // Upstream spells the comparisons as words, too.
            "gt" => (Token::Greater, "gt"),
            "lt" => (Token::Less, "lt"),
            word => (Token::Identifier, word),
        }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        word
    }
}
