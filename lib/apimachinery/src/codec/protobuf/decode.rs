//! Messages to trees.

use super::wire::{Fields, Raw, illegal_wire_type, take_varint, wrong_wire_type};
use super::{names, special};
use crate::codec::DecodeError;
use crate::go::double;
use crate::schema::{Field, Schema, Shape};
use crate::{Map, Value};
use base64::Engine;

/// Deepest nesting taken, as in JSON.
pub(super) const MAX_DEPTH: usize = 120;

/// Decodes a message of type `id`. Unknown fields are dropped, as upstream drops them.
pub(super) fn message(schema: &Schema, id: u32, bytes: &[u8], depth: usize) -> Result<Map, DecodeError> {
    let mut map = Map::new();
    message_into(schema, id, bytes, depth, &mut map)?;
    schema.get(id).fill(&mut map);
    Ok(map)
}

fn message_into(schema: &Schema, id: u32, bytes: &[u8], depth: usize, map: &mut Map) -> Result<(), DecodeError> {
    if depth > MAX_DEPTH {
        return Err(DecodeError::Limit("exceeded max depth"));
    }
    let def = schema.get(id);
    let fields = &def.fields;
    let mut wire = Fields::of(def.short_name(), bytes).telling_others();
    while let Some((number, raw)) = wire.next()? {
        let Ok(at) = fields.binary_search_by_key(&number, |f| f.number) else {
            skip(raw)?;
            continue;
        };
        let field = &fields[at];
        check_wire_type(field, &raw)?;
        match (&field.shape, field.json.is_empty()) {
            (Shape::Message(inlined), true) => {
                message_into(schema, *inlined, raw.bytes().ok_or_else(wrong_wire_type)?, depth + 1, map)?;
            }
            _ => add(schema, field, raw, depth, map)?,
        }
    }
    Ok(())
}

/// Passes over a field that nobody knows.
fn skip(raw: Raw<'_>) -> Result<(), DecodeError> {
    match raw {
        Raw::Other(wire_type) => Err(illegal_wire_type(wire_type)),
        _ => Ok(()),
    }
}

/// Whether a field's value is of the wire type that its shape has.
fn check_wire_type(field: &Field, raw: &Raw<'_>) -> Result<(), DecodeError> {
    let is_integer = |shape: &Shape| matches!(shape, Shape::Int32 | Shape::Int64 | Shape::Bool);
    let is_right = match (&field.shape, raw) {
        (_, Raw::Other(_) | Raw::Fixed32) => false,
        (shape, Raw::Varint(_)) if is_integer(shape) => true,
        (shape, _) if is_integer(shape) => false,
        (Shape::Double, raw) => matches!(raw, Raw::Fixed64(_)),
        (Shape::List(inner), raw) => matches!(raw, Raw::Bytes(_)) || is_integer(inner) && matches!(raw, Raw::Varint(_)),
        (_, raw) => matches!(raw, Raw::Bytes(_)),
    };
    match is_right {
        true => Ok(()),
        false => {
            let (found, name) = (raw.wire_type(), names::of_field(&field.json));
            Err(DecodeError::Syntax(format!("proto: wrong wireType = {found} for field {name}")))
        }
    }
}

pub(super) fn add(
    schema: &Schema,
    field: &Field,
    raw: Raw<'_>,
    depth: usize,
    map: &mut Map,
) -> Result<(), DecodeError> {
    match &field.shape {
        Shape::List(inner) => {
            let slot = map.entry(&*field.json).or_insert_with(|| Value::Array(Vec::new()));
            let Some(list) = slot.as_array_mut() else { return Ok(()) };
            list_items(schema, inner, raw, depth, list)
        }
        Shape::Map(inner) => {
            let (key, value) = entry(schema, inner, raw, depth)?;
            let slot = map.entry(&*field.json).or_insert_with(|| Value::Object(Map::new()));
            if let Some(entries) = slot.as_object_mut() {
                entries.insert(key, value);
            }
            Ok(())
        }
        shape => {
            let decoded = value(schema, shape, raw, depth)?;
            if let Some(decoded) = decoded.filter(|v| !field.leaves_out(v)) {
                map.insert(field.json.to_string(), decoded);
            }
            Ok(())
        }
    }
}

fn list_items(
    schema: &Schema,
    inner: &Shape,
    raw: Raw<'_>,
    depth: usize,
    list: &mut Vec<Value>,
) -> Result<(), DecodeError> {
    let is_integer = matches!(inner, Shape::Int32 | Shape::Int64 | Shape::Bool);
    if let (true, Raw::Bytes(mut packed)) = (is_integer, raw) {
        while !packed.is_empty() {
            let item = Raw::Varint(take_varint(&mut packed)?);
            list.extend(value(schema, inner, item, depth)?);
        }
        return Ok(());
    }
    list.push(value(schema, inner, raw, depth)?.unwrap_or(Value::Null));
    Ok(())
}

fn entry(schema: &Schema, inner: &Shape, raw: Raw<'_>, depth: usize) -> Result<(String, Value), DecodeError> {
    let mut wire = Fields::new(raw.bytes().ok_or_else(wrong_wire_type)?);
    let (mut key, mut item) = (String::new(), None);
    while let Some((number, raw)) = wire.next()? {
        match number {
            1 => key = raw.text()?,
            2 => item = value(schema, inner, raw, depth + 1)?,
            _ => {}
        }
    }
    let absent = || match inner {
        Shape::String | Shape::Bytes => Value::from(""),
        Shape::Quantity => Value::from("0"),
        Shape::Message(_) => Value::Object(Map::new()),
        Shape::Strings => Value::Array(Vec::new()),
        _ => Value::Null,
    };
    Ok((key, item.unwrap_or_else(absent)))
}

/// Decodes one value; `None` for what JSON has as `null`.
pub(super) fn value(schema: &Schema, shape: &Shape, raw: Raw<'_>, depth: usize) -> Result<Option<Value>, DecodeError> {
    Ok(Some(match shape {
        Shape::String => raw.text()?.into(),
        Shape::Int32 => (raw.varint()? as i32).into(),
        Shape::Int64 => (raw.varint()? as i64).into(),
        Shape::Bool => (raw.varint()? != 0).into(),
        Shape::Double => match raw {
            Raw::Fixed64(bits) => double(f64::from_bits(bits)),
            _ => return Err(wrong_wire_type()),
        },
        Shape::Bytes => {
            base64::engine::general_purpose::STANDARD.encode(raw.bytes().ok_or_else(wrong_wire_type)?).into()
        }
        Shape::Message(id) => {
            let mut map = message(schema, *id, raw.bytes().ok_or_else(wrong_wire_type)?, depth + 1)?;
            if let Some((version, kind)) = &schema.get(*id).embedded {
                map.insert("apiVersion".into(), (**version).into());
                map.insert("kind".into(), (**kind).into());
            }
            map.into()
        }
        // Lists of lists and maps of maps are no type of the API's.
        Shape::List(_) | Shape::Map(_) => return Ok(None),
        _ => return special::decode(schema, shape, raw, depth),
    }))
}
