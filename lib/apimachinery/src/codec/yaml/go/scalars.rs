//! Tokens that are longer than an indicator: scalars, anchors, tags and directives.

use super::Fault;
use super::input::width;
use super::scanner::{Kind, Scanner};

/// Most digits of a number in `%YAML`.
const MAX_DIGITS: usize = 2;

impl Scanner<'_> {
    fn is_word(&self, ahead: usize) -> bool {
        matches!(self.input.byte(ahead), b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'-')
    }

    /// Letters, digits, dashes and underscores.
    fn word(&mut self) -> Result<Vec<u8>, Fault> {
        let mut word = Vec::new();
        self.input.ensure(4)?;
        while self.is_word(0) {
            word.push(self.input.byte(0));
            self.skip();
            self.input.ensure(4)?;
        }
        Ok(word)
    }

    pub(super) fn scan_anchor(&mut self) -> Result<Kind, Fault> {
        let alias = self.input.byte(0) == b'*';
        self.skip();
        let name = self.word()?;
        let ends =
            self.blank_or_end(0) || matches!(self.input.byte(0), b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`');
        if name.is_empty() || !ends {
            return self.fault("did not find expected alphabetic or numeric character");
        }
        let name = String::from_utf8_lossy(&name).into_owned();
        Ok(if alias { Kind::Alias(name) } else { Kind::Anchor(name) })
    }

    pub(super) fn scan_directive(&mut self) -> Result<Kind, Fault> {
        self.skip();
        let name = self.word()?;
        if name.is_empty() {
            return self.fault("could not find expected directive name");
        }
        if !self.blank_or_end(0) {
            return self.fault("found unexpected non-alphabetical character");
        }
        let kind = match name.as_slice() {
            b"YAML" => self.version()?,
            b"TAG" => self.tag_directive()?,
            _ => return self.fault("found unknown directive name"),
        };
        self.line_ends()?;
        Ok(kind)
    }

    /// A comment at most, and a line break.
    fn line_ends(&mut self) -> Result<(), Fault> {
        self.skip_blanks()?;
        self.skip_comment()?;
        if !self.break_or_end(0) {
            return self.fault("did not find expected comment or line break");
        }
        if self.is_break(0) {
            self.skip_line();
        }
        Ok(())
    }

    fn version(&mut self) -> Result<Kind, Fault> {
        self.skip_blanks()?;
        let major = self.number()?;
        if self.input.byte(0) != b'.' {
            return self.fault("did not find expected digit or '.' character");
        }
        self.skip();
        let minor = self.number()?;
        Ok(Kind::Version((major, minor) == (1, 1)))
    }

    fn number(&mut self) -> Result<u32, Fault> {
        let (mut number, mut digits) = (0, 0);
        while self.input.byte(0).is_ascii_digit() {
            digits += 1;
            if digits > MAX_DIGITS {
                return self.fault("found extremely long version number");
            }
            number = number * 10 + u32::from(self.input.byte(0) - b'0');
            self.skip();
            self.input.ensure(4)?;
        }
        if digits == 0 { self.fault("did not find expected version number") } else { Ok(number) }
    }

    fn tag_directive(&mut self) -> Result<Kind, Fault> {
        self.skip_blanks()?;
        let handle = self.tag_handle()?;
        if handle.len() > 1 && handle.last() != Some(&b'!') {
            return self.fault("did not find expected '!'");
        }
        if !self.is_blank(0) {
            return self.fault("did not find expected whitespace");
        }
        self.skip_blanks()?;
        self.tag_uri(false)?;
        if !self.blank_or_end(0) {
            return self.fault("did not find expected whitespace or line break");
        }
        Ok(Kind::TagDirective(handle))
    }

    pub(super) fn scan_tag(&mut self) -> Result<Kind, Fault> {
        let handle = if self.input.byte(1) == b'<' {
            self.skip();
            self.skip();
            self.tag_uri(false)?;
            if self.input.byte(0) != b'>' {
                return self.fault("did not find the expected '>'");
            }
            self.skip();
            None
        } else {
            let handle = self.tag_handle()?;
            if handle.len() > 1 && handle.last() == Some(&b'!') {
                self.tag_uri(false)?;
                Some(handle)
            } else {
                // What looked like a handle is the tag's begin.
                let empty = self.tag_uri(true)? == 0 && handle.len() == 1;
                (!empty).then(|| b"!".to_vec())
            }
        };
        if !self.blank_or_end(0) {
            return self.fault("did not find expected whitespace or line break");
        }
        Ok(Kind::Tag(handle))
    }

    fn tag_handle(&mut self) -> Result<Vec<u8>, Fault> {
        if self.input.byte(0) != b'!' {
            return self.fault("did not find expected '!'");
        }
        let mut handle = vec![b'!'];
        self.skip();
        handle.extend(self.word()?);
        if self.input.byte(0) == b'!' {
            handle.push(b'!');
            self.skip();
        }
        Ok(handle)
    }

    /// How many characters the rest of a tag has.
    fn tag_uri(&mut self, may_be_empty: bool) -> Result<usize, Fault> {
        const SIGNS: &[u8] = b";/?:@&=+$,.!~*'()[]%";
        let mut length = 0;
        self.input.ensure(4)?;
        while self.is_word(0) || SIGNS.contains(&self.input.byte(0)) {
            if self.input.byte(0) == b'%' {
                self.escaped_character()?;
            } else {
                self.skip();
            }
            length += 1;
            self.input.ensure(4)?;
        }
        if length == 0 && !may_be_empty {
            return self.fault("did not find expected tag URI");
        }
        Ok(length)
    }

    fn escaped_character(&mut self) -> Result<(), Fault> {
        let mut octets = None;
        loop {
            self.input.ensure(4)?;
            let digits = (hex(self.input.byte(1)), hex(self.input.byte(2)));
            let (b'%', (Some(high), Some(low))) = (self.input.byte(0), digits) else {
                return self.fault("did not find URI escaped octet");
            };
            let octet = high << 4 | low;
            let left = match octets {
                None => match width(octet) {
                    None => return self.fault("found an incorrect leading UTF-8 octet"),
                    Some(width) => width,
                },
                Some(_) if octet & 0xc0 != 0x80 => return self.fault("found an incorrect trailing UTF-8 octet"),
                Some(left) => left,
            };
            (0..3).for_each(|_| self.skip());
            if left == 1 {
                return Ok(());
            }
            octets = Some(left - 1);
        }
    }

    pub(super) fn scan_block_scalar(&mut self) -> Result<(), Fault> {
        self.skip();
        self.input.ensure(4)?;
        // A sign and a digit in any order.
        let signed = self.chomping();
        let digit = self.input.byte(0);
        if digit == b'0' {
            return self.fault("found an indentation indicator equal to 0");
        }
        let mut indent = 0;
        if digit.is_ascii_digit() {
            indent = self.indent.max(0) + isize::from(digit as i8 - b'0' as i8);
            self.skip();
            if !signed {
                self.chomping();
            }
        }
        self.line_ends()?;
        self.block_breaks(&mut indent)?;
        while self.column == indent && self.input.byte(0) != 0 {
            while !self.break_or_end(0) {
                self.skip();
                self.input.ensure(4)?;
            }
            if self.is_break(0) {
                self.skip_line();
            }
            self.block_breaks(&mut indent)?;
        }
        Ok(())
    }

    fn chomping(&mut self) -> bool {
        let signed = matches!(self.input.byte(0), b'+' | b'-');
        if signed {
            self.skip();
        }
        signed
    }

    /// Indentation and empty lines; the indentation is found where none is known.
    fn block_breaks(&mut self, indent: &mut isize) -> Result<(), Fault> {
        let mut deepest = 0;
        loop {
            self.input.ensure(4)?;
            while (*indent == 0 || self.column < *indent) && self.input.byte(0) == b' ' {
                self.skip();
                self.input.ensure(4)?;
            }
            deepest = deepest.max(self.column);
            if (*indent == 0 || self.column < *indent) && self.input.byte(0) == b'\t' {
                return self.fault("found a tab character where an indentation space is expected");
            }
            if !self.is_break(0) {
                break;
            }
            self.skip_line();
        }
        if *indent == 0 {
            *indent = deepest.max(self.indent + 1).max(1);
        }
        Ok(())
    }

    pub(super) fn scan_quoted(&mut self) -> Result<Kind, Fault> {
        let quote = self.input.byte(0);
        self.skip();
        loop {
            self.input.ensure(4)?;
            if self.at_document_indicator() {
                return self.fault("found unexpected document indicator");
            }
            if self.input.byte(0) == 0 {
                return self.fault("found unexpected end of stream");
            }
            while !self.blank_or_end(0) {
                match self.input.byte(0) {
                    b'\'' if quote == b'\'' && self.input.byte(1) == b'\'' => (0..2).for_each(|_| self.skip()),
                    sign if sign == quote => break,
                    b'\\' if quote == b'"' && self.is_break(1) => {
                        self.skip();
                        self.skip_line();
                        break;
                    }
                    b'\\' if quote == b'"' => self.escape()?,
                    _ => self.skip(),
                }
                self.input.ensure(4)?;
            }
            if self.input.byte(0) == quote {
                self.skip();
                return Ok(Kind::Scalar);
            }
            self.white_space(None)?;
        }
    }

    /// Blanks and line breaks, and whether there were any of the latter; in front of a column no tabs.
    fn white_space(&mut self, column: Option<isize>) -> Result<bool, Fault> {
        let mut broken = false;
        while self.is_blank(0) || self.is_break(0) {
            if self.is_break(0) {
                self.skip_line();
                broken = true;
            } else {
                if broken && self.input.byte(0) == b'\t' && column.is_some_and(|column| self.column < column) {
                    return self.fault("found a tab character that violates indentation");
                }
                self.skip();
            }
            self.input.ensure(4)?;
        }
        Ok(broken)
    }

    fn escape(&mut self) -> Result<(), Fault> {
        let digits = match self.input.byte(1) {
            b'0' | b'a' | b'b' | b't' | b'\t' | b'n' | b'v' | b'f' | b'r' | b'e' | b' ' | b'"' | b'\'' | b'\\'
            | b'N' | b'_' | b'L' | b'P' => 0,
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            _ => return self.fault("found unknown escape character"),
        };
        (0..2).for_each(|_| self.skip());
        self.input.ensure(digits)?;
        let mut value = 0;
        for ahead in 0..digits {
            let Some(digit) = hex(self.input.byte(ahead)) else {
                return self.fault("did not find expected hexdecimal number");
            };
            value = value << 4 | u32::from(digit);
        }
        if char::from_u32(value).is_none() {
            return self.fault("found invalid Unicode character escape code");
        }
        (0..digits).for_each(|_| self.skip());
        Ok(())
    }

    pub(super) fn scan_plain(&mut self) -> Result<Kind, Fault> {
        let indent = self.indent + 1;
        let mut broken = false;
        loop {
            self.input.ensure(4)?;
            if self.at_document_indicator() || self.input.byte(0) == b'#' {
                break;
            }
            while !self.blank_or_end(0) && !self.ends_plain() {
                broken = false;
                self.skip();
                self.input.ensure(4)?;
            }
            if !self.is_blank(0) && !self.is_break(0) {
                break;
            }
            broken |= self.white_space(Some(indent))?;
            if self.flow_level == 0 && self.column < indent {
                break;
            }
        }
        if broken {
            self.key_allowed = true;
        }
        Ok(Kind::Scalar)
    }

    fn ends_plain(&self) -> bool {
        match self.input.byte(0) {
            b':' => self.blank_or_end(1),
            b',' | b'?' | b'[' | b']' | b'{' | b'}' => self.flow_level > 0,
            _ => false,
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}
