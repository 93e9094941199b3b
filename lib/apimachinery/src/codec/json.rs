//! JSON: strict decoding along the schema.

use super::{DecodeError, Decoded};
use crate::schema::TypeRef;

/// Decodes a JSON object of type `ty`: duplicate and unknown fields are found, unknown ones
/// dropped, `null` members dropped, quantities made canonical, types checked.
pub fn decode(_ty: &TypeRef, _bytes: &[u8]) -> Result<Decoded, DecodeError> {
    unimplemented!()
}
