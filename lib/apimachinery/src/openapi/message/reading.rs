//! Looking into messages, for tests.

use crate::codec::protobuf::wire::{Fields, Raw};

/// All values of one field of a message.
pub(in crate::openapi) fn all<'a>(bytes: &'a [u8], number: u32) -> Vec<Raw<'a>> {
    let mut fields = Fields::new(bytes);
    let next = || fields.next().expect("a well-formed message");
    std::iter::from_fn(next).filter(|(found, _)| *found == number).map(|(_, raw)| raw).collect()
}

/// The last message, text or number along a path of fields.
pub(in crate::openapi) fn at<'a>(bytes: &'a [u8], path: &[u32]) -> Raw<'a> {
    let (number, rest) = path.split_first().expect("a path");
    let found = *all(bytes, *number).last().unwrap_or_else(|| panic!("no field {number}"));
    if rest.is_empty() { found } else { at(found.bytes().expect("a message"), rest) }
}

pub(in crate::openapi) fn text(bytes: &[u8], path: &[u32]) -> String {
    at(bytes, path).text().expect("a text")
}

/// The value of an entry of a map.
pub(in crate::openapi) fn named<'a>(map: &'a [u8], number: u32, name: &str) -> &'a [u8] {
    let mut entries = all(map, number).into_iter().filter_map(|raw| raw.bytes());
    let entry = entries.find(|entry| text(entry, &[1]) == name).unwrap_or_else(|| panic!("no {name}"));
    at(entry, &[2]).bytes().expect("a value")
}

pub(in crate::openapi) fn message_at(bytes: &[u8], number: u32) -> &[u8] {
    at(bytes, &[number]).bytes().expect("a message")
}
