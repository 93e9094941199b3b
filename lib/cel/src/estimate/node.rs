//! What an estimate knows of an expression besides its cost.
//!
//! Upstream: `AstNode` and `entrySizeEstimate` in `cel-go/checker/cost.go`.

use super::{Estimate, Sizes, Step};
use crate::Type;

/// An expression that has been looked at.
#[derive(Clone, Copy, Default)]
pub(crate) struct Node<'s> {
    pub(super) cost: Estimate,
    pub(super) place: Place<'s>,
    pub(super) size: Option<Estimate>,
    pub(super) entries: Option<Entries>,
}

impl Node<'_> {
    /// A value of this cost, and of a size that its type tells.
    pub(super) fn plain(cost: Estimate, of: &Type) -> Self {
        Self { cost, size: scalar(of), ..Self::default() }
    }

    pub(super) fn size(&self) -> Estimate {
        self.size.unwrap_or(Estimate::UNKNOWN)
    }
}

/// Where in the declared variable a value comes from.
#[derive(Clone, Copy, Default)]
pub(crate) enum Place<'s> {
    /// It has been computed.
    #[default]
    Nowhere,
    /// It is this part.
    At(&'s dyn Sizes),
    /// It is a part of which nothing is declared.
    Undeclared,
}

impl<'s> Place<'s> {
    /// A part of what is here. Parts of computed values pass for the variable itself: upstream takes
    /// the first step of any path for the variable's name, and these paths start with the part.
    pub(super) fn step(self, root: &'s dyn Sizes, step: Step<'_>) -> Self {
        match self {
            Place::Nowhere => Place::At(root),
            Place::At(sizes) => sizes.part(step).map_or(Place::Undeclared, Place::At),
            Place::Undeclared => Place::Undeclared,
        }
    }

    pub(super) fn size(self) -> Option<Estimate> {
        match self {
            Place::At(sizes) => sizes.most().map(Estimate::up_to),
            Place::Nowhere | Place::Undeclared => None,
        }
    }
}

/// The sizes of the elements of a list or map that an expression has made.
#[derive(Clone, Copy)]
pub(crate) struct Entries {
    pub(super) container: Container,
    pub(super) key: Estimate,
    pub(super) value: Estimate,
}

/// What holds entries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    List,
    Map,
}

impl Entries {
    pub(super) fn list(value: Estimate) -> Self {
        Self { container: Container::List, key: Estimate::exactly(1), value }
    }

    /// Either of two; if one is not known, nothing is.
    pub(super) fn either(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        let (a, b) = (a?, b?);
        Some(Self { container: a.container, key: a.key.or(b.key), value: a.value.or(b.value) })
    }
}

/// The size that goes without saying: one, of what is neither a text nor made of parts.
pub(super) fn scalar(of: &Type) -> Option<Estimate> {
    match of {
        Type::Bool | Type::Int | Type::Uint | Type::Double | Type::Timestamp | Type::Duration => {
            Some(Estimate::exactly(1))
        }
        Type::Optional(inner) => scalar(inner),
        _ => None,
    }
}
