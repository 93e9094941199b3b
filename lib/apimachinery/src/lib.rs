//! The API machinery every component shares, free of I/O.
//!
//! One table of facts about every API type ([`schema`]) and every REST resource ([`resources`])
//! drives the codecs ([`codec`]), strict decoding, patches, and the OpenAPI documents.
//! Objects are [`Value`] trees; [`meta`] reads and writes their metadata.
//!
//! Upstream: `staging/src/k8s.io/apimachinery`.
#![warn(missing_docs)]

pub mod codec;
pub mod field;
pub mod go;
pub mod gvk;
pub mod meta;
mod name;
pub mod openapi;
pub mod quantity;
pub mod resources;
pub mod schema;
pub mod selector;
pub mod status;
pub mod sysctl;
pub mod time;

pub use name::Name;

/// The tree form of an API object. Keys are sorted, numbers are `i64`, `u64` or `f64`.
pub use serde_json::Value;
/// The members of an object in a [`Value`] tree.
pub type Map = serde_json::Map<String, Value>;
