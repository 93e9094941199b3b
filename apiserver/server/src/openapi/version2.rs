//! The document of version 2 in its two forms, each encoded once, when somebody first asks for it.
//!
//! Upstream: `kube-openapi/pkg/handler/handler.go`.

use crate::body::Body;
use crate::document::Document;
use crate::negotiate;
use apimachinery::{Value, openapi};
use bytes::Bytes;
use component::memory::trimmed;
use http::header::{HeaderValue, VARY};
use http::{HeaderMap, Response, StatusCode};
use sha2::{Digest, Sha256};
use std::sync::OnceLock;

/// The forms; both have the same entity tag, as upstream.
#[derive(Debug, Default)]
pub struct Version2 {
    digest: OnceLock<String>,
    json: OnceLock<Bytes>,
    protobuf: OnceLock<Bytes>,
}

/// In what a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Protobuf,
}

const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
const FORMS: &[(&str, &str, Form)] = &[
    ("application", "json", Form::Json),
    ("application", "com.github.proto-openapi.spec.v2.v1.0+protobuf", Form::Protobuf),
    // Clients ask by this name, too, and do not take it as the type of an answer: it is malformed.
    ("application", "com.github.proto-openapi.spec.v2@v1.0+protobuf", Form::Protobuf),
];

impl Version2 {
    /// The response in the form that the client likes best; `make` makes the document.
    pub fn respond(&self, headers: &HeaderMap, make: impl Fn() -> Value) -> Response<Body> {
        let mut answer = match negotiate::prefer(headers, FORMS) {
            Some(form) => self.document(form, make).respond_in_part(headers),
            None => not_acceptable(),
        };
        answer.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
        answer
    }

    fn document(&self, form: Form, make: impl Fn() -> Value) -> Document {
        let (bytes, content_type) = match form {
            Form::Json => (self.json(make), "application/json"),
            Form::Protobuf => (self.protobuf(make), PROTOBUF),
        };
        let digest = self.digest.get().cloned().unwrap_or_default();
        Document { bytes, content_type, digest }
    }

    fn json(&self, make: impl Fn() -> Value) -> Bytes {
        let bytes = self.json.get_or_init(|| trimmed(|| openapi::json(&make())));
        self.digest.get_or_init(|| openapi::hash(bytes));
        bytes.clone()
    }

    fn protobuf(&self, make: impl Fn() -> Value) -> Bytes {
        let encode = || {
            let document = make();
            self.digest.get_or_init(|| digest(&document));
            openapi::protobuf(&document)
        };
        self.protobuf.get_or_init(|| trimmed(encode)).clone()
    }
}

/// The digest of the document as JSON, which is not kept.
fn digest(document: &Value) -> String {
    struct Hasher(Sha256);
    impl std::io::Write for Hasher {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    // A serializer writes pieces of few bytes.
    let mut writer = std::io::BufWriter::new(Hasher(Sha256::new()));
    let written = serde_json::to_writer(&mut writer, document).is_ok();
    match (written, writer.into_inner()) {
        (true, Ok(Hasher(hash))) => hash.finalize().iter().map(|byte| format!("{byte:02X}")).collect(),
        _ => String::new(),
    }
}

pub(super) fn not_acceptable() -> Response<Body> {
    let mut answer = Response::new(Body::Full(Bytes::new()));
    *answer.status_mut() = StatusCode::NOT_ACCEPTABLE;
    answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{ACCEPT, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
    use serde_json::json;

    fn ask(version: &Version2, headers: &[(http::HeaderName, &str)]) -> Response<Body> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).collect();
        version.respond(&headers, || json!({"swagger": "2.0", "info": {"title": "t"}}))
    }

    fn bytes(response: &Response<Body>) -> &[u8] {
        match response.body() {
            Body::Full(bytes) => bytes,
            _ => panic!("in pieces"),
        }
    }

    #[test]
    fn forms_share_an_entity_tag() {
        let old = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
        let mut tags = Vec::new();
        // Whichever is asked for first.
        for order in [[old, "*/*"], ["*/*", PROTOBUF]] {
            let version = Version2::default();
            for accept in order {
                let answer = ask(&version, &[(ACCEPT, accept)]);
                let (content_type, content): (&str, &[u8]) = match accept {
                    "*/*" => ("application/json", br#"{"info":{"title":"t"},"swagger":"2.0"}"#),
                    _ => (PROTOBUF, b"\x0a\x032.0\x12\x03\x0a\x01t"),
                };
                assert_eq!(
                    (bytes(&answer), &answer.headers()[CONTENT_TYPE]),
                    (content, &HeaderValue::from_static(content_type))
                );
                tags.push(answer.headers()[ETAG].clone());
            }
        }
        assert!(tags.iter().all(|tag| *tag == tags[0]) && tags[0].len() == 66, "{tags:?}");
        let version = Version2::default();
        let known = [(ACCEPT, PROTOBUF), (IF_NONE_MATCH, tags[0].to_str().expect("text"))];
        assert_eq!(ask(&version, &known).status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn other_forms_are_not_acceptable() {
        let answer = ask(&Version2::default(), &[(ACCEPT, "application/yaml")]);
        assert_eq!(
            (answer.status(), &answer.headers()[VARY]),
            (StatusCode::NOT_ACCEPTABLE, &HeaderValue::from_static("Accept"))
        );
        let liked = format!("{PROTOBUF};q=0.5, application/json");
        assert_eq!(ask(&Version2::default(), &[(ACCEPT, &liked)]).headers()[CONTENT_TYPE], "application/json");
    }
}
