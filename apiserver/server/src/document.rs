//! Documents that change rarely: bytes with their entity tag.

mod ranges;

use crate::body::Body;
use crate::negotiate::Media;
use crate::response;
use apimachinery::codec::protobuf;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::schema::Schema;
use apimachinery::status::Status;
use apimachinery::{Value, openapi};
use bytes::Bytes;
use http::header::{ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use http::{HeaderMap, Response, StatusCode};
use serde::Serialize;

/// Bytes, their type and their tag.
#[derive(Clone, Debug)]
pub struct Document {
    /// The bytes.
    pub bytes: Bytes,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Digest of the bytes: what the tag and versioned URLs carry.
    pub digest: String,
}

impl Document {
    /// A JSON document.
    pub fn json(value: &impl Serialize) -> Self {
        Self::new(value, "application/json")
    }

    /// A JSON document of a more precise type.
    pub fn new(value: &impl Serialize, content_type: &'static str) -> Self {
        Self::from_bytes(crate::encode::json(value), content_type)
    }

    /// Bytes as they are.
    pub fn from_bytes(bytes: Bytes, content_type: &'static str) -> Self {
        let digest = openapi::hash(&bytes);
        Self { bytes, content_type, digest }
    }

    /// Whether it is JSON of no more precise type.
    pub(crate) fn is_plain_json(&self) -> bool {
        self.content_type == "application/json"
    }

    /// The same document as YAML.
    ///
    /// # Errors
    /// 500 if it is no JSON.
    pub(crate) fn as_yaml(&self) -> Result<Self, Status> {
        let tree = serde_json::from_slice(&self.bytes).map_err(Status::internal)?;
        Ok(Self::from_bytes(apimachinery::codec::yaml::to_string(&tree).into(), "application/yaml"))
    }

    /// The same document as protobuf.
    ///
    /// # Errors
    /// 500 if it is no JSON of a kind that has such a form.
    pub(crate) fn as_protobuf(&self) -> Result<Self, Status> {
        let tree: Value = serde_json::from_slice(&self.bytes).map_err(Status::internal)?;
        let text = |key: &str| tree.get(key).and_then(Value::as_str).unwrap_or_default();
        let ty = Schema::builtin()
            .type_named(&format!("io.k8s.apimachinery.pkg.apis.meta.v1.{}", text("kind")))
            .ok_or_else(|| Status::internal(format!("{} has no protobuf form", text("kind"))))?;
        let kind = GroupVersionKind::new("", text("apiVersion").to_owned(), text("kind").to_owned());
        let bytes = protobuf::wrap(&kind, &protobuf::encode(&ty, &tree));
        Ok(Self::from_bytes(bytes.into(), Media::Protobuf.content_type()))
    }

    /// As [`Self::respond`], without saying that the answer depends on what the client accepts: upstream says so of some
    /// documents only.
    pub(crate) fn respond_alike(&self, headers: &HeaderMap) -> Response<Body> {
        let mut response = self.respond(headers);
        response.headers_mut().remove(VARY);
        response
    }

    /// As [`Self::respond`], or the part that the client asks for.
    pub(crate) fn respond_in_part(&self, headers: &HeaderMap) -> Response<Body> {
        ranges::apply(self.respond(headers), headers)
    }

    /// The response: the bytes, or 304 if the client has them.
    pub fn respond(&self, headers: &HeaderMap) -> Response<Body> {
        let tag = format!("\"{}\"", self.digest);
        let known = headers.get(IF_NONE_MATCH).and_then(|v| v.to_str().ok()).is_some_and(|t| names(t, &tag));
        let mut response = match known {
            true => {
                let mut response = Response::new(Body::Full(Bytes::new()));
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                response
            }
            false => response::with_type(StatusCode::OK, self.content_type, Body::Full(self.bytes.clone())),
        };
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            response.headers_mut().insert(ETAG, tag);
        }
        response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
        response
    }
}

fn names(header: &str, tag: &str) -> bool {
    header.split(',').map(str::trim).any(|t| t == "*" || t.strip_prefix("W/").unwrap_or(t) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_documents_are_not_sent_again() {
        let document = Document::json(&serde_json::json!({"a": 1}));
        let first = document.respond(&HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(first.headers()[VARY], "Accept");
        assert!(!document.respond_alike(&HeaderMap::new()).headers().contains_key(VARY));
        let tag = first.headers()[ETAG].clone();
        let again = document.respond(&HeaderMap::from_iter([(IF_NONE_MATCH, tag)]));
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        let other = document.respond(&HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static("\"x\""))]));
        assert_eq!(other.status(), StatusCode::OK);
    }
}
