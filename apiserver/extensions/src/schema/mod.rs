//! A structural schema, read once from the JSON of a definition.
//!
//! One [`Node`] type serves the structure and the value validations nested in `allOf` and its like;
//! what a nested one may not have is refused where definitions are checked.
//!
//! Upstream: `apiextensions-apiserver/pkg/apiserver/schema/{structural,convert}.go`.

mod defaulting;
mod embedded;
mod formats;
mod lists;
mod read;
mod rules;
mod sizes;
mod table;
mod validate;

pub use defaulting::{default, prune_nulls};
pub use embedded::{check as check_embedded, visit as check_embedded_at};
pub use formats::{Format, is_known as is_known_format};
pub use lists::check as check_lists;
pub use read::{SchemaError, compile_pattern};
pub use rules::{Rules, Total, check as check_rules, evaluate};
pub use table::table;
pub use validate::{Base, validate};

use apimachinery::Value;
use regex::Regex;
use std::collections::BTreeMap;

/// A JSON type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    /// A name that is none.
    Unknown,
}

/// One level of a schema.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// `type`.
    pub ty: Option<Type>,
    /// `nullable`.
    pub nullable: bool,
    /// `x-kubernetes-*`.
    pub extensions: Extensions,
    /// `properties`.
    pub properties: BTreeMap<Box<str>, Node>,
    /// `additionalProperties`.
    pub additional: Additional,
    /// `items`.
    pub items: Option<Box<Node>>,
    /// `default`; JSON `null` is none.
    pub default: Option<Value>,
    /// What values must be.
    pub limits: Limits,
    /// `allOf` and its like.
    pub junctors: Option<Box<Junctors>>,
    /// `x-kubernetes-validations`.
    pub rules: Option<Box<Rules>>,
}

/// `additionalProperties`.
#[derive(Clone, Debug, Default)]
pub enum Additional {
    /// Not given.
    #[default]
    Absent,
    /// `true`.
    Any,
    /// `false`.
    Forbidden,
    /// Values of this schema.
    Schema(Box<Node>),
}

/// `x-kubernetes-list-type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ListType {
    #[default]
    Atomic,
    Set,
    Map,
}

/// The `x-kubernetes-*` members.
#[derive(Clone, Debug, Default)]
pub struct Extensions {
    /// `x-kubernetes-preserve-unknown-fields`.
    pub preserves_unknown: bool,
    /// `x-kubernetes-embedded-resource`.
    pub is_embedded: bool,
    /// `x-kubernetes-int-or-string`.
    pub int_or_string: bool,
    /// `x-kubernetes-list-type`.
    pub list_type: ListType,
    /// `x-kubernetes-list-map-keys`.
    pub list_keys: Vec<Box<str>>,
    /// `x-kubernetes-map-type: atomic`.
    pub is_atomic_map: bool,
}

/// The members that restrict values.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Limits {
    pub format: Option<Format>,
    pub maximum: Option<Bound>,
    pub minimum: Option<Bound>,
    pub multiple_of: Option<f64>,
    pub max_length: Option<u64>,
    pub min_length: Option<u64>,
    pub pattern: Option<Pattern>,
    pub max_items: Option<u64>,
    pub min_items: Option<u64>,
    pub unique_items: bool,
    pub max_properties: Option<u64>,
    pub min_properties: Option<u64>,
    pub required: Vec<Box<str>>,
    pub values: Vec<Value>,
}

/// `pattern`.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// As the definition has it.
    pub source: Box<str>,
    /// Compiled.
    pub regex: Regex,
}

/// `minimum` or `maximum`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// The bound.
    pub value: f64,
    /// Whether the bound itself is out of bounds.
    pub exclusive: bool,
}

/// `allOf`, `anyOf`, `oneOf` and `not`.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Junctors {
    pub all_of: Vec<Node>,
    pub any_of: Vec<Node>,
    pub one_of: Vec<Node>,
    pub not: Option<Node>,
}

impl Node {
    /// The schema of a member of an object of this schema.
    pub fn member(&self, name: &str) -> Option<&Node> {
        match (self.properties.get(name), &self.additional) {
            (Some(property), _) => Some(property),
            (None, Additional::Schema(node)) => Some(node),
            (None, _) => None,
        }
    }

    /// Whether there are rules anywhere in the schema.
    pub fn has_rules(&self) -> bool {
        let values = match &self.additional {
            Additional::Schema(values) => Some(&**values),
            _ => None,
        };
        let mut below = self.properties.values().chain(self.items.as_deref()).chain(values);
        self.rules.is_some() || below.any(Node::has_rules)
    }

    /// Whether an old and a new value of members can be told to be of the same member.
    pub fn has_correlatable_members(&self) -> bool {
        !self.extensions.is_atomic_map
    }
}

#[cfg(test)]
pub(crate) fn node(schema: Value) -> Node {
    Node::read(&schema).expect("a schema")
}
