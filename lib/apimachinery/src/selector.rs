//! Label and field selectors.
//!
//! Upstream: `apimachinery/pkg/labels`, `apimachinery/pkg/fields`.

mod fields;
mod labels;
mod lexer;
mod names;
mod text;

pub use names::{label_key_errors, label_value_errors};

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
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        labels::parse(text)
    }

    /// Converts a `meta/v1.LabelSelector` (`matchLabels`, `matchExpressions`). A `null` or
    /// absent selector selects nothing and gives `None`; an empty one selects everything.
    pub fn from_value(selector: &Value) -> Result<Option<Self>, SelectorError> {
        labels::from_value(selector)
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether the labels fulfil every requirement. `get` looks a label up.
    pub fn matches<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|r| r.operator.matches(get(&r.key)))
    }
}

impl Operator {
    fn matches(&self, value: Option<&str>) -> bool {
        let listed = |values: &[String]| value.is_some_and(|value| values.iter().any(|v| v == value));
        let number = || value.and_then(|v| v.parse::<i64>().ok());
        match self {
            Operator::In(values) => listed(values),
            Operator::NotIn(values) => !listed(values),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan(bound) => number().is_some_and(|n| n > *bound),
            Operator::LessThan(bound) => number().is_some_and(|n| n < *bound),
        }
    }
}

impl FieldSelector {
    /// Parses `a=b,c!=d` with upstream's escapes.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        fields::parse(text)
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether the fields fulfil every term. `get` looks a field up; an absent one is empty.
    pub fn matches<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.terms.iter().all(|term| (get(&term.field).unwrap_or_default() == term.value) != term.negated)
    }
}
