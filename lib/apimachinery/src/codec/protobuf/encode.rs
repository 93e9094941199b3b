//! Trees to messages.

use super::special;
use super::wire::{put_bytes, put_integer, put_nested, put_tag};
use crate::Value;
use crate::schema::{Field, Presence, Schema, Shape};
use base64::Engine;

/// More fields than any type has: a test of the table counts them.
pub(crate) const MAX_FIELDS: usize = 64;

/// Appends the message of type `id`. A value that is no object is written as an empty one.
pub(super) fn message(schema: &Schema, id: u32, value: &Value, out: &mut Vec<u8>) {
    let def = schema.get(id);
    // Objects have few of the members that their types have, so it is them that are looked up.
    let mut given = [None; MAX_FIELDS];
    for (name, value) in value.as_object().into_iter().flatten() {
        let member = def.member(name).and_then(|at| def.members.get(at));
        if let Some((_, _, position)) = member.filter(|(_, owner, _)| *owner == id)
            && let Some(slot) = given.get_mut(*position as usize)
        {
            *slot = Some(value);
        }
    }
    for (field, given) in def.fields.iter().zip(&given) {
        match *given {
            // An inlined message takes its members from the same object.
            _ if field.json.is_empty() => put_nested_message(schema, field, value, out),
            // A zero time is there even where none would not be.
            Some(Value::Null) if matches!(field.shape, Shape::Time | Shape::MicroTime) => {
                put_bytes(out, field.number, b"");
            }
            Some(Value::Null) | None => absent(schema, field, out),
            Some(present) => self::value(schema, field.number, &field.shape, present, out),
        }
    }
}

fn put_nested_message(schema: &Schema, field: &Field, value: &Value, out: &mut Vec<u8>) {
    if let Shape::Message(inlined) = field.shape {
        put_nested(out, field.number, |out| message(schema, inlined, value, out));
    }
}

/// What upstream writes for a field that is not set: nothing for pointers, lists and maps, the
/// zero value for the rest.
fn absent(schema: &Schema, field: &Field, out: &mut Vec<u8>) {
    if field.presence == Presence::Pointer {
        return;
    }
    match &field.shape {
        Shape::String => put_bytes(out, field.number, b""),
        Shape::Quantity | Shape::Duration => special::encode(schema, field.number, &field.shape, &"0".into(), out),
        Shape::Int32 | Shape::Int64 | Shape::Bool => put_integer(out, field.number, 0),
        Shape::Double => {
            put_tag(out, field.number, 1);
            out.extend_from_slice(&[0; 8]);
        }
        Shape::Message(id) => put_nested(out, field.number, |out| message(schema, *id, &Value::Null, out)),
        Shape::Time | Shape::MicroTime | Shape::RawExtension => put_bytes(out, field.number, b""),
        Shape::IntOrString => special::int_or_string(out, field.number, &0.into()),
        Shape::Bytes
        | Shape::FieldsV1
        | Shape::Json
        | Shape::SchemaOrArray
        | Shape::SchemaOrBool
        | Shape::SchemaOrStrings
        | Shape::Strings
        | Shape::List(_)
        | Shape::Map(_) => {}
    }
}

/// Appends one value under a field number.
pub(super) fn value(schema: &Schema, number: u32, shape: &Shape, value: &Value, out: &mut Vec<u8>) {
    match shape {
        Shape::String => put_bytes(out, number, text(value).as_bytes()),
        Shape::Int32 | Shape::Int64 => put_integer(out, number, value.as_i64().unwrap_or_default()),
        Shape::Bool => put_integer(out, number, i64::from(value.as_bool().unwrap_or_default())),
        Shape::Double => {
            put_tag(out, number, 1);
            out.extend_from_slice(&value.as_f64().unwrap_or_default().to_le_bytes());
        }
        Shape::Bytes => put_bytes(out, number, &base64_bytes(value)),
        Shape::Message(id) => put_nested(out, number, |out| message(schema, *id, value, out)),
        Shape::List(inner) => {
            for item in value.as_array().into_iter().flatten() {
                self::value(schema, number, inner, item, out);
            }
        }
        Shape::Map(inner) => {
            // Keys of a tree are sorted already.
            for (key, item) in value.as_object().into_iter().flatten() {
                put_nested(out, number, |out| {
                    put_bytes(out, 1, key.as_bytes());
                    self::value(schema, 2, inner, item, out);
                });
            }
        }
        _ => special::encode(schema, number, shape, value, out),
    }
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn base64_bytes(value: &Value) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(text(value)).unwrap_or_default()
}
