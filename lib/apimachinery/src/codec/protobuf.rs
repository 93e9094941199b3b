//! Protobuf: the `k8s\0` envelope (`runtime.Unknown`) and the messages of the schema table.
//!
//! Upstream: `apimachinery/pkg/runtime/serializer/protobuf`.

use super::DecodeError;
use crate::Value;
use crate::gvk::GroupVersionKind;
use crate::schema::TypeRef;

/// The content of an envelope.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// `apiVersion` and `kind` of the message.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// The message's bytes.
    pub raw: &'a [u8],
    /// Content type of `raw` when it is not protobuf.
    pub content_type: String,
}

/// Opens a `k8s\0` envelope.
pub fn open(_bytes: &[u8]) -> Result<Envelope<'_>, DecodeError> {
    unimplemented!()
}

/// Wraps a message in a `k8s\0` envelope.
pub fn wrap(_kind: &GroupVersionKind, _message: &[u8]) -> Vec<u8> {
    unimplemented!()
}

/// Decodes a bare message of type `ty`; `apiVersion` and `kind` are not set.
pub fn decode(_ty: &TypeRef, _message: &[u8]) -> Result<Value, DecodeError> {
    unimplemented!()
}

/// Encodes `value` as a bare message, byte for byte as upstream's generated code does.
pub fn encode(_ty: &TypeRef, _value: &Value) -> Vec<u8> {
    unimplemented!()
}
