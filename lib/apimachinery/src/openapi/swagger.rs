//! A document of version 2 as the protobuf message that Go clients ask for.
//!
//! Upstream: `google/gnostic-models/openapiv2/OpenAPIv2.proto`, written by
//! `kube-openapi/pkg/handler`.

use super::message::Form::{Plain, Within};
use super::message::Shape::{
    Additional, Any, Anys, Entries, Flag, Integer, Many, Number, Odd, One, Requirements, Text, Texts, Types,
};
use super::message::{EXTERNAL, Message, encoded, list, within};
use crate::Value;
use crate::codec::protobuf::wire::put_nested;

static DOCUMENT: Message = Message {
    fields: &[
        ("swagger", 1, Text),
        ("info", 2, One(Plain, &INFO)),
        ("host", 3, Text),
        ("basePath", 4, Text),
        ("schemes", 5, Texts),
        ("consumes", 6, Texts),
        ("produces", 7, Texts),
        ("paths", 8, Entries(2, Plain, &PATH)),
        ("definitions", 9, Entries(1, Plain, &SCHEMA)),
        ("security", 12, Requirements),
        ("securityDefinitions", 13, Entries(1, Within(2, &Plain), &API_KEY)),
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
        ("get", 2, One(Plain, &OPERATION)),
        ("put", 3, One(Plain, &OPERATION)),
        ("post", 4, One(Plain, &OPERATION)),
        ("delete", 5, One(Plain, &OPERATION)),
        ("options", 6, One(Plain, &OPERATION)),
        ("head", 7, One(Plain, &OPERATION)),
        ("patch", 8, One(Plain, &OPERATION)),
        ("parameters", 9, Odd(parameters)),
    ],
    extensions: 10,
};

static OPERATION: Message = Message {
    fields: &[
        ("tags", 1, Texts),
        ("summary", 2, Text),
        ("description", 3, Text),
        ("externalDocs", 4, One(Plain, &EXTERNAL)),
        ("operationId", 5, Text),
        ("produces", 6, Texts),
        ("consumes", 7, Texts),
        ("parameters", 8, Odd(parameters)),
        ("responses", 9, Entries(1, Within(1, &Plain), &RESPONSE)),
        ("schemes", 10, Texts),
        ("deprecated", 11, Flag),
        ("security", 12, Requirements),
    ],
    extensions: 13,
};

static RESPONSE: Message =
    Message { fields: &[("description", 1, Text), ("schema", 2, One(Within(1, &Plain), &SCHEMA))], extensions: 5 };

static BODY: Message = Message {
    fields: &[
        ("description", 1, Text),
        ("name", 2, Text),
        ("in", 3, Text),
        ("required", 4, Flag),
        ("schema", 5, One(Plain, &SCHEMA)),
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
        ("additionalProperties", 21, Additional(Plain, &SCHEMA)),
        ("type", 22, Types),
        ("items", 23, One(Within(1, &Plain), &SCHEMA)),
        ("allOf", 24, Many(Plain, &SCHEMA)),
        ("properties", 25, Entries(1, Plain, &SCHEMA)),
        ("discriminator", 26, Text),
        ("readOnly", 27, Flag),
        ("externalDocs", 29, One(Plain, &EXTERNAL)),
        ("example", 30, Any),
    ],
    extensions: 31,
};

/// The message of a document.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    encoded(&DOCUMENT, document)
}

/// Parameters differ by their place.
fn parameters(number: u32, value: &Value, out: &mut Vec<u8>) {
    list(value).iter().for_each(|item| put_nested(out, number, |out| parameter(item, out)));
}

fn parameter(value: &Value, out: &mut Vec<u8>) {
    let (form, of) = match value.get("in").and_then(Value::as_str) {
        Some("body") => (&Within(1, &Plain), &BODY),
        Some("header") => (&Within(2, &Within(1, &Plain)), &PARAMETER),
        Some("formData") => (&Within(2, &Within(2, &Plain)), &QUERY_PARAMETER),
        Some("path") => (&Within(2, &Within(4, &Plain)), &PARAMETER),
        _ => (&Within(2, &Within(3, &Plain)), &QUERY_PARAMETER),
    };
    put_nested(out, 1, |out| within(form, of, value, out));
}

#[cfg(test)]
#[path = "swagger/tests.rs"]
mod tests;
