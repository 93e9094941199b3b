//! Label and field selectors.
//!
//! Upstream: `apimachinery/pkg/labels`, `apimachinery/pkg/fields`.

use crate::Value;

/// A label selector: all requirements must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// The requirements; none selects everything.
    pub requirements: Vec<Requirement>,
}

/// One requirement on a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Label key.
    pub key: String,
    /// What must hold.
    pub operator: Operator,
}

/// What a requirement asks of a label's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Present with one of these values.
    In(Vec<String>),
    /// Absent, or present with none of these values.
    NotIn(Vec<String>),
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
    /// Present and greater than this integer.
    GreaterThan(i64),
    /// Present and less than this integer.
    LessThan(i64),
}

/// A field selector: conjunction of `field=value` and `field!=value`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    /// The terms; none selects everything.
    pub terms: Vec<FieldTerm>,
}

/// One term of a field selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldTerm {
    /// Field, such as `metadata.name`.
    pub field: String,
    /// Value to compare with.
    pub value: String,
    /// `true` for `!=`.
    pub negated: bool,
}

/// A selector that cannot be parsed; upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub String);

impl LabelSelector {
    /// Parses `a=b,c in (d,e),!f`.
    pub fn parse(_text: &str) -> Result<Self, SelectorError> {
        unimplemented!()
    }

    /// Converts a `meta/v1.LabelSelector` (`matchLabels`, `matchExpressions`). A `null` or
    /// absent selector selects nothing and gives `None`; an empty one selects everything.
    pub fn from_value(_selector: &Value) -> Result<Option<Self>, SelectorError> {
        unimplemented!()
    }

    /// Whether the labels fulfil every requirement. `get` looks a label up.
    pub fn matches<'a>(&self, _get: impl Fn(&str) -> Option<&'a str>) -> bool {
        unimplemented!()
    }
}

impl FieldSelector {
    /// Parses `a=b,c!=d` with upstream's escapes.
    pub fn parse(_text: &str) -> Result<Self, SelectorError> {
        unimplemented!()
    }

    /// Whether the fields fulfil every term. `get` looks a field up.
    pub fn matches<'a>(&self, _get: impl Fn(&str) -> Option<&'a str>) -> bool {
        unimplemented!()
    }
}
