//! Documentation of types out of the server's OpenAPI documents: [`plain`] reads version 3,
//! [`older`] version 2, [`wrap`] breaks lines.
//!
//! Upstream: `kubectl/pkg/explain`.

pub mod older;
pub mod plain;
mod wrap;

/// A type that the documents do not explain.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// No such field.
    #[error("field {0:?} does not exist")]
    NoField(String),
    /// No such type in the document.
    #[error("GVR ({0}) not found in OpenAPI schema")]
    NoResource(String),
    /// A resource without a schema.
    #[error("GVK {0} not found in OpenAPI schema")]
    NoSchema(String),
}

/// What is to be explained.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// API group.
    pub group: &'a str,
    /// Version.
    pub version: &'a str,
    /// Plural name.
    pub plural: &'a str,
    /// Kind.
    pub kind: &'a str,
    /// The way to a field.
    pub fields: &'a [String],
    /// Fields of fields, too.
    pub recursive: bool,
}
