//! Objects, lists and watch events as bytes.
//!
//! Invariant: a stored object's bytes are spliced, never encoded again; no list is ever in memory
//! as one buffer.
//!
//! Upstream: `apiserver/pkg/endpoints/handlers/response.go`, `apimachinery/pkg/runtime/serializer`.

mod columns;
pub mod events;
pub mod indent;
pub mod list;
pub mod object;
pub mod table;
mod wire;

use bytes::Bytes;

/// Compact JSON of a tree, or of what is like one.
pub fn json(value: &impl serde::Serialize) -> Bytes {
    // Trees have string keys and finite numbers, so this cannot fail.
    serde_json::to_vec(value).unwrap_or_default().into()
}
