//! Patches: JSON, merge and strategic merge, from a tree and a patch to a tree.
//!
//! What comes out may have members that its type does not know: the caller decodes it along the
//! schema again ([`apimachinery::codec::json::conform`]).
//!
//! Upstream: `apiserver/pkg/endpoints/handlers/patch.go`, `apimachinery/pkg/util/strategicpatch`.

pub mod json;
mod lazy;
pub mod merge;
pub mod strategic;

use apimachinery::Value;
use apimachinery::status::{Reason, Status};

/// Why a patch was not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch is not of its form.
    #[error("{0}")]
    Malformed(String),
    /// The patch is well-formed and does not fit this object: a missing path.
    #[error("{0}")]
    NotApplicable(String),
    /// A `test` operation has found another value.
    #[error("{0}")]
    TestFailed(String),
    /// The patch contradicts itself or the object in a way that upstream calls an error of its own.
    #[error("{0}")]
    Failed(String),
    /// It makes upstream's server panic, which refuses the request and lives on.
    #[error("runtime error: {0}")]
    Panicked(String),
    /// It copies more than it may.
    #[error("{0}")]
    CopiesTooMuch(String),
    /// It has more operations than it may.
    #[error("Request entity too large: {0}")]
    TooLong(String),
}

impl PatchError {
    /// A set of scalars is given something else.
    pub(crate) fn unhashable(value: &Value) -> Self {
        Self::Panicked(format!("hash of unhashable type {}", composite(value)))
    }

    /// Values of a type are compared that Go does not compare.
    pub(crate) fn uncomparable(value: &Value) -> Self {
        Self::Panicked(format!("comparing uncomparable type {}", composite(value)))
    }
}

fn composite(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "[]interface {}",
        _ => "map[string]interface {}",
    }
}

/// What Go's JSON decoder calls a value.
pub fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl From<PatchError> for Status {
    fn from(error: PatchError) -> Self {
        match error {
            PatchError::Malformed(why) => Status::bad_request(why),
            // Upstream does not say which operation failed.
            PatchError::NotApplicable(_) | PatchError::TestFailed(_) | PatchError::CopiesTooMuch(_) => {
                Status::generic(422, Reason::Invalid, "the server rejected our request due to an error in our request")
            }
            PatchError::Failed(_) | PatchError::Panicked(_) => Status::plain(500, Reason::Unknown, error.to_string()),
            PatchError::TooLong(_) => Status::plain(413, Reason::RequestEntityTooLarge, error.to_string()),
        }
    }
}
