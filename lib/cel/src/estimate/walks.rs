//! Macros that name parts of values: comprehensions, `optMap` and its like, `cel.bind`.
//!
//! What they cost is what their expansions into accumulators, conditions and steps would cost
//! upstream: `cel-go/parser/macro.go`, `cel-go/ext/comprehensions.go`, `cel-go/cel/library.go`.

use super::node::{Container, Entries, Node, Place, scalar};
use super::{Coster, Estimate, LIST, Local, MAP, Step};
use crate::Type;
use crate::ast::{Comprehension, Named, Naming, Walk};

/// An accumulator, or a condition on one.
const ONE: Estimate = Estimate::exactly(1);

/// `accumulator + [element]` without the element: the sum, its first operand, and a list.
const APPEND: Estimate = Estimate::exactly(12);

/// Puts an entry into an accumulator: the call and its first operand.
const INSERT: Estimate = Estimate::exactly(2);

impl<'e, 's> Coster<'e, 's> {
    pub(super) fn walk(&mut self, walk: &'e Comprehension) -> Node<'s> {
        let range = self.node(&walk.range);
        let depth = self.locals.len();
        self.name_entries(walk, &range);
        let filter = walk.filter.as_ref().map(|filter| self.node(filter).cost);
        let body = self.node(&walk.body);
        let element = match self.type_of(&walk.range) {
            Type::List(of) | Type::Map(of, _) => self.ident(&walk.variable, of),
            _ => self.ident(&walk.variable, &Type::Dyn),
        };
        self.locals.truncate(depth);

        let filtered = |step: Estimate| match filter {
            // What is left out leaves the accumulator as it is.
            Some(filter) => filter + step.or(ONE),
            None => step,
        };
        // What comes before all steps, each step, and after them.
        let (before, step, after) = match walk.kind {
            Walk::All => (0, Estimate::exactly(3) + Estimate::up_to(body.cost.max), 1),
            Walk::Exists => (0, Estimate::exactly(4) + Estimate::up_to(body.cost.max), 1),
            Walk::ExistsOne => (0, body.cost + Estimate { min: 1, max: 2 }, 2),
            Walk::List => (LIST, filtered(APPEND + body.cost), 1),
            Walk::Filter => (LIST, body.cost + (APPEND + element.cost).or(ONE), 1),
            Walk::Map => (MAP, filtered(INSERT + ONE + body.cost), 1),
            Walk::MapEntry => (MAP, filtered(INSERT + body.cost), 1),
        };
        let cost = range.cost + Estimate::exactly(before) + range.size() * step + Estimate::exactly(after);
        let size = match walk.kind {
            Walk::All | Walk::Exists | Walk::ExistsOne => ONE,
            _ => range.size(),
        };
        // The accumulator starts without elements, which counts as an element of no size.
        let elements = |size: Estimate| Some(Entries::list(Estimate::up_to(size.max)));
        let entries = match walk.kind {
            Walk::List => elements(body.size()),
            Walk::Filter => elements(element.size()),
            _ => None,
        };
        Node { cost, place: Place::Nowhere, size: Some(size), entries }
    }

    /// Declares the variables of a walk over what a range holds.
    fn name_entries(&mut self, walk: &'e Comprehension, range: &Node<'s>) {
        let is_list = match range.entries {
            Some(entries) => entries.container == Container::List,
            None => matches!(self.type_of(&walk.range), Type::List(_)),
        };
        let key = range.entries.map(|entries| entries.key);
        let value = range.entries.map(|entries| entries.value);
        let place = |step| range.place.step(self.root, step);
        let elements = Local { name: "", place: place(Step::Elements), size: value, entries: None };
        let keys = Local {
            name: &walk.variable,
            place: place(if is_list { Step::Indices } else { Step::Keys }),
            size: key,
            entries: None,
        };
        match &walk.second {
            Some(second) => self.locals.extend([keys, Local { name: second, ..elements }]),
            None if is_list => self.locals.push(Local { name: &walk.variable, ..elements }),
            None => self.locals.push(keys),
        }
    }

    pub(super) fn named(&mut self, named: &'e Named, of: &Type) -> Node<'s> {
        let target = self.node(&named.target);
        let value = match named.kind {
            Naming::Bind => target,
            // What `target.value()` makes of it.
            Naming::Map | Naming::FlatMap => Node::plain(target.cost + ONE, inner(self.type_of(&named.target))),
        };
        let Node { place, size, entries, .. } = value;
        self.locals.push(Local { name: &named.variable, place, size, entries });
        let body = self.node(&named.body);
        self.locals.pop();
        // Names are bound by a walk over an empty list.
        let bound = Estimate::exactly(LIST) + value.cost + body.cost;
        // `target.hasValue() ? … : optional.none()`
        let asked = |then: Estimate| target.cost + ONE + then.or(ONE);
        match named.kind {
            Naming::Bind => Node { cost: bound, place: Place::Nowhere, ..body },
            Naming::Map => Node::plain(asked(bound + ONE), of),
            Naming::FlatMap => {
                let size = body.size().or(scalar(of).unwrap_or(Estimate::UNKNOWN));
                Node { cost: asked(bound), size: Some(size), ..Node::default() }
            }
        }
    }
}

/// What an optional holds.
fn inner(of: &Type) -> &Type {
    match of {
        Type::Optional(inner) => inner,
        _ => &Type::Dyn,
    }
}
