//! What calls of functions may cost: what the tables of the families refer to, besides estimates of
//! their own.
//!
//! Upstream: `functionCost` in `cel-go/checker/cost.go`, `apiserver/pkg/cel/library/cost.go`.

use super::node::{Entries, Node, Place};
use super::{Estimate, Step};
use crate::Type;
use crate::ast::{Expr, Kind, Literal};
use crate::library::Overload;

/// What it costs to walk over a text, by character.
pub(crate) const WALK: f64 = 0.1;

/// What it costs to apply a pattern to a text, by character of the pattern.
pub(crate) const PATTERN: f64 = 0.25;

/// Estimates a call of one overload, its arguments aside.
pub(crate) type Estimator = fn(&Asked<'_, '_>) -> Outcome;

/// A call to estimate; a receiver is its first argument.
pub(crate) struct Asked<'n, 's> {
    pub(crate) overload: &'n Overload,
    pub(crate) expressions: &'n [Expr],
    pub(crate) types: &'n [Type],
    pub(crate) nodes: &'n [Node<'s>],
}

/// What is expected of a call.
#[derive(Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) cost: Estimate,
    pub(crate) size: Option<Estimate>,
    pub(crate) entries: Option<Entries>,
}

impl From<Estimate> for Outcome {
    fn from(cost: Estimate) -> Self {
        Self { cost, size: None, entries: None }
    }
}

impl Outcome {
    pub(crate) fn sized(cost: Estimate, size: Estimate) -> Self {
        Self { cost, size: Some(size), entries: None }
    }
}

impl Asked<'_, '_> {
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The size of an argument.
    pub(crate) fn size(&self, index: usize) -> Estimate {
        self.nodes.get(index).map_or(Estimate::UNKNOWN, Node::size)
    }

    /// The size of an argument as far as it is known.
    pub(crate) fn known_size(&self, index: usize) -> Option<Estimate> {
        self.nodes.get(index)?.size
    }

    /// What is known of the elements of two arguments, of either of them.
    pub(crate) fn either(&self, a: usize, b: usize) -> Option<Entries> {
        Entries::either(self.nodes.get(a)?.entries, self.nodes.get(b)?.entries)
    }

    /// The type of an argument.
    pub(crate) fn of(&self, index: usize) -> &Type {
        self.types.get(index).unwrap_or(&Type::Dyn)
    }

    /// The type of a parameter of the overload.
    pub(crate) fn parameter(&self, index: usize) -> &Type {
        self.overload.parameters.get(index).unwrap_or(&Type::Dyn)
    }

    /// Whether the overload is about texts or bytes there.
    pub(crate) fn is_text(&self, index: usize) -> bool {
        matches!(self.parameter(index), Type::String | Type::Bytes)
    }

    /// An argument that is an integer constant.
    pub(crate) fn constant(&self, index: usize) -> Option<i64> {
        match self.expressions.get(index)?.kind {
            Kind::Literal(Literal::Int(number)) => Some(number),
            _ => None,
        }
    }

    /// The type and size of the elements of a list as far as they are declared, if it is one.
    pub(crate) fn elements(&self, index: usize) -> Option<(&Type, Estimate)> {
        let (Type::List(of) | Type::Optional(of) | Type::Map(of, _)) = self.types.get(index)? else { return None };
        let place = match self.nodes.get(index)?.place {
            Place::At(sizes) => sizes.part(Step::Elements).map_or(Place::Undeclared, Place::At),
            place => place,
        };
        Some((of, place.size().unwrap_or(Estimate::UNKNOWN)))
    }
}

/// A step, whatever the arguments.
pub(crate) fn one(_: &Asked<'_, '_>) -> Outcome {
    Estimate::exactly(1).into()
}

/// A walk over the first argument.
pub(crate) fn walk(asked: &Asked<'_, '_>) -> Outcome {
    asked.size(0).scaled(WALK).into()
}

/// A walk over the second argument.
pub(crate) fn walk_second(asked: &Asked<'_, '_>) -> Outcome {
    asked.size(1).scaled(WALK).into()
}

/// Two walks over the first argument.
pub(crate) fn walk_twice(asked: &Asked<'_, '_>) -> Outcome {
    asked.size(0).scaled(2.0 * WALK).into()
}

/// A walk over the first argument, which makes something as large of it.
pub(crate) fn change(asked: &Asked<'_, '_>) -> Outcome {
    Outcome::sized(asked.size(0).scaled(WALK), asked.size(0))
}

/// Applies a pattern of one length to a text of another. The text counts as one longer, as a pattern
/// costs something on no text, too.
pub(crate) fn pattern(text: Estimate, pattern: Estimate) -> Estimate {
    (text + Estimate::exactly(1)).scaled(WALK) * pattern.scaled(PATTERN)
}

/// Compares two values until one of them ends.
pub(crate) fn shorter(asked: &Asked<'_, '_>) -> Outcome {
    let max = asked.size(0).max.min(asked.size(1).max);
    Estimate { min: max.min(1), max }.scaled(WALK).into()
}
