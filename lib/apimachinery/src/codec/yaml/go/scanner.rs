//! Tokens: indicators, the indentation that opens and closes blocks, and keys, which are known to be some only when
//! their colon comes.

use super::input::{Input, width};
use super::{Fault, MAX_DEPTH};
use std::collections::{HashMap, VecDeque};

/// Most characters between the begin of a key and its colon.
const MAX_KEY: usize = 1024;

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    StreamStart,
    StreamEnd,
    /// `%YAML`, and whether it is a version that is read.
    Version(bool),
    /// `%TAG` with its handle.
    TagDirective(Vec<u8>),
    DocumentStart,
    DocumentEnd,
    BlockSequence,
    BlockMapping,
    BlockEnd,
    FlowSequence,
    FlowSequenceEnd,
    FlowMapping,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(String),
    Anchor(String),
    /// A tag with its handle, if it has one.
    Tag(Option<Vec<u8>>),
    Scalar,
}

/// A token and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: usize,
    pub(super) offset: usize,
}

/// Where the scanner stands.
#[derive(Clone, Copy, Debug)]
struct Mark {
    line: usize,
    column: isize,
    /// In characters.
    index: usize,
    offset: usize,
}

/// A place where a key may have begun.
#[derive(Clone, Copy, Debug)]
struct SimpleKey {
    possible: bool,
    /// Nothing but a key can stand there.
    required: bool,
    token: usize,
    mark: Mark,
}

pub(super) struct Scanner<'a> {
    pub(super) input: Input<'a>,
    pub(super) line: usize,
    pub(super) column: isize,
    index: usize,
    started: bool,
    pub(super) flow_level: usize,
    pub(super) indent: isize,
    indents: Vec<isize>,
    pub(super) key_allowed: bool,
    keys: Vec<SimpleKey>,
    /// Which of the keys begins with a token.
    key_of_token: HashMap<usize, usize>,
    tokens: VecDeque<Token>,
    taken: usize,
    available: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let (input, tokens) = (Input::new(bytes), VecDeque::new());
        let (indents, keys, key_of_token) = (Vec::new(), Vec::new(), HashMap::new());
        Self {
            input,
            line: 0,
            column: 0,
            index: 0,
            started: false,
            flow_level: 0,
            indent: -1,
            indents,
            key_allowed: false,
            keys,
            key_of_token,
            tokens,
            taken: 0,
            available: false,
        }
    }

    /// The next token, which stays.
    pub(super) fn peek(&mut self) -> Result<Token, Fault> {
        if !self.available {
            self.fetch_until_known()?;
        }
        let token = self.tokens.front().cloned();
        Ok(token.unwrap_or(Token { kind: Kind::StreamEnd, line: self.line, offset: self.input.at() }))
    }

    /// Takes the token that was looked at.
    pub(super) fn take(&mut self) {
        // Behind the end there is only the end.
        if self.tokens.front().is_some_and(|token| token.kind != Kind::StreamEnd) {
            self.tokens.pop_front();
            self.taken += 1;
            self.available = false;
        }
    }

    pub(super) fn fault<T>(&self, problem: &'static str) -> Result<T, Fault> {
        Err(Fault::Token { line: self.line, problem })
    }

    /// Fetches tokens until the first cannot turn out to begin a key.
    fn fetch_until_known(&mut self) -> Result<(), Fault> {
        loop {
            if !self.tokens.is_empty() {
                match self.key_of_token.get(&self.taken).copied() {
                    Some(key) if self.is_valid(key)? => {}
                    _ => break,
                }
            }
            self.fetch()?;
        }
        self.available = true;
        Ok(())
    }

    fn fetch(&mut self) -> Result<(), Fault> {
        self.input.ensure(1)?;
        if !self.started {
            self.started = true;
            self.key_allowed = true;
            self.keys.push(SimpleKey { possible: false, required: false, token: 0, mark: self.mark() });
            self.push(Kind::StreamStart, self.mark());
            return Ok(());
        }
        self.skip_to_next_token()?;
        self.unroll(self.column);
        self.input.ensure(4)?;
        let (first, second, at_start) = (self.input.byte(0), self.input.byte(1), self.column == 0);
        let in_flow = self.flow_level > 0;
        match first {
            0 => self.fetch_end(),
            b'%' if at_start => self.fetch_directive(),
            b'-' if at_start && self.at_document_indicator() => self.fetch_document_indicator(Kind::DocumentStart),
            b'.' if at_start && self.at_document_indicator() => self.fetch_document_indicator(Kind::DocumentEnd),
            b'[' => self.fetch_flow_start(Kind::FlowSequence),
            b'{' => self.fetch_flow_start(Kind::FlowMapping),
            b']' => self.fetch_flow_end(Kind::FlowSequenceEnd),
            b'}' => self.fetch_flow_end(Kind::FlowMappingEnd),
            b',' => self.fetch_flow_entry(),
            b'-' if self.blank_or_end(1) => self.fetch_block_entry(),
            b'?' if in_flow || self.blank_or_end(1) => self.fetch_key(),
            b':' if in_flow || self.blank_or_end(1) => self.fetch_value(),
            b'*' | b'&' => self.fetch_after_key(Self::scan_anchor),
            b'!' => self.fetch_after_key(Self::scan_tag),
            b'|' | b'>' if !in_flow => self.fetch_block_scalar(),
            b'\'' | b'"' => self.fetch_after_key(Self::scan_quoted),
            b'-' if !matches!(second, b' ' | b'\t') => self.fetch_after_key(Self::scan_plain),
            b'?' | b':' if !in_flow => self.fetch_after_key(Self::scan_plain),
            b' ' | b'\t' | b'-' | b'?' | b':' | b'#' | b'|' | b'>' | b'%' | b'@' | b'`' => {
                self.fault("found character that cannot start any token")
            }
            _ if self.is_break(0) => self.fault("found character that cannot start any token"),
            _ => self.fetch_after_key(Self::scan_plain),
        }
    }

    fn mark(&self) -> Mark {
        Mark { line: self.line, column: self.column, index: self.index, offset: self.input.at() }
    }

    fn push(&mut self, kind: Kind, mark: Mark) {
        self.tokens.push_back(Token { kind, line: mark.line, offset: mark.offset });
    }

    /// Puts a token in front of one that waits.
    fn insert(&mut self, number: usize, token: Token) {
        let at = number.saturating_sub(self.taken).min(self.tokens.len());
        self.tokens.insert(at, token);
    }

    /// Whether a key can still have begun there.
    fn is_valid(&mut self, key: usize) -> Result<bool, Fault> {
        let Some(found) = self.keys.get(key).filter(|key| key.possible).copied() else { return Ok(false) };
        if found.mark.line >= self.line && found.mark.index + MAX_KEY >= self.index {
            return Ok(true);
        }
        if found.required {
            return self.fault("could not find expected ':'");
        }
        self.keys[key].possible = false;
        Ok(false)
    }

    fn save_key(&mut self) -> Result<(), Fault> {
        if !self.key_allowed {
            return Ok(());
        }
        self.remove_key()?;
        let required = self.flow_level == 0 && self.indent == self.column;
        let token = self.taken + self.tokens.len();
        let saved = SimpleKey { possible: true, required, token, mark: self.mark() };
        let last = self.keys.len() - 1;
        self.keys[last] = saved;
        self.key_of_token.insert(token, last);
        Ok(())
    }

    fn remove_key(&mut self) -> Result<(), Fault> {
        let Some(key) = self.keys.last_mut().filter(|key| key.possible) else { return Ok(()) };
        if key.required {
            return self.fault("could not find expected ':'");
        }
        key.possible = false;
        let token = key.token;
        self.key_of_token.remove(&token);
        Ok(())
    }

    /// Opens a block if it is indented deeper; where a key stands that was seen before, it begins there.
    fn roll(&mut self, kind: Kind, mark: Mark, token: Option<usize>) -> Result<(), Fault> {
        if self.flow_level > 0 || self.indent >= mark.column {
            return Ok(());
        }
        self.indents.push(self.indent);
        self.indent = mark.column;
        if self.indents.len() > MAX_DEPTH {
            return Err(Fault::Depth { line: self.line });
        }
        let token_of = Token { kind, line: mark.line, offset: mark.offset };
        match token {
            Some(number) => self.insert(number, token_of),
            None => self.tokens.push_back(token_of),
        }
        Ok(())
    }

    /// Closes the blocks that are indented deeper.
    fn unroll(&mut self, column: isize) {
        while self.flow_level == 0 && self.indent > column {
            self.push(Kind::BlockEnd, self.mark());
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    fn fetch_end(&mut self) -> Result<(), Fault> {
        if self.column != 0 {
            (self.column, self.line) = (0, self.line + 1);
        }
        self.unroll(-1);
        self.remove_key()?;
        self.key_allowed = false;
        self.push(Kind::StreamEnd, self.mark());
        Ok(())
    }

    fn fetch_directive(&mut self) -> Result<(), Fault> {
        self.unroll(-1);
        self.remove_key()?;
        self.key_allowed = false;
        let mark = self.mark();
        let kind = self.scan_directive()?;
        self.push(kind, mark);
        Ok(())
    }

    fn fetch_document_indicator(&mut self, kind: Kind) -> Result<(), Fault> {
        self.unroll(-1);
        self.remove_key()?;
        self.key_allowed = false;
        self.indicator(kind, 3);
        Ok(())
    }

    fn indicator(&mut self, kind: Kind, length: usize) {
        self.push(kind, self.mark());
        for _ in 0..length {
            self.skip();
        }
    }

    fn fetch_flow_start(&mut self, kind: Kind) -> Result<(), Fault> {
        self.save_key()?;
        let token = self.taken + self.tokens.len();
        self.keys.push(SimpleKey { possible: false, required: false, token, mark: self.mark() });
        self.flow_level += 1;
        if self.flow_level > MAX_DEPTH {
            return Err(Fault::Depth { line: self.line });
        }
        self.key_allowed = true;
        self.indicator(kind, 1);
        Ok(())
    }

    fn fetch_flow_end(&mut self, kind: Kind) -> Result<(), Fault> {
        self.remove_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            if let Some(key) = self.keys.pop() {
                self.key_of_token.remove(&key.token);
            }
        }
        self.key_allowed = false;
        self.indicator(kind, 1);
        Ok(())
    }

    fn fetch_flow_entry(&mut self) -> Result<(), Fault> {
        self.remove_key()?;
        self.key_allowed = true;
        self.indicator(Kind::FlowEntry, 1);
        Ok(())
    }

    fn fetch_block_entry(&mut self) -> Result<(), Fault> {
        if self.flow_level == 0 {
            if !self.key_allowed {
                return self.fault("block sequence entries are not allowed in this context");
            }
            self.roll(Kind::BlockSequence, self.mark(), None)?;
        }
        self.remove_key()?;
        self.key_allowed = true;
        self.indicator(Kind::BlockEntry, 1);
        Ok(())
    }

    fn fetch_key(&mut self) -> Result<(), Fault> {
        if self.flow_level == 0 {
            if !self.key_allowed {
                return self.fault("mapping keys are not allowed in this context");
            }
            self.roll(Kind::BlockMapping, self.mark(), None)?;
        }
        self.remove_key()?;
        self.key_allowed = self.flow_level == 0;
        self.indicator(Kind::Key, 1);
        Ok(())
    }

    fn fetch_value(&mut self) -> Result<(), Fault> {
        let last = self.keys.len() - 1;
        if self.is_valid(last)? {
            let SimpleKey { token, mark, .. } = self.keys[last];
            let key = Token { kind: Kind::Key, line: mark.line, offset: mark.offset };
            self.insert(token, key);
            self.roll(Kind::BlockMapping, mark, Some(token))?;
            self.keys[last].possible = false;
            self.key_of_token.remove(&token);
            self.key_allowed = false;
        } else {
            if self.flow_level == 0 {
                if !self.key_allowed {
                    return self.fault("mapping values are not allowed in this context");
                }
                self.roll(Kind::BlockMapping, self.mark(), None)?;
            }
            self.key_allowed = self.flow_level == 0;
        }
        self.indicator(Kind::Value, 1);
        Ok(())
    }

    /// What may be a key.
    fn fetch_after_key(&mut self, scan: fn(&mut Self) -> Result<Kind, Fault>) -> Result<(), Fault> {
        self.save_key()?;
        self.key_allowed = false;
        let mark = self.mark();
        let kind = scan(self)?;
        self.push(kind, mark);
        Ok(())
    }

    fn fetch_block_scalar(&mut self) -> Result<(), Fault> {
        self.remove_key()?;
        self.key_allowed = true;
        let mark = self.mark();
        self.scan_block_scalar()?;
        self.push(Kind::Scalar, mark);
        Ok(())
    }

    /// Skips white space, comments and line breaks.
    fn skip_to_next_token(&mut self) -> Result<(), Fault> {
        loop {
            self.input.ensure(4)?;
            let tabs = self.flow_level > 0 || !self.key_allowed;
            while self.input.byte(0) == b' ' || tabs && self.input.byte(0) == b'\t' {
                self.skip();
                self.input.ensure(1)?;
            }
            self.skip_comment()?;
            if !self.is_break(0) {
                return Ok(());
            }
            self.skip_line();
            if self.flow_level == 0 {
                self.key_allowed = true;
            }
        }
    }

    pub(super) fn skip_comment(&mut self) -> Result<(), Fault> {
        if self.input.byte(0) == b'#' {
            while !self.break_or_end(0) {
                self.skip();
                self.input.ensure(4)?;
            }
        }
        Ok(())
    }

    pub(super) fn skip_blanks(&mut self) -> Result<(), Fault> {
        self.input.ensure(4)?;
        while self.is_blank(0) {
            self.skip();
            self.input.ensure(4)?;
        }
        Ok(())
    }

    /// Goes past a character.
    pub(super) fn skip(&mut self) {
        self.input.skip(width(self.input.byte(0)).unwrap_or(1));
        self.index += 1;
        self.column += 1;
    }

    /// Goes past a line break.
    pub(super) fn skip_line(&mut self) {
        let bytes = match self.input.byte(0) {
            b'\r' if self.input.byte(1) == b'\n' => 2,
            first => width(first).unwrap_or(1),
        };
        self.input.skip(bytes);
        self.index += 1;
        (self.column, self.line) = (0, self.line + 1);
    }

    /// Whether a line begins with `---` or `...` and nothing that belongs to it.
    pub(super) fn at_document_indicator(&self) -> bool {
        let indicator = self.input.starts_with(b"---") || self.input.starts_with(b"...");
        self.column == 0 && indicator && self.blank_or_end(3)
    }

    pub(super) fn is_blank(&self, ahead: usize) -> bool {
        matches!(self.input.byte(ahead), b' ' | b'\t')
    }

    /// Line breaks are those of YAML 1.1.
    pub(super) fn is_break(&self, ahead: usize) -> bool {
        match self.input.byte(ahead) {
            b'\r' | b'\n' => true,
            0xc2 => self.input.byte(ahead + 1) == 0x85,
            0xe2 => self.input.byte(ahead + 1) == 0x80 && matches!(self.input.byte(ahead + 2), 0xa8 | 0xa9),
            _ => false,
        }
    }

    pub(super) fn break_or_end(&self, ahead: usize) -> bool {
        self.input.byte(ahead) == 0 || self.is_break(ahead)
    }

    pub(super) fn blank_or_end(&self, ahead: usize) -> bool {
        self.is_blank(ahead) || self.break_or_end(ahead)
    }
}
