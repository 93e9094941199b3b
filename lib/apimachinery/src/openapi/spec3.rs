//! A document of version 3 as the protobuf message that Go clients ask for.
//!
//! Upstream: `google/gnostic-models/openapiv3/OpenAPIv3.proto`, written by
//! `kube-openapi/pkg/handler3`.

use super::message::Form::{OrReference, Plain, Within};
use super::message::Shape::{
    Additional, Any, Anys, Entries, Flag, Integer, Many, Number, Odd, One, Requirements, Scalar, Text, Texts,
};
use super::message::{EXTERNAL, Message, encoded, entry, within};
use crate::Value;
use crate::codec::protobuf::wire::put_nested;

static DOCUMENT: Message = Message {
    fields: &[
        ("openapi", 1, Text),
        ("info", 2, One(Plain, &INFO)),
        ("paths", 4, Entries(1, Plain, &PATH)),
        ("components", 5, One(Plain, &COMPONENTS)),
        ("security", 6, Requirements),
        ("externalDocs", 8, One(Plain, &EXTERNAL)),
    ],
    extensions: 9,
};

static INFO: Message = Message {
    fields: &[("title", 1, Text), ("description", 2, Text), ("termsOfService", 3, Text), ("version", 6, Text)],
    extensions: 7,
};

static COMPONENTS: Message = Message {
    fields: &[
        ("schemas", 1, Entries(1, OrReference, &SCHEMA)),
        ("responses", 2, Entries(1, OrReference, &RESPONSE)),
        ("parameters", 3, Entries(1, OrReference, &PARAMETER)),
        ("requestBodies", 5, Entries(1, OrReference, &REQUEST_BODY)),
        ("securitySchemes", 7, Entries(1, OrReference, &SECURITY_SCHEME)),
    ],
    extensions: 10,
};

static SECURITY_SCHEME: Message = Message {
    fields: &[
        ("type", 1, Text),
        ("description", 2, Text),
        ("name", 3, Text),
        ("in", 4, Text),
        ("scheme", 5, Text),
        ("bearerFormat", 6, Text),
        ("openIdConnectUrl", 8, Text),
    ],
    extensions: 9,
};

static PATH: Message = Message {
    fields: &[
        ("$ref", 1, Text),
        ("summary", 2, Text),
        ("description", 3, Text),
        ("get", 4, One(Plain, &OPERATION)),
        ("put", 5, One(Plain, &OPERATION)),
        ("post", 6, One(Plain, &OPERATION)),
        ("delete", 7, One(Plain, &OPERATION)),
        ("options", 8, One(Plain, &OPERATION)),
        ("head", 9, One(Plain, &OPERATION)),
        ("patch", 10, One(Plain, &OPERATION)),
        ("trace", 11, One(Plain, &OPERATION)),
        ("parameters", 13, Many(OrReference, &PARAMETER)),
    ],
    extensions: 14,
};

static OPERATION: Message = Message {
    fields: &[
        ("tags", 1, Texts),
        ("summary", 2, Text),
        ("description", 3, Text),
        ("externalDocs", 4, One(Plain, &EXTERNAL)),
        ("operationId", 5, Text),
        ("parameters", 6, Many(OrReference, &PARAMETER)),
        ("requestBody", 7, One(OrReference, &REQUEST_BODY)),
        ("responses", 8, Odd(responses)),
        ("deprecated", 10, Flag),
        ("security", 11, Requirements),
    ],
    extensions: 13,
};

static PARAMETER: Message = Message {
    fields: &[
        ("name", 1, Text),
        ("in", 2, Text),
        ("description", 3, Text),
        ("required", 4, Flag),
        ("deprecated", 5, Flag),
        ("allowEmptyValue", 6, Flag),
        ("style", 7, Text),
        ("explode", 8, Flag),
        ("allowReserved", 9, Flag),
        ("schema", 10, One(OrReference, &SCHEMA)),
        ("example", 11, Any),
        ("content", 13, Entries(1, Plain, &MEDIA_TYPE)),
    ],
    extensions: 14,
};

static REQUEST_BODY: Message = Message {
    fields: &[("description", 1, Text), ("content", 2, Entries(1, Plain, &MEDIA_TYPE)), ("required", 3, Flag)],
    extensions: 4,
};

static RESPONSE: Message =
    Message { fields: &[("description", 1, Text), ("content", 3, Entries(1, Plain, &MEDIA_TYPE))], extensions: 5 };

static MEDIA_TYPE: Message =
    Message { fields: &[("schema", 1, One(OrReference, &SCHEMA)), ("example", 2, Any)], extensions: 5 };

static SCHEMA: Message = Message {
    fields: &[
        ("nullable", 1, Flag),
        ("readOnly", 3, Flag),
        ("writeOnly", 4, Flag),
        ("externalDocs", 6, One(Plain, &EXTERNAL)),
        ("example", 7, Any),
        ("deprecated", 8, Flag),
        ("title", 9, Text),
        ("multipleOf", 10, Number),
        ("maximum", 11, Number),
        ("exclusiveMaximum", 12, Flag),
        ("minimum", 13, Number),
        ("exclusiveMinimum", 14, Flag),
        ("maxLength", 15, Integer),
        ("minLength", 16, Integer),
        ("pattern", 17, Text),
        ("maxItems", 18, Integer),
        ("minItems", 19, Integer),
        ("uniqueItems", 20, Flag),
        ("maxProperties", 21, Integer),
        ("minProperties", 22, Integer),
        ("required", 23, Texts),
        ("enum", 24, Anys),
        ("type", 25, Text),
        ("allOf", 26, Many(OrReference, &SCHEMA)),
        ("oneOf", 27, Many(OrReference, &SCHEMA)),
        ("anyOf", 28, Many(OrReference, &SCHEMA)),
        ("not", 29, One(Plain, &SCHEMA)),
        ("items", 30, One(Within(1, &OrReference), &SCHEMA)),
        ("properties", 31, Entries(1, OrReference, &SCHEMA)),
        ("additionalProperties", 32, Additional(OrReference, &SCHEMA)),
        ("default", 33, Scalar),
        ("description", 34, Text),
        ("format", 35, Text),
    ],
    extensions: 36,
};

/// The message of a document.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    encoded(&DOCUMENT, document)
}

/// Responses by their code, and one for all others.
fn responses(number: u32, value: &Value, out: &mut Vec<u8>) {
    put_nested(out, number, |out| {
        for (code, response) in value.as_object().into_iter().flatten() {
            match code.as_str() {
                "default" => put_nested(out, 1, |out| within(&OrReference, &RESPONSE, response, out)),
                code => entry(2, code, out, |out| within(&OrReference, &RESPONSE, response, out)),
            }
        }
    });
}

#[cfg(test)]
#[path = "spec3/tests.rs"]
mod tests;
