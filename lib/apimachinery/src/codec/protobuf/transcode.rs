//! Messages to the JSON of their trees, without the trees: a server that starts reads all that is stored.
//!
//! What is written is what serializing the tree of [`super::decode`] would give, byte for byte.

use super::decode;
use super::wire::{Fields, Raw, wrong_wire_type};
use crate::codec::DecodeError;
use crate::codec::json::write_text;
use crate::schema::{Field, Presence, Schema, Shape, TypeRef, Zero};
use crate::{Map, Value};
use std::collections::BTreeMap;
use std::ops::Range;

/// Deepest nesting taken, as when decoding.
const MAX_DEPTH: usize = decode::MAX_DEPTH;

/// Where in the JSON of an object some things are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// Where the digits of `metadata.resourceVersion` belong.
    pub revision: usize,
    /// Where the members after `kind` and `apiVersion` start.
    pub body: usize,
}

/// Appends an object as JSON: `kind` and `apiVersion` first, all other members sorted, `metadata.resourceVersion`
/// there and empty.
///
/// # Errors
/// The message is malformed, or holds something that only its tree shows the JSON of.
pub fn object(
    ty: &TypeRef,
    kind: &str,
    api_version: &str,
    message: &[u8],
    out: &mut Vec<u8>,
) -> Result<Places, DecodeError> {
    out.extend_from_slice(b"{\"kind\":");
    write_text(out, kind);
    out.extend_from_slice(b",\"apiVersion\":");
    write_text(out, api_version);
    out.push(b',');
    let body = out.len();
    let mut writer = Writer { schema: &ty.schema, out, revision: None, found: Vec::with_capacity(64) };
    writer.members(ty.id, message, 0, Role::Object)?;
    let revision = writer.revision.ok_or_else(|| DecodeError::Syntax("no metadata".into()))?;
    out.push(b'}');
    Ok(Places { revision, body })
}

/// The value that the tree of a message has at a path of member names.
///
/// # Errors
/// What lies on the path is malformed.
pub fn find(ty: &TypeRef, message: &[u8], path: &[&str]) -> Result<Option<Value>, DecodeError> {
    let (mut id, mut message, mut path) = (ty.id, message, path);
    loop {
        let [member, rest @ ..] = path else { return Ok(None) };
        let Some(at) = ty.schema.get(id).member(member) else { return Ok(None) };
        let Some(field) = ty.schema.field_at(id, at) else { return Ok(None) };
        let occurrences = occurrences(&ty.schema, id, at, message)?;
        match (&field.shape, occurrences.last()) {
            (Shape::Message(inner), Some(last)) if !rest.is_empty() => {
                (id, message, path) = (*inner, last.bytes().ok_or_else(wrong_wire_type)?, rest);
            }
            _ => {
                let mut tree = Map::new();
                for raw in occurrences {
                    decode::add(&ty.schema, field, raw, 0, &mut tree)?;
                }
                let zeros = &ty.schema.get(id).zeros;
                let zero = || zeros.iter().find(|zero| *zero.name == **member).map(|zero| &zero.value);
                let value = tree.get(*member).or_else(zero);
                return Ok(rest.iter().try_fold(value, |value, member| Some(value?.get(member))).flatten().cloned());
            }
        }
    }
}

/// The entries of a map of strings at a path of member names, sorted.
///
/// # Errors
/// What lies on the path is malformed.
pub fn strings(ty: &TypeRef, message: &[u8], path: &[&str]) -> Result<Vec<(String, String)>, DecodeError> {
    let Some(Value::Object(entries)) = find(ty, message, path)? else { return Ok(Vec::new()) };
    let text = |(key, value)| match value {
        Value::String(text) => Some((key, text)),
        _ => None,
    };
    Ok(entries.into_iter().filter_map(text).collect())
}

/// A member of a message, as often as it occurs.
#[derive(Clone, Copy, Debug)]
struct Found<'s, 'a> {
    /// Its place among the sorted members of the type.
    member: usize,
    field: &'s Field,
    raw: Raw<'a>,
}

/// Adds all members that occur, in the order of the wire; those of inlined messages are the type's own.
fn collect<'s, 'a>(
    schema: &'s Schema,
    id: u32,
    owner: u32,
    message: &'a [u8],
    depth: usize,
    all: &mut Vec<Found<'s, 'a>>,
) -> Result<(), DecodeError> {
    if depth > MAX_DEPTH {
        return Err(DecodeError::Limit("exceeded max depth"));
    }
    let def = schema.get(owner);
    let mut wire = Fields::new(message);
    // Most messages have their fields in order.
    let mut next = 0;
    while let Some((number, raw)) = wire.next()? {
        let is_next = |at: &usize| def.fields.get(*at).is_some_and(|field| field.number == number);
        let at = match (next..next + 2).find(is_next) {
            Some(at) => at,
            None => match def.fields.binary_search_by_key(&number, |field| field.number) {
                Ok(at) => at,
                Err(_) => continue,
            },
        };
        next = at;
        let field = &def.fields[at];
        match (&field.shape, def.places[at]) {
            (Shape::Message(inlined), None) => {
                collect(schema, id, *inlined, raw.bytes().ok_or_else(wrong_wire_type)?, depth + 1, all)?;
            }
            (_, Some(place)) if id == owner => all.push(Found { member: place as usize, field, raw }),
            _ => all.extend(schema.get(id).member(&field.json).map(|member| Found { member, field, raw })),
        }
    }
    Ok(())
}

/// All occurrences of one member, in the order of the wire.
fn occurrences<'a>(schema: &Schema, id: u32, at: usize, message: &'a [u8]) -> Result<Vec<Raw<'a>>, DecodeError> {
    let own = schema.get(id).members.get(at).filter(|(_, owner, _)| *owner == id);
    let Some(field) = own.and_then(|_| schema.field_at(id, at)) else {
        let mut all = Vec::new();
        collect(schema, id, id, message, 0, &mut all)?;
        return Ok(all.into_iter().filter(|one| one.member == at).map(|one| one.raw).collect());
    };
    let (mut wire, mut all) = (Fields::new(message), Vec::new());
    while let Some((number, raw)) = wire.next()? {
        if number == field.number {
            all.push(raw);
        }
    }
    Ok(all)
}

/// What a message is to the object that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Object,
    Metadata,
    Part,
}

struct Writer<'a, 'm> {
    schema: &'a Schema,
    out: &'a mut Vec<u8>,
    revision: Option<usize>,
    /// The members of all messages that are being written, those of the innermost one last.
    found: Vec<Found<'a, 'm>>,
}

impl<'a, 'm> Writer<'a, 'm> {
    fn message(&mut self, id: u32, message: &'m [u8], depth: usize, role: Role) -> Result<(), DecodeError> {
        self.out.push(b'{');
        if let (Role::Part, Some((version, kind))) = (role, &self.schema.get(id).embedded) {
            // Its other members, of which there is at least the metadata, sort behind these.
            self.key("apiVersion");
            json(self.out, version);
            self.out.push(b',');
            self.key("kind");
            json(self.out, kind);
            self.out.push(b',');
        }
        self.members(id, message, depth, role)?;
        self.out.push(b'}');
        Ok(())
    }

    /// Writes the members of a message, sorted, without braces around.
    fn members(&mut self, id: u32, message: &'m [u8], depth: usize, role: Role) -> Result<(), DecodeError> {
        if depth > MAX_DEPTH {
            return Err(DecodeError::Limit("exceeded max depth"));
        }
        let schema = self.schema;
        let def = schema.get(id);
        let first = self.found.len();
        collect(schema, id, id, message, 0, &mut self.found)?;
        // Stable: what occurs more than once stays in order.
        self.found[first..].sort_by_key(|one| one.member);
        let end = self.found.len();
        let mut always = match role {
            Role::Object => def.member("metadata"),
            Role::Metadata => def.member("resourceVersion"),
            Role::Part => None,
        }
        .unwrap_or(usize::MAX);
        let (mut at, mut zeros, start) = (first, &def.zeros[..], self.out.len());
        loop {
            let found = self.found.get(at).copied();
            let (of_found, of_zero) = (
                found.map_or(usize::MAX, |one| one.member),
                zeros.first().map_or(usize::MAX, |zero| zero.member as usize),
            );
            let member = of_found.min(of_zero).min(always);
            if member == usize::MAX {
                break;
            }
            let zero = zeros.split_first().filter(|_| of_zero == member).map(|(zero, rest)| {
                zeros = rest;
                zero
            });
            if let Some(zero) = zero.filter(|_| of_found != member && always != member) {
                self.zero(zero);
                continue;
            }
            let is_always = always == member;
            if is_always {
                always = usize::MAX;
            }
            let length = self.found[at..].iter().take_while(|one| one.member == member).count();
            let occurrences = at..at + length;
            at += length;
            let field = found.filter(|_| length > 0).map(|one| one.field);
            let Some(field) = field.or_else(|| schema.field_at(id, member)) else { continue };
            let before = self.out.len();
            self.key(&field.json);
            let is_written = match role {
                Role::Object if is_always => self.metadata(field, occurrences, depth)?,
                Role::Metadata if is_always => self.empty_revision(),
                _ => self.field(field, occurrences, depth)?,
            };
            if is_written {
                self.out.push(b',');
            } else {
                self.out.truncate(before);
                zero.into_iter().for_each(|zero| self.zero(zero));
            }
            debug_assert_eq!(self.found.len(), end);
        }
        self.found.truncate(first);
        if self.out.len() > start {
            self.out.pop();
        }
        Ok(())
    }

    /// Writes what a member is where it is not set.
    fn zero(&mut self, zero: &Zero) {
        self.key(&zero.name);
        self.out.extend_from_slice(&zero.json);
        self.out.push(b',');
    }

    /// Writes the name of a field, which has nothing in it to escape.
    fn key(&mut self, name: &str) {
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn metadata(&mut self, field: &Field, occurrences: Range<usize>, depth: usize) -> Result<bool, DecodeError> {
        let Shape::Message(id) = field.shape else { return Err(DecodeError::Syntax("metadata is no message".into())) };
        let message = match &self.found[occurrences] {
            [] => &[][..],
            [one] => one.raw.bytes().ok_or_else(wrong_wire_type)?,
            _ => return Err(only_the_tree()),
        };
        self.message(id, message, depth + 1, Role::Metadata)?;
        Ok(true)
    }

    fn empty_revision(&mut self) -> bool {
        self.revision = Some(self.out.len() + 1);
        self.out.extend_from_slice(b"\"\"");
        true
    }

    /// Writes a field's value; `false` if it has none that is written.
    fn field(&mut self, field: &Field, occurrences: Range<usize>, depth: usize) -> Result<bool, DecodeError> {
        match (&field.shape, &self.found[occurrences.clone()]) {
            (_, []) => Ok(false),
            (Shape::List(inner), _) => self.list(inner, occurrences, depth).map(|()| true),
            (Shape::Map(inner), _) => self.map(inner, occurrences, depth).map(|()| true),
            (Shape::Time | Shape::MicroTime, &[Found { raw, .. }]) => self.time(field, raw, depth),
            (shape, &[Found { raw, .. }]) => Ok(!leaves_out(field, &raw) && self.value(shape, raw, depth)?),
            // The last one counts, if it is one that counts.
            _ => Err(only_the_tree()),
        }
    }

    fn time(&mut self, field: &Field, raw: Raw<'_>, depth: usize) -> Result<bool, DecodeError> {
        let time = decode::value(self.schema, &field.shape, raw, depth)?.filter(|time| !field.leaves_out(time));
        if let Some(time) = &time {
            json(self.out, time);
        }
        Ok(time.is_some())
    }

    fn list(&mut self, inner: &Shape, occurrences: Range<usize>, depth: usize) -> Result<(), DecodeError> {
        let is_integer = matches!(inner, Shape::Int32 | Shape::Int64 | Shape::Bool);
        self.out.push(b'[');
        let start = self.out.len();
        for at in occurrences {
            let raw = self.found[at].raw;
            if is_integer && matches!(raw, Raw::Bytes(_)) {
                return Err(only_the_tree());
            }
            if !self.value(inner, raw, depth)? {
                self.out.extend_from_slice(b"null");
            }
            self.out.push(b',');
        }
        if self.out.len() > start {
            self.out.pop();
        }
        self.out.push(b']');
        Ok(())
    }

    fn map(&mut self, inner: &Shape, occurrences: Range<usize>, depth: usize) -> Result<(), DecodeError> {
        let mut entries = BTreeMap::new();
        for one in &self.found[occurrences] {
            let mut wire = Fields::new(one.raw.bytes().ok_or_else(wrong_wire_type)?);
            let (Some((1, key)), Some((2, item)), None) = (wire.next()?, wire.next()?, wire.next()?) else {
                return Err(only_the_tree());
            };
            // Texts sort as their bytes do.
            if entries.insert(key.bytes().ok_or_else(wrong_wire_type)?, item).is_some() {
                return Err(only_the_tree());
            }
        }
        self.out.push(b'{');
        for (at, (key, item)) in entries.into_iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            write_text(self.out, text(key)?);
            self.out.push(b':');
            if !self.value(inner, item, depth + 1)? {
                self.out.extend_from_slice(b"null");
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    /// Writes one value; `false` for what JSON has as `null`.
    fn value(&mut self, shape: &Shape, raw: Raw<'m>, depth: usize) -> Result<bool, DecodeError> {
        match shape {
            Shape::String => write_text(self.out, text(raw.bytes().ok_or_else(wrong_wire_type)?)?),
            Shape::Int32 => json(self.out, &(raw.varint()? as i32)),
            Shape::Int64 => json(self.out, &(raw.varint()? as i64)),
            Shape::Bool => json(self.out, &(raw.varint()? != 0)),
            Shape::Message(id) => {
                self.message(*id, raw.bytes().ok_or_else(wrong_wire_type)?, depth + 1, Role::Part)?;
            }
            Shape::FieldsV1 => return self.fields_v1(raw),
            shape => match decode::value(self.schema, shape, raw, depth)? {
                Some(value) => json(self.out, &value),
                None => return Ok(false),
            },
        }
        Ok(true)
    }

    /// Copies what is JSON already, in the one form that its tree has too.
    fn fields_v1(&mut self, raw: Raw<'_>) -> Result<bool, DecodeError> {
        let mut wire = Fields::new(raw.bytes().ok_or_else(wrong_wire_type)?);
        let (Some((1, raw)), None) = (wire.next()?, wire.next()?) else { return Err(only_the_tree()) };
        let bytes = raw.bytes().ok_or_else(wrong_wire_type)?;
        let is_escaped = |at: usize| matches!(bytes.get(at + 1), Some(b'u' | b'/'));
        let is_plain = bytes.starts_with(b"{")
            && memchr::memchr3(b' ', b'\t', b'\n', bytes).is_none()
            && memchr::memchr2(b'\r', b'\x0c', bytes).is_none()
            && !memchr::memchr_iter(b'\\', bytes).any(is_escaped);
        if !is_plain || serde_json::from_str::<serde::de::IgnoredAny>(text(bytes)?).is_err() {
            return Err(only_the_tree());
        }
        self.out.extend_from_slice(bytes);
        Ok(true)
    }
}

/// Whether upstream's JSON leaves this out, as [`Field::leaves_out`] says of trees.
fn leaves_out(field: &Field, raw: &Raw<'_>) -> bool {
    if field.presence != Presence::OmitEmpty {
        return false;
    }
    match (&field.shape, raw) {
        (Shape::String | Shape::Bytes | Shape::Strings, Raw::Bytes(bytes)) => {
            bytes.is_empty() && !(field.shape == Shape::Strings && field.is_null)
        }
        (Shape::Bool | Shape::Int64, Raw::Varint(value)) => *value == 0,
        (Shape::Int32, Raw::Varint(value)) => *value as i32 == 0,
        (Shape::Double, Raw::Fixed64(bits)) => f64::from_bits(*bits) == 0.0,
        _ => false,
    }
}

/// What is right but rare: its JSON is made from the tree.
fn only_the_tree() -> DecodeError {
    DecodeError::Syntax("only the tree of this shows its JSON".into())
}

fn text(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|_| DecodeError::Syntax("proto: string field contains invalid UTF-8".into()))
}

fn json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Texts, numbers and trees are JSON, and a `Vec` takes all bytes.
    let _ = serde_json::to_writer(out, value);
}
