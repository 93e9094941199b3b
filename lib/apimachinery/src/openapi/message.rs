//! JSON documents as protobuf messages, by tables of members. Members that a message has no place
//! for are left out.
//!
//! Upstream: `google/gnostic-models`.

#[cfg(test)]
pub(super) mod reading;

use crate::codec::protobuf::wire::{put_bytes, put_integer, put_nested, put_tag};
use crate::{Map, Value};

/// The fields of a message and the number of its `x-` members, 0 if it has none.
pub(super) struct Message {
    pub(super) fields: &'static [(&'static str, u32, Shape)],
    pub(super) extensions: u32,
}

/// How a member is written.
pub(super) enum Shape {
    Text,
    Texts,
    Flag,
    Integer,
    Number,
    /// Any value, as YAML; JSON is some.
    Any,
    Anys,
    One(Form, &'static Message),
    Many(Form, &'static Message),
    /// A map: the number of its entries, and how their values lie.
    Entries(u32, Form, &'static Message),
    /// A text or several, as `type` has them in version 2.
    Types,
    /// A scalar, by its type.
    Scalar,
    /// A schema or a bool.
    Additional(Form, &'static Message),
    Requirements,
    /// As only one document has it.
    Odd(fn(u32, &Value, &mut Vec<u8>)),
}

/// How a message lies in the one around it.
pub(super) enum Form {
    Plain,
    /// In another one, as the field of this number.
    Within(u32, &'static Form),
    /// A message that holds it or a reference.
    OrReference,
}

static REFERENCE: Message = Message {
    fields: &[("$ref", 1, Shape::Text), ("summary", 2, Shape::Text), ("description", 3, Shape::Text)],
    extensions: 0,
};

/// Documentation that lies elsewhere, the same in both versions.
pub(super) static EXTERNAL: Message =
    Message { fields: &[("description", 1, Shape::Text), ("url", 2, Shape::Text)], extensions: 3 };

/// The message of a document.
pub(super) fn encoded(of: &Message, document: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    message(of, document, &mut out);
    out
}

/// Writes the members of a value.
fn message(of: &Message, value: &Value, out: &mut Vec<u8>) {
    let Some(members) = value.as_object() else { return };
    for (name, number, shape) in of.fields {
        if let Some(value) = members.get(*name) {
            member(*number, shape, value, out);
        }
    }
    if of.extensions > 0 {
        extensions(of.extensions, members, out);
    }
}

fn extensions(number: u32, members: &Map, out: &mut Vec<u8>) {
    for (name, value) in members.iter().filter(|(name, _)| name.starts_with("x-")) {
        entry(number, name, out, |out| any(value, out));
    }
}

fn member(number: u32, shape: &Shape, value: &Value, out: &mut Vec<u8>) {
    match shape {
        Shape::Text => text(number, value, out),
        Shape::Texts => list(value).iter().for_each(|item| text(number, item, out)),
        Shape::Flag if value.as_bool() == Some(true) => put_integer(out, number, 1),
        Shape::Flag => {}
        Shape::Integer => {
            value.as_i64().filter(|count| *count != 0).into_iter().for_each(|n| put_integer(out, number, n));
        }
        Shape::Number => value.as_f64().filter(|value| *value != 0.0).into_iter().for_each(|n| double(number, n, out)),
        Shape::Any => put_nested(out, number, |out| any(value, out)),
        Shape::Anys => list(value).iter().for_each(|item| put_nested(out, number, |out| any(item, out))),
        Shape::One(form, of) => put_nested(out, number, |out| within(form, of, value, out)),
        Shape::Many(form, of) => {
            list(value).iter().for_each(|item| put_nested(out, number, |out| within(form, of, item, out)));
        }
        Shape::Entries(of_entry, form, of) => put_nested(out, number, |out| {
            for (name, value) in value.as_object().into_iter().flatten() {
                entry(*of_entry, name, out, |out| within(form, of, value, out));
            }
        }),
        Shape::Types => put_nested(out, number, |out| match value {
            Value::Array(types) => types.iter().for_each(|item| text(1, item, out)),
            one => text(1, one, out),
        }),
        Shape::Scalar => put_nested(out, number, |out| scalar(value, out)),
        Shape::Additional(form, of) => put_nested(out, number, |out| match value {
            Value::Bool(allowed) => put_integer(out, 2, i64::from(*allowed)),
            schema => put_nested(out, 1, |out| within(form, of, schema, out)),
        }),
        Shape::Requirements => {
            list(value).iter().for_each(|item| put_nested(out, number, |out| requirement(item, out)));
        }
        Shape::Odd(write) => write(number, value, out),
    }
}

/// A name and a value.
pub(super) fn entry(number: u32, name: &str, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    put_nested(out, number, |out| {
        put_bytes(out, 1, name.as_bytes());
        put_nested(out, 2, write);
    });
}

/// Writes a message where its form says.
pub(super) fn within(form: &Form, of: &Message, value: &Value, out: &mut Vec<u8>) {
    match form {
        Form::Plain => message(of, value, out),
        Form::Within(number, inner) => put_nested(out, *number, |out| within(inner, of, value, out)),
        Form::OrReference if value.get("$ref").is_some() => put_nested(out, 2, |out| message(&REFERENCE, value, out)),
        Form::OrReference => put_nested(out, 1, |out| message(of, value, out)),
    }
}

/// Names of security definitions with the scopes that each needs.
fn requirement(value: &Value, out: &mut Vec<u8>) {
    for (name, scopes) in value.as_object().into_iter().flatten() {
        entry(1, name, out, |out| list(scopes).iter().for_each(|scope| text(1, scope, out)));
    }
}

fn any(value: &Value, out: &mut Vec<u8>) {
    put_bytes(out, 2, format!("{value}\n").as_bytes());
}

/// Others than scalars have no place.
fn scalar(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Number(number) => number.as_f64().into_iter().for_each(|number| double(1, number, out)),
        Value::Bool(flag) => put_integer(out, 2, i64::from(*flag)),
        other => text(3, other, out),
    }
}

fn text(number: u32, value: &Value, out: &mut Vec<u8>) {
    if let Some(text) = value.as_str() {
        put_bytes(out, number, text.as_bytes());
    }
}

fn double(number: u32, value: f64, out: &mut Vec<u8>) {
    put_tag(out, number, 1);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
