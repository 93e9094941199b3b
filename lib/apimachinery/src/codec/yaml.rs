//! YAML 1.1 as upstream reads it (`sigs.k8s.io/yaml`).

use super::{DecodeError, Decoded};
use crate::Value;
use crate::schema::TypeRef;

/// Decodes one YAML document of type `ty`, with the findings of [`super::json::decode`].
pub fn decode(_ty: &TypeRef, _bytes: &[u8]) -> Result<Decoded, DecodeError> {
    unimplemented!()
}

/// Decodes one YAML document without a type.
pub fn to_value(_bytes: &[u8]) -> Result<Value, DecodeError> {
    unimplemented!()
}
