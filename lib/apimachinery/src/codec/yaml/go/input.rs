//! The characters of a text, checked piece by piece as they are needed, as Go's reader does: what is wrong further
//! behind is not told before what is wrong here.

use super::Fault;

/// How much is checked at a time.
const PIECE: usize = 512;

/// A text and a place in it.
pub(super) struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Everything before it is characters.
    checked: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let start = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Self { bytes, at: start, checked: start }
    }

    /// The offset of the place.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// A byte behind the place; 0 at the end, which no character of a text is.
    pub(super) fn byte(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    /// Whether these bytes come next.
    pub(super) fn starts_with(&self, text: &[u8]) -> bool {
        self.bytes[self.at.min(self.bytes.len())..].starts_with(text)
    }

    /// Goes on.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Checks what lies ahead.
    pub(super) fn ensure(&mut self, bytes: usize) -> Result<(), Fault> {
        while self.checked < self.bytes.len() && self.checked < self.at + bytes {
            let (start, end) = (self.checked, self.bytes.len().min(self.checked + PIECE));
            while self.checked < end {
                match character(&self.bytes[self.checked..end]).map_err(Fault::Bytes)? {
                    Some(width) => self.checked += width,
                    // Only who looks for more finds that there is none.
                    None if self.checked == start => return Err(Fault::Bytes("incomplete UTF-8 octet sequence")),
                    None => break,
                }
            }
        }
        Ok(())
    }
}

/// How many bytes the character has; none if it is cut.
fn character(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
    let Some(width) = width(bytes[0]) else { return Err("invalid leading UTF-8 octet") };
    let Some(bytes) = bytes.get(..width) else { return Ok(None) };
    let mut value = match width {
        1 => u32::from(bytes[0]),
        _ => u32::from(bytes[0]) & (0x7f >> width),
    };
    for byte in &bytes[1..] {
        if byte & 0xc0 != 0x80 {
            return Err("invalid trailing UTF-8 octet");
        }
        value = value << 6 | u32::from(byte & 0x3f);
    }
    match (width, value) {
        (2, ..0x80) | (3, ..0x800) | (4, ..0x1_0000) => Err("invalid length of a UTF-8 sequence"),
        (_, 0xd800..=0xdfff | 0x11_0000..) => Err("invalid Unicode character"),
        (_, 0x9 | 0xa | 0xd | 0x20..=0x7e | 0x85 | 0xa0..=0xfffd | 0x1_0000..) => Ok(Some(width)),
        _ => Err("control characters are not allowed"),
    }
}

/// How many bytes a character has that begins so.
pub(super) fn width(first: u8) -> Option<usize> {
    match first {
        0..=0x7f => Some(1),
        0xc0..=0xdf => Some(2),
        0xe0..=0xef => Some(3),
        0xf0..=0xf7 => Some(4),
        _ => None,
    }
}
