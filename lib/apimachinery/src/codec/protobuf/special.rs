//! Types whose JSON form is not that of their message: quantities, times, int-or-string, raw
//! objects, and the choices inside JSON schemas.

use super::decode as messages;
use super::encode::{self, text};
use super::wire;
use super::wire::{Raw, put_bytes, put_integer, put_nested, wrong_wire_type};
use crate::codec::{DecodeError, fields, json};
use crate::schema::{Schema, Shape};
use crate::{Map, Value, time};
use jiff::Timestamp;

const JSON_SCHEMA: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

pub(super) fn encode(schema: &Schema, number: u32, shape: &Shape, value: &Value, out: &mut Vec<u8>) {
    match shape {
        Shape::Quantity => put_nested(out, number, |out| put_bytes(out, 1, text(value).as_bytes())),
        Shape::Time | Shape::MicroTime => put_nested(out, number, |out| timestamp(out, text(value))),
        Shape::Duration => {
            let nanos = time::parse_go_nanos(text(value)).unwrap_or_default();
            put_nested(out, number, |out| put_integer(out, 1, nanos));
        }
        Shape::IntOrString => int_or_string(out, number, value),
        Shape::FieldsV1 => put_nested(out, number, |out| put_nested(out, 1, |out| fields::write(out, value))),
        Shape::RawExtension | Shape::Json => {
            put_nested(out, number, |out| put_bytes(out, 1, value.to_string().as_bytes()))
        }
        Shape::Strings => put_nested(out, number, |out| {
            for item in value.as_array().into_iter().flatten() {
                put_bytes(out, 1, text(item).as_bytes());
            }
        }),
        Shape::SchemaOrArray | Shape::SchemaOrBool | Shape::SchemaOrStrings => {
            put_nested(out, number, |out| schema_choice(schema, shape, value, out));
        }
        _ => {}
    }
}

fn timestamp(out: &mut Vec<u8>, text: &str) {
    if let Ok(time) = text.parse::<Timestamp>() {
        let nanos = time.subsec_nanosecond();
        // Before 1970 seconds round down, so that nanos are never negative.
        let (seconds, nanos) =
            if nanos < 0 { (time.as_second() - 1, nanos + 1_000_000_000) } else { (time.as_second(), nanos) };
        put_integer(out, 1, seconds);
        put_integer(out, 2, nanos.into());
    }
}

/// All three members are always written: type, integer, string.
pub(super) fn int_or_string(out: &mut Vec<u8>, number: u32, value: &Value) {
    put_nested(out, number, |out| {
        let string = value.as_str();
        put_integer(out, 1, i64::from(string.is_some()));
        put_integer(out, 2, value.as_i64().unwrap_or_default());
        put_bytes(out, 3, string.unwrap_or_default().as_bytes());
    });
}

/// Member 1 is the schema (for a boolean choice: whether it allows), member 2 the alternative.
fn schema_choice(schema: &Schema, shape: &Shape, value: &Value, out: &mut Vec<u8>) {
    let Some(id) = schema.id_of(JSON_SCHEMA) else { return };
    let nested =
        |out: &mut Vec<u8>, number, value: &Value| encode::value(schema, number, &Shape::Message(id), value, out);
    match (shape, value) {
        (Shape::SchemaOrBool, Value::Object(_)) => {
            put_integer(out, 1, 1);
            nested(out, 2, value);
        }
        (Shape::SchemaOrBool, _) => put_integer(out, 1, i64::from(value.as_bool().unwrap_or_default())),
        (_, Value::Object(_)) => nested(out, 1, value),
        (Shape::SchemaOrArray, Value::Array(list)) => list.iter().for_each(|item| nested(out, 2, item)),
        (_, Value::Array(list)) => list.iter().for_each(|item| put_bytes(out, 2, text(item).as_bytes())),
        _ => {}
    }
}

pub(super) fn decode(schema: &Schema, shape: &Shape, raw: Raw<'_>, depth: usize) -> Result<Option<Value>, DecodeError> {
    let bytes = raw.bytes().ok_or_else(wrong_wire_type)?;
    let members = Members::read(bytes)?;
    Ok(match shape {
        Shape::Quantity => Some(match members.text(1)? {
            text if text.is_empty() => "0".into(),
            text => text.into(),
        }),
        Shape::Time => Some(members.time(time::format)),
        Shape::MicroTime => Some(members.time(time::format_micro)),
        Shape::Duration => Some(time::format_go_duration(members.integer(1)).into()),
        Shape::IntOrString => Some(match members.integer(1) {
            0 => (members.integer(2) as i32).into(),
            _ => members.text(3)?.into(),
        }),
        Shape::RawExtension | Shape::FieldsV1 | Shape::Json => match members.first(1).and_then(|raw| raw.bytes()) {
            Some(raw) if !raw.is_empty() => Some(raw_object(raw)?),
            _ => None,
        },
        Shape::Strings => {
            let texts: Result<Vec<Value>, _> = members.all(1).map(|raw| raw.text().map(Value::from)).collect();
            Some(Value::Array(texts?))
        }
        Shape::SchemaOrArray | Shape::SchemaOrBool | Shape::SchemaOrStrings => {
            decode_choice(schema, shape, &members, depth)?
        }
        _ => None,
    })
}

/// A raw extension: JSON, or an envelope that some clients put there.
fn raw_object(bytes: &[u8]) -> Result<Value, DecodeError> {
    if !bytes.starts_with(super::MAGIC) {
        return json::to_value(bytes);
    }
    let envelope = super::open(bytes)?;
    let group_version = crate::gvk::parse_api_version(&envelope.api_version);
    let kind = group_version
        .map(|(g, v)| crate::gvk::GroupVersionKind::new(g.to_owned(), v.to_owned(), envelope.kind.clone()));
    let ty = kind.and_then(|kind| Schema::builtin().kind(&kind));
    let ty = ty.ok_or_else(|| DecodeError::MissingKind(envelope.kind.clone()))?;
    let mut value = super::decode(&ty, envelope.raw)?;
    if let Some(map) = value.as_object_mut() {
        map.insert("apiVersion".into(), envelope.api_version.into());
        map.insert("kind".into(), envelope.kind.into());
    }
    Ok(value)
}

fn decode_choice(
    schema: &Schema,
    shape: &Shape,
    members: &Members<'_>,
    depth: usize,
) -> Result<Option<Value>, DecodeError> {
    let Some(id) = schema.id_of(JSON_SCHEMA) else { return Ok(None) };
    let props = |raw: &Raw<'_>| messages::value(schema, &Shape::Message(id), *raw, depth + 1);
    let schema_member = if *shape == Shape::SchemaOrBool { 2 } else { 1 };
    if let Some(raw) = members.first(schema_member) {
        return props(raw);
    }
    Ok(match shape {
        Shape::SchemaOrBool => Some((members.integer(1) != 0).into()),
        Shape::SchemaOrArray => {
            let list: Result<Vec<_>, _> = members.all(2).map(props).collect();
            Some(Value::Array(list?.into_iter().map(|v| v.unwrap_or_else(|| Value::Object(Map::new()))).collect()))
        }
        _ => {
            let list: Result<Vec<Value>, _> = members.all(2).map(|raw| raw.text().map(Value::from)).collect();
            Some(Value::Array(list?))
        }
    })
}

/// The members of a small message.
struct Members<'a>(Vec<(u32, Raw<'a>)>);

impl<'a> Members<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut fields = wire::Fields::new(bytes);
        let mut members = Vec::new();
        while let Some(member) = fields.next()? {
            members.push(member);
        }
        Ok(Self(members))
    }

    fn all(&self, number: u32) -> impl Iterator<Item = &Raw<'a>> {
        self.0.iter().filter(move |(n, _)| *n == number).map(|(_, raw)| raw)
    }

    fn first(&self, number: u32) -> Option<&Raw<'a>> {
        self.all(number).next()
    }

    fn integer(&self, number: u32) -> i64 {
        self.first(number).and_then(|raw| raw.varint().ok()).unwrap_or_default() as i64
    }

    fn text(&self, number: u32) -> Result<String, DecodeError> {
        self.first(number).map_or(Ok(String::new()), Raw::text)
    }

    /// `null` for the zero time.
    fn time(&self, format: fn(Timestamp) -> String) -> Value {
        let text = self.timestamp().map(format).filter(|text| !time::is_zero(text));
        text.map_or(Value::Null, Value::from)
    }

    /// `None` for an empty message, which stands for the zero time.
    fn timestamp(&self) -> Option<Timestamp> {
        if self.0.is_empty() {
            return None;
        }
        let nanos = i32::try_from(self.integer(2)).ok()?;
        Timestamp::new(self.integer(1), nanos).ok()
    }
}
