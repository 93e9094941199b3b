//! Field paths and validation errors.
//!
//! Upstream: `apimachinery/pkg/util/validation/field`.

use crate::status::Cause;
use std::fmt;

/// A path to a field, such as `spec.containers[0].ports[web]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    /// A path of one member.
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The member `name` below this path.
    pub fn child(&self, name: &str) -> Self {
        match self.0.is_empty() {
            true => Self(name.to_owned()),
            false => Self(format!("{}.{name}", self.0)),
        }
    }

    /// The list element `index` below this path.
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The map entry `key` below this path.
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong with a field. The text in each variant is the rest of upstream's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// `Not found: value`.
    NotFound(String),
    /// `Required value: detail`.
    Required(String),
    /// `Duplicate value: value`.
    Duplicate(String),
    /// `Invalid value: value: detail`; the value as upstream prints it (strings quoted).
    Invalid(String, String),
    /// `Unsupported value: value: supported values: "a", "b"`.
    NotSupported(String, Vec<String>),
    /// `Forbidden: detail`.
    Forbidden(String),
    /// `Too long: may not be more than N bytes`.
    TooLong(usize),
    /// `Too many: n: must have at most N items`.
    TooMany(usize, usize),
    /// `Internal error: detail`.
    Internal(String),
    /// `Invalid value: value: detail` with the reason `FieldValueTypeInvalid`.
    TypeInvalid(String, String),
}

/// One validation error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Where.
    pub path: Path,
    /// What.
    pub kind: FieldErrorKind,
}

impl FieldError {
    /// The error as a cause of a `Status`.
    pub fn cause(&self) -> Cause {
        use FieldErrorKind as K;
        let reason = match &self.kind {
            K::NotFound(_) => "FieldValueNotFound",
            K::Required(_) => "FieldValueRequired",
            K::Duplicate(_) => "FieldValueDuplicate",
            K::Invalid(..) => "FieldValueInvalid",
            K::NotSupported(..) => "FieldValueNotSupported",
            K::Forbidden(_) => "FieldValueForbidden",
            K::TooLong(_) => "FieldValueTooLong",
            K::TooMany(..) => "FieldValueTooMany",
            K::Internal(_) => "InternalError",
            K::TypeInvalid(..) => "FieldValueTypeInvalid",
        };
        Cause { reason: reason.into(), message: self.body(), field: self.path.to_string() }
    }

    fn body(&self) -> String {
        use FieldErrorKind as K;
        let with = |head: &str, detail: &str| match detail.is_empty() {
            true => head.to_owned(),
            false => format!("{head}: {detail}"),
        };
        match &self.kind {
            K::NotFound(value) => format!("Not found: {value}"),
            K::Required(detail) => with("Required value", detail),
            K::Duplicate(value) => format!("Duplicate value: {value}"),
            K::Invalid(value, detail) | K::TypeInvalid(value, detail) => {
                with(&format!("Invalid value: {value}"), detail)
            }
            K::NotSupported(value, allowed) => {
                let list: Vec<String> = allowed.iter().map(|a| format!("{a:?}")).collect();
                format!("Unsupported value: {value}: supported values: {}", list.join(", "))
            }
            K::Forbidden(detail) => with("Forbidden", detail),
            K::TooLong(max) => format!("Too long: may not be more than {max} bytes"),
            K::TooMany(actual, max) => format!("Too many: {actual}: must have at most {max} items"),
            K::Internal(detail) => with("Internal error", detail),
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.body())
    }
}
