//! The wire format: varints, tags, and fields of a message.

use crate::codec::DecodeError;

/// One field's value on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Raw<'a> {
    Varint(u64),
    Fixed64(u64),
    /// No type has one; its value is skipped.
    Fixed32,
    /// The start or end of a group, or nothing that there is: its wire type. What follows cannot be read.
    Other(u8),
    Bytes(&'a [u8]),
}

impl<'a> Raw<'a> {
    pub(crate) fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Raw::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Result<String, DecodeError> {
        // Upstream does not look at what is in it, and JSON shows what is no UTF-8 like this.
        Ok(String::from_utf8_lossy(self.bytes().ok_or_else(wrong_wire_type)?).into_owned())
    }

    /// Its wire type.
    pub(crate) fn wire_type(&self) -> u8 {
        match self {
            Raw::Varint(_) => 0,
            Raw::Fixed64(_) => 1,
            Raw::Bytes(_) => 2,
            Raw::Fixed32 => 5,
            Raw::Other(wire_type) => *wire_type,
        }
    }

    pub(crate) fn varint(&self) -> Result<u64, DecodeError> {
        match self {
            Raw::Varint(value) => Ok(*value),
            _ => Err(wrong_wire_type()),
        }
    }
}

pub(crate) fn wrong_wire_type() -> DecodeError {
    DecodeError::Syntax("proto: wrong wireType".into())
}

/// What is said of a wire type that cannot be read. No group ends that is not begun.
pub(crate) fn illegal_wire_type(wire_type: u8) -> DecodeError {
    match wire_type {
        3 => truncated(),
        other => DecodeError::Syntax(format!("proto: illegal wireType {other}")),
    }
}

fn truncated() -> DecodeError {
    DecodeError::Syntax("unexpected EOF".into())
}

/// Iterates over the fields of a message.
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    /// The type of the message, as errors name it.
    name: &'a str,
    /// Whether a wire type that cannot be read is told as [`Raw::Other`] instead of an error.
    tells_others: bool,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self::of("Unknown", bytes)
    }

    /// The fields of a message of a type with this name.
    pub(crate) fn of(name: &'a str, bytes: &'a [u8]) -> Self {
        Self { bytes, name, tells_others: false }
    }

    /// The same for who knows what to say of a wire type that cannot be read.
    pub(crate) fn telling_others(self) -> Self {
        Self { tells_others: true, ..self }
    }

    /// How many bytes of the message are still to be read.
    pub(crate) fn rest(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Raw<'a>)>, DecodeError> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let tag = take_varint(&mut self.bytes)?;
        // Upstream takes the number's lower bits for all of it.
        let (number, wire_type) = ((tag >> 3) as i32, (tag & 7) as u8);
        if wire_type == 4 {
            return Err(DecodeError::Syntax(format!("proto: {}: wiretype end group for non-group", self.name)));
        }
        let number = u32::try_from(number).ok().filter(|number| *number > 0).ok_or_else(|| {
            DecodeError::Syntax(format!("proto: {}: illegal tag {number} (wire type {wire_type})", self.name))
        })?;
        let raw = match wire_type {
            0 => Raw::Varint(take_varint(&mut self.bytes)?),
            1 => Raw::Fixed64(u64::from_le_bytes(self.take()?)),
            2 => {
                let length = take_varint(&mut self.bytes)?;
                let length = usize::try_from(length as i64)
                    .map_err(|_| DecodeError::Syntax("proto: negative length found during unmarshaling".into()))?;
                let (value, rest) = self.bytes.split_at_checked(length).ok_or_else(truncated)?;
                self.bytes = rest;
                Raw::Bytes(value)
            }
            5 => {
                self.take::<4>()?;
                Raw::Fixed32
            }
            // Groups are not used by any type.
            other if self.tells_others => {
                self.bytes = &[];
                Raw::Other(other)
            }
            other => return Err(illegal_wire_type(other)),
        };
        Ok(Some((number, raw)))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (value, rest) = self.bytes.split_first_chunk::<N>().ok_or_else(truncated)?;
        self.bytes = rest;
        Ok(*value)
    }
}

#[inline]
pub(crate) fn take_varint(bytes: &mut &[u8]) -> Result<u64, DecodeError> {
    // Nearly all tags and most lengths and numbers are one byte.
    match bytes.split_first() {
        Some((byte, rest)) if *byte < 0x80 => {
            *bytes = rest;
            Ok(u64::from(*byte))
        }
        _ => take_long_varint(bytes),
    }
}

fn take_long_varint(bytes: &mut &[u8]) -> Result<u64, DecodeError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or_else(truncated)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(DecodeError::Syntax("proto: integer overflow".into()))
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_tag(out: &mut Vec<u8>, number: u32, wire_type: u8) {
    put_varint(out, u64::from(number) << 3 | u64::from(wire_type));
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_tag(out, number, 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn put_integer(out: &mut Vec<u8>, number: u32, value: i64) {
    put_tag(out, number, 0);
    put_varint(out, value as u64);
}

/// Writes a length-delimited field whose content `write` appends: the length goes in front
/// afterwards, which moves the content by its one or two bytes at most times.
pub(crate) fn put_nested(out: &mut Vec<u8>, number: u32, write: impl FnOnce(&mut Vec<u8>)) {
    put_tag(out, number, 2);
    let start = out.len();
    out.push(0);
    write(out);
    let (length, end) = ((out.len() - start - 1) as u64, out.len());
    put_varint(out, length);
    // One byte was left free for the length, which stands behind the content now.
    let size = out.len() - end;
    if size > 1 {
        out.copy_within(start + 1..end, start + size);
    }
    let mut rest = length;
    for byte in &mut out[start..start + size] {
        *byte = rest as u8 | 0x80;
        rest >>= 7;
    }
    out[start + size - 1] &= 0x7f;
    out.truncate(end + size - 1);
}
