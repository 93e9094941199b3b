//! The few protobuf messages that wrap objects: envelope, list, list metadata, watch event.

use apimachinery::gvk::GroupVersionKind;

/// What every enveloped message begins with.
const MAGIC: &[u8] = b"k8s\0";

pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Tag and length of a length-delimited field below number 16.
pub(super) fn field_head(out: &mut Vec<u8>, number: u8, len: usize) {
    out.push(number << 3 | 2);
    varint(out, len as u64);
}

pub(super) fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    field_head(out, number, bytes.len());
    out.extend_from_slice(bytes);
}

/// Length of a length-delimited field below number 16.
pub(super) fn field_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

/// The envelope up to a message of `len` bytes; [`ENVELOPE_TAIL`] follows the message.
pub(super) fn envelope_head(kind: &GroupVersionKind, len: usize) -> Vec<u8> {
    let mut meta = Vec::with_capacity(64);
    field(&mut meta, 1, kind.api_version().as_bytes());
    field(&mut meta, 2, kind.kind.as_bytes());
    let mut out = Vec::with_capacity(meta.len() + 24);
    out.extend_from_slice(MAGIC);
    field(&mut out, 1, &meta);
    field_head(&mut out, 2, len);
    out
}

/// Empty `contentEncoding` and `contentType`.
pub(super) const ENVELOPE_TAIL: &[u8] = &[0x1a, 0, 0x22, 0];

/// `ListMeta` as upstream's generated code writes it: strings even when empty.
pub(super) fn list_meta(revision: u64, continue_token: &str, remaining: Option<u64>) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + continue_token.len());
    field(&mut out, 1, b"");
    field(&mut out, 2, revision.to_string().as_bytes());
    field(&mut out, 3, continue_token.as_bytes());
    if let Some(remaining) = remaining {
        out.push(4 << 3);
        varint(&mut out, remaining);
    }
    out
}

/// The first field of a message with its head: every kind keeps its metadata there.
pub(super) fn first_field(message: &[u8]) -> Option<&[u8]> {
    if message.first() != Some(&(1 << 3 | 2)) {
        return None;
    }
    let (mut len, mut shift, mut at) = (0u64, 0, 1);
    loop {
        let byte = *message.get(at)?;
        at += 1;
        len |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
        if shift > 28 {
            return None;
        }
    }
    message.get(..at + usize::try_from(len).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value), "{value}");
        }
        let mut out = Vec::new();
        varint(&mut out, 300);
        assert_eq!(out, [0xac, 2]);
    }

    #[test]
    fn first_fields() {
        let mut message = Vec::new();
        field(&mut message, 1, &[7; 200]);
        let head = message.len();
        field(&mut message, 2, b"spec");
        assert_eq!(first_field(&message).map(<[u8]>::len), Some(head));
        assert_eq!(first_field(&[0x12, 0]), None);
        assert_eq!(first_field(&[0x0a, 5, 1]), None);
    }
}
