//! A document of version 2 as the protobuf message that Go clients ask for.
//!
//! Upstream: `google/gnostic-models/openapiv2/OpenAPIv2.proto`, written by
//! `kube-openapi/pkg/handler`. Members that the message has no place for are left out.

use crate::codec::protobuf::wire::{put_bytes, put_integer, put_nested, put_tag};
use crate::{Map, Value};

/// The fields of a message and the number of its `x-` members, 0 if it has none.
struct Message {
    fields: &'static [(&'static str, u32, Shape)],
    extensions: u32,
}

/// How a member is written.
enum Shape {
    Text,
    Texts,
    Flag,
    Integer,
    Number,
    /// Any value, as YAML; JSON is some.
    Any,
    Anys,
    One(&'static Message),
    Many(&'static Message),
    /// A message in messages of one field each: their numbers.
    Within(&'static [u32], &'static Message),
    /// A map: the number of its entries, and how deep their values lie.
    Entries(u32, &'static [u32], &'static Message),
    /// A text or several, as `type` has them.
    Types,
    /// A schema or a bool.
    Additional,
    Parameters,
    Requirements,
}

use Shape::{
    Additional, Any, Anys, Entries, Flag, Integer, Many, Number, One, Parameters, Requirements, Text, Texts, Types,
    Within,
};

static DOCUMENT: Message = Message {
    fields: &[
        ("swagger", 1, Text),
        ("info", 2, One(&INFO)),
        ("host", 3, Text),
        ("basePath", 4, Text),
        ("schemes", 5, Texts),
        ("consumes", 6, Texts),
        ("produces", 7, Texts),
        ("paths", 8, Entries(2, &[], &PATH)),
        ("definitions", 9, Entries(1, &[], &SCHEMA)),
        ("security", 12, Requirements),
        ("securityDefinitions", 13, Entries(1, &[2], &API_KEY)),
    ],
    extensions: 16,
};

static INFO: Message =
    Message { fields: &[("title", 1, Text), ("version", 2, Text), ("description", 3, Text)], extensions: 7 };

static API_KEY: Message = Message {
    fields: &[("type", 1, Text), ("name", 2, Text), ("in", 3, Text), ("description", 4, Text)],
    extensions: 5,
};

static PATH: Message = Message {
    fields: &[
        ("$ref", 1, Text),
        ("get", 2, One(&OPERATION)),
        ("put", 3, One(&OPERATION)),
        ("post", 4, One(&OPERATION)),
        ("delete", 5, One(&OPERATION)),
        ("options", 6, One(&OPERATION)),
        ("head", 7, One(&OPERATION)),
        ("patch", 8, One(&OPERATION)),
        ("parameters", 9, Parameters),
    ],
    extensions: 10,
};

static OPERATION: Message = Message {
    fields: &[
        ("tags", 1, Texts),
        ("summary", 2, Text),
        ("description", 3, Text),
        ("externalDocs", 4, One(&EXTERNAL)),
        ("operationId", 5, Text),
        ("produces", 6, Texts),
        ("consumes", 7, Texts),
        ("parameters", 8, Parameters),
        ("responses", 9, Entries(1, &[1], &RESPONSE)),
        ("schemes", 10, Texts),
        ("deprecated", 11, Flag),
        ("security", 12, Requirements),
    ],
    extensions: 13,
};

static EXTERNAL: Message = Message { fields: &[("description", 1, Text), ("url", 2, Text)], extensions: 3 };

static RESPONSE: Message =
    Message { fields: &[("description", 1, Text), ("schema", 2, Within(&[1], &SCHEMA))], extensions: 5 };

static BODY: Message = Message {
    fields: &[
        ("description", 1, Text),
        ("name", 2, Text),
        ("in", 3, Text),
        ("required", 4, Flag),
        ("schema", 5, One(&SCHEMA)),
    ],
    extensions: 6,
};

/// A parameter in a path or a header; the resource table has no constraints for one.
static PARAMETER: Message = Message {
    fields: &[
        ("required", 1, Flag),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 5, Text),
        ("format", 6, Text),
        ("uniqueItems", 19, Flag),
    ],
    extensions: 22,
};

/// A parameter in a query or a form.
static QUERY_PARAMETER: Message = Message {
    fields: &[
        ("required", 1, Flag),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("allowEmptyValue", 5, Flag),
        ("type", 6, Text),
        ("format", 7, Text),
        ("uniqueItems", 20, Flag),
    ],
    extensions: 23,
};

static SCHEMA: Message = Message {
    fields: &[
        ("$ref", 1, Text),
        ("format", 2, Text),
        ("title", 3, Text),
        ("description", 4, Text),
        ("default", 5, Any),
        ("multipleOf", 6, Number),
        ("maximum", 7, Number),
        ("exclusiveMaximum", 8, Flag),
        ("minimum", 9, Number),
        ("exclusiveMinimum", 10, Flag),
        ("maxLength", 11, Integer),
        ("minLength", 12, Integer),
        ("pattern", 13, Text),
        ("maxItems", 14, Integer),
        ("minItems", 15, Integer),
        ("uniqueItems", 16, Flag),
        ("maxProperties", 17, Integer),
        ("minProperties", 18, Integer),
        ("required", 19, Texts),
        ("enum", 20, Anys),
        ("additionalProperties", 21, Additional),
        ("type", 22, Types),
        ("items", 23, Within(&[1], &SCHEMA)),
        ("allOf", 24, Many(&SCHEMA)),
        ("properties", 25, Entries(1, &[], &SCHEMA)),
        ("discriminator", 26, Text),
        ("readOnly", 27, Flag),
        ("externalDocs", 29, One(&EXTERNAL)),
        ("example", 30, Any),
    ],
    extensions: 31,
};

/// The message of a document.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    message(&DOCUMENT, document, &mut out);
    out
}

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
        entry(number, name, &[], out, |out| any(value, out));
    }
}

fn member(number: u32, shape: &Shape, value: &Value, out: &mut Vec<u8>) {
    match shape {
        Text => text(number, value, out),
        Texts => list(value).iter().for_each(|item| text(number, item, out)),
        Flag if value.as_bool() == Some(true) => put_integer(out, number, 1),
        Flag => {}
        Integer => value.as_i64().filter(|count| *count != 0).into_iter().for_each(|n| put_integer(out, number, n)),
        Number => put_number(number, value, out),
        Any => put_nested(out, number, |out| any(value, out)),
        Anys => list(value).iter().for_each(|item| put_nested(out, number, |out| any(item, out))),
        One(of) => put_nested(out, number, |out| message(of, value, out)),
        Many(of) => list(value).iter().for_each(|item| put_nested(out, number, |out| message(of, item, out))),
        Within(path, of) => put_nested(out, number, |out| within(path, out, |out| message(of, value, out))),
        Entries(of_entry, path, of) => put_nested(out, number, |out| {
            for (name, value) in value.as_object().into_iter().flatten() {
                entry(*of_entry, name, path, out, |out| message(of, value, out));
            }
        }),
        Types => put_nested(out, number, |out| match value {
            Value::Array(types) => types.iter().for_each(|item| text(1, item, out)),
            one => text(1, one, out),
        }),
        Additional => put_nested(out, number, |out| match value {
            Value::Bool(allowed) => put_integer(out, 2, i64::from(*allowed)),
            schema => put_nested(out, 1, |out| message(&SCHEMA, schema, out)),
        }),
        Parameters => list(value).iter().for_each(|item| put_nested(out, number, |out| parameter(item, out))),
        Requirements => list(value).iter().for_each(|item| put_nested(out, number, |out| requirement(item, out))),
    }
}

/// A name and a value, which lies as deep as `path` says.
fn entry(number: u32, name: &str, path: &[u32], out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    put_nested(out, number, |out| {
        put_bytes(out, 1, name.as_bytes());
        put_nested(out, 2, |out| within(path, out, write));
    });
}

fn within(path: &[u32], out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    // One message deep at most.
    match path.first() {
        Some(number) => put_nested(out, *number, write),
        None => write(out),
    }
}

fn parameter(value: &Value, out: &mut Vec<u8>) {
    let (way, of): (&[u32], &Message) = match value.get("in").and_then(Value::as_str) {
        Some("body") => (&[1], &BODY),
        Some("header") => (&[2, 1], &PARAMETER),
        Some("formData") => (&[2, 2], &QUERY_PARAMETER),
        Some("path") => (&[2, 4], &PARAMETER),
        _ => (&[2, 3], &QUERY_PARAMETER),
    };
    put_nested(out, 1, |out| {
        put_nested(out, way[0], |out| within(&way[1..], out, |out| message(of, value, out)));
    });
}

/// Names of security definitions with the scopes that each needs.
fn requirement(value: &Value, out: &mut Vec<u8>) {
    for (name, scopes) in value.as_object().into_iter().flatten() {
        entry(1, name, &[], out, |out| list(scopes).iter().for_each(|scope| text(1, scope, out)));
    }
}

fn any(value: &Value, out: &mut Vec<u8>) {
    put_bytes(out, 2, format!("{value}\n").as_bytes());
}

fn text(number: u32, value: &Value, out: &mut Vec<u8>) {
    if let Some(text) = value.as_str() {
        put_bytes(out, number, text.as_bytes());
    }
}

fn put_number(number: u32, value: &Value, out: &mut Vec<u8>) {
    if let Some(value) = value.as_f64().filter(|value| *value != 0.0) {
        put_tag(out, number, 1);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
#[path = "swagger/tests.rs"]
mod tests;
