//! Open types: which of them stand for what, and whether one type passes for another.
//!
//! Upstream: `cel-go/checker/types.go`, `cel-go/checker/mapping.go`.

use crate::library::Overload;
use crate::types::Type;
use std::sync::Arc;

/// How many types may be looked at while an expression is checked. What is left then may be anything.
const FUEL: u32 = 2_000_000;

/// How deep types may nest.
const MAX_DEPTH: usize = 300;

/// How many types may be part of one.
const MAX_PARTS: usize = 2000;

/// What the open types of an expression stand for.
pub(super) struct Unifier {
    bound: Vec<Option<Type>>,
    /// What to restore if an attempt fails.
    journal: Vec<(u32, Option<Type>)>,
    fuel: u32,
}

/// What becomes of open types of which nothing is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    /// They stay open.
    Keep,
    /// They may be anything.
    Close,
}

impl Default for Unifier {
    fn default() -> Self {
        Self { bound: Vec::new(), journal: Vec::new(), fuel: FUEL }
    }
}

impl Unifier {
    /// A type of which nothing is known yet.
    pub(super) fn open(&mut self) -> Type {
        self.bound.push(None);
        Type::Open(self.bound.len() as u32 - 1)
    }

    /// A signature with open types for its parameters.
    pub(super) fn instance(&mut self, overload: &Overload) -> (Vec<Type>, Type) {
        let mut letters = Vec::new();
        let parameters = overload.parameters.iter().map(|of| self.replace(of, &mut letters)).collect();
        (parameters, self.replace(&overload.result, &mut letters))
    }

    fn replace(&mut self, of: &Type, letters: &mut Vec<(u8, Type)>) -> Type {
        match of {
            Type::Param(letter) => match letters.iter().find(|(known, _)| known == letter) {
                Some((_, of)) => of.clone(),
                None => {
                    let open = self.open();
                    letters.push((*letter, open.clone()));
                    open
                }
            },
            Type::List(of) => Type::list(self.replace(of, letters)),
            Type::Optional(of) => Type::optional(self.replace(of, letters)),
            Type::Type(of) => Type::Type(Arc::new(self.replace(of, letters))),
            Type::Map(key, value) => {
                Type::Map(Arc::new(self.replace(key, letters)), Arc::new(self.replace(value, letters)))
            }
            other => other.clone(),
        }
    }

    /// Whether the second type passes for the first one. Open types are settled if so.
    pub(super) fn accepts(&mut self, to: &Type, from: &Type) -> bool {
        self.accept_all([(to, from)])
    }

    /// Whether all second types pass for the first ones, together.
    pub(super) fn accept_all<'t>(&mut self, pairs: impl IntoIterator<Item = (&'t Type, &'t Type)>) -> bool {
        self.journal.clear();
        let accepted = pairs.into_iter().all(|(to, from)| self.fits(to, from, 0));
        if !accepted {
            while let Some((open, before)) = self.journal.pop() {
                self.bound[open as usize] = before;
            }
        }
        accepted
    }

    /// A type with open types replaced by what they stand for.
    pub(super) fn resolve(&mut self, of: &Type, open: Open) -> Type {
        let mut parts = MAX_PARTS;
        self.substitute(of, open, 0, &mut parts)
    }

    fn substitute(&mut self, of: &Type, open: Open, depth: usize, parts: &mut usize) -> Type {
        if *parts == 0 || depth > MAX_DEPTH || !self.burn() {
            return Type::Dyn;
        }
        *parts -= 1;
        match of {
            Type::Open(id) => match self.bound.get(*id as usize).cloned().flatten() {
                Some(bound) => self.substitute(&bound, open, depth + 1, parts),
                None if open == Open::Close => Type::Dyn,
                None => of.clone(),
            },
            Type::List(of) => Type::list(self.substitute(of, open, depth + 1, parts)),
            Type::Optional(of) => Type::optional(self.substitute(of, open, depth + 1, parts)),
            Type::Type(of) => Type::Type(Arc::new(self.substitute(of, open, depth + 1, parts))),
            Type::Map(key, value) => {
                let key = self.substitute(key, open, depth + 1, parts);
                Type::Map(Arc::new(key), Arc::new(self.substitute(value, open, depth + 1, parts)))
            }
            other => other.clone(),
        }
    }

    /// Whether there is fuel for another step.
    fn burn(&mut self) -> bool {
        self.fuel = self.fuel.saturating_sub(1);
        self.fuel > 0
    }

    fn bind(&mut self, open: u32, of: Type) {
        let before = self.bound[open as usize].replace(of);
        self.journal.push((open, before));
    }

    fn fits(&mut self, to: &Type, from: &Type, depth: usize) -> bool {
        if depth > MAX_DEPTH || !self.burn() {
            return true;
        }
        if let Type::Open(id) = from {
            match self.settle(*id, to, depth) {
                Settled::Fits => return true,
                Settled::Contradicts => return false,
                // The other may stand for this one.
                Settled::Circular => {}
            }
        }
        if let Type::Open(id) = to {
            return self.settle(*id, from, depth) == Settled::Fits;
        }
        match (to, from) {
            (Type::Dyn | Type::Error, _) | (_, Type::Dyn | Type::Error) => true,
            (Type::Null, other) | (other, Type::Null) => matches!(other, Type::Null) || other.is_nullable(),
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => self.fits(a, b, depth + 1),
            (Type::Map(k, v), Type::Map(l, w)) => self.fits(k, l, depth + 1) && self.fits(v, w, depth + 1),
            (Type::Type(_), Type::Type(_)) => true,
            (a, b) => same(a, b),
        }
    }

    /// Lets an open type stand for another type, or for what is more general than that and what it
    /// stands for already.
    fn settle(&mut self, open: u32, of: &Type, depth: usize) -> Settled {
        if matches!(of, Type::Open(other) if *other == open) {
            return Settled::Fits;
        }
        let Some(bound) = self.bound[open as usize].clone() else {
            if self.is_within(open, of, 0) {
                return if self.fuel == 0 { Settled::Fits } else { Settled::Circular };
            }
            self.bind(open, of.clone());
            return Settled::Fits;
        };
        if same(of, &bound) {
            return Settled::Fits;
        }
        if !self.fits(of, &bound, depth + 1) {
            return Settled::Contradicts;
        }
        let general = if is_less_specific(of, &bound) { of.clone() } else { bound };
        if !self.is_within(open, &general, 0) {
            self.bind(open, general);
        }
        Settled::Fits
    }

    fn is_within(&mut self, open: u32, of: &Type, depth: usize) -> bool {
        if depth > MAX_DEPTH {
            return false;
        }
        if !self.burn() {
            return true;
        }
        match of {
            Type::Open(id) if *id == open => true,
            Type::Open(id) => match self.bound[*id as usize].clone() {
                Some(bound) => self.is_within(open, &bound, depth + 1),
                None => false,
            },
            Type::List(of) | Type::Optional(of) | Type::Type(of) => self.is_within(open, of, depth + 1),
            Type::Map(key, value) => self.is_within(open, key, depth + 1) || self.is_within(open, value, depth + 1),
            _ => false,
        }
    }
}

/// What came of letting an open type stand for another one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Settled {
    /// It does.
    Fits,
    /// It stands for something else.
    Contradicts,
    /// It is part of the other.
    Circular,
}

/// Whether two types are one, open types by their names.
pub(crate) fn same(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Open(a), Type::Open(b)) => a == b,
        (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) | (Type::Type(a), Type::Type(b)) => {
            Arc::ptr_eq(a, b) || same(a, b)
        }
        (Type::Map(k, v), Type::Map(l, w)) => (Arc::ptr_eq(k, l) || same(k, l)) && (Arc::ptr_eq(v, w) || same(v, w)),
        (Type::Object(a), Type::Object(b)) => Arc::ptr_eq(&a.schema, &b.schema) && a.id == b.id,
        (Type::Record(a), Type::Record(b)) => a.name == b.name,
        (Type::Partial(a), Type::Partial(b)) => a == b,
        (Type::Opaque(a), Type::Opaque(b)) => a == b,
        (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
    }
}

/// Whether the first type says as much as the second one or less.
fn is_less_specific(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Dyn | Type::Open(_), _) => true,
        (_, Type::Dyn | Type::Open(_)) => false,
        (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => is_less_specific(a, b),
        (Type::Map(k, v), Type::Map(l, w)) => is_less_specific(k, l) && is_less_specific(v, w),
        (Type::Type(_), Type::Type(_)) => true,
        (a, b) => same(a, b),
    }
}

/// The more general of two types that fit.
pub(super) fn most_general(a: Type, b: Type) -> Type {
    if is_less_specific(&a, &b) { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_types_are_settled_together() {
        let mut unifier = Unifier::default();
        let (a, b) = (unifier.open(), unifier.open());
        assert!(unifier.accepts(&Type::list(a.clone()), &Type::list(b.clone())));
        assert!(unifier.accepts(&b, &Type::list(Type::Int)));
        assert_eq!(unifier.resolve(&a, Open::Close).to_string(), "list(int)");
        assert!(!unifier.accepts(&a, &Type::list(Type::String)), "it stands for something else");
        assert!(unifier.accepts(&a, &Type::list(Type::Dyn)), "more general");
        assert_eq!(unifier.resolve(&b, Open::Close).to_string(), "list(dyn)");
    }

    #[test]
    fn failed_attempts_leave_nothing_behind() {
        let mut unifier = Unifier::default();
        let a = unifier.open();
        assert!(!unifier.accept_all([(&a, &Type::Int), (&Type::Int, &Type::String)]));
        assert_eq!(unifier.resolve(&a, Open::Close).to_string(), "dyn");
        assert!(!unifier.accepts(&a, &Type::list(a.clone())), "it would be part of itself");
    }

    #[test]
    fn types_without_end_are_cut() {
        let mut unifier = Unifier::default();
        let mut of = Type::Int;
        for _ in 0..100 {
            let open = unifier.open();
            let both = Type::Map(Arc::new(of.clone()), Arc::new(of));
            assert!(unifier.accepts(&open, &both));
            of = open;
        }
        assert!(unifier.resolve(&of, Open::Close).to_string().len() < 20 * MAX_PARTS);
    }
}
