//! What an expression may cost, told before it runs.
//!
//! [`estimate`] looks at a checked program and at how large the variable it is about may be; nothing
//! is evaluated. Which rules a definition may have depends on these numbers, so they are upstream's to
//! the unit, oddities included.
//!
//! Upstream: `cel-go/checker/cost.go`, `apiserver/pkg/cel/library/cost.go`.

pub(crate) mod calls;
mod node;
mod span;
mod walks;

pub use span::Estimate;

use crate::ast::{Call, Element, Expr, Kind, Literal, Member, Mode, Select};
use crate::check::{self, Findings};
use crate::error::Issues;
use crate::library;
use crate::{Environment, Program, Type};
use calls::Asked;
use node::{Container, Entries, Node, Place, scalar};

/// What making a list, a map and an object costs.
pub(crate) const LIST: u64 = 10;
pub(crate) const MAP: u64 = 30;
pub(crate) const OBJECT: u64 = 40;

/// A name or a field.
const NAME: Estimate = Estimate::exactly(1);

/// How large the declared variable and its parts may be.
pub trait Sizes {
    /// The most characters, bytes, elements or members, if there is a bound; none for values that have
    /// no size.
    fn most(&self) -> Option<u64>;

    /// The part that a step leads to, if one is declared.
    fn part(&self, step: Step<'_>) -> Option<&dyn Sizes>;
}

/// A step from a value to a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A field, by the name that expressions have for it.
    Field(&'a str),
    /// Elements of a list, values of a map.
    Elements,
    /// Keys of a map.
    Keys,
    /// Indices of a list, which nobody declares.
    Indices,
}

/// What a program compiled in this environment may cost. All variables are of the same sizes.
pub fn estimate(program: &Program, environment: &Environment, sizes: &dyn Sizes) -> Estimate {
    let (_, findings) = check::check(&program.root, environment, &mut Issues::default());
    Coster { root: sizes, findings, locals: Vec::new() }.node(&program.root).cost
}

/// A variable of an expression around.
#[derive(Clone, Copy)]
struct Local<'e, 's> {
    name: &'e str,
    place: Place<'s>,
    size: Option<Estimate>,
    entries: Option<Entries>,
}

/// Walks over an expression as deep as the parser let it nest.
struct Coster<'e, 's> {
    root: &'s dyn Sizes,
    findings: Findings,
    /// Innermost last.
    locals: Vec<Local<'e, 's>>,
}

impl<'e, 's> Coster<'e, 's> {
    fn node(&mut self, expr: &'e Expr) -> Node<'s> {
        let of = self.type_of(expr).clone();
        match &expr.kind {
            Kind::Literal(literal) => Node { size: Some(Estimate::exactly(length(literal))), ..Node::default() },
            Kind::Ident(name) => self.ident(name, &of),
            Kind::Select(select) => self.select(select, &of),
            Kind::Has(select) => Node::plain(self.node(&select.operand).cost, &of),
            Kind::Call(call) => self.call(expr, call, &of),
            Kind::And(all) | Kind::Or(all) => self.logic(all, &of),
            Kind::Conditional(parts) => self.conditional(parts),
            Kind::List(elements) => self.list(elements),
            Kind::Map(members) => self.map(members),
            Kind::Struct(object) => {
                let fields: Estimate = object.fields.iter().map(|field| self.node(&field.value).cost).sum();
                Node::plain(fields + Estimate::exactly(OBJECT), &of)
            }
            Kind::Comprehension(walk) => self.walk(walk),
            Kind::Named(named) => self.named(named, &of),
        }
    }

    /// The type that the checker has found; what it has not looked at may be anything.
    fn type_of(&self, expr: &Expr) -> &Type {
        self.findings.type_of(expr)
    }

    fn ident(&self, name: &str, of: &Type) -> Node<'s> {
        let Some(local) = self.locals.iter().rev().find(|local| local.name == name) else {
            let place = Place::At(self.root);
            return Node { cost: NAME, place, size: place.size().or(scalar(of)), entries: None };
        };
        // What is declared and what the type tells outweigh what has been computed.
        let size = local.place.size().or(scalar(of)).or(local.size);
        Node { cost: NAME, place: local.place, size, entries: local.entries }
    }

    fn select(&mut self, select: &'e Select, of: &Type) -> Node<'s> {
        if library::type_path(select).is_some() {
            return self.ident(&select.field, of);
        }
        let operand = self.node(&select.operand);
        if select.mode == Mode::Optional {
            return Node::plain(operand.cost + NAME, of);
        }
        let cost = match self.type_of(&select.operand) {
            Type::Map(..) | Type::Object(_) | Type::Record(_) | Type::Partial(_) | Type::JsonPatch => NAME,
            // What is only known while it runs is free, as upstream has it.
            _ => Estimate::default(),
        };
        let place = operand.place.step(self.root, Step::Field(&select.field));
        Node { cost: operand.cost + cost, place, size: place.size().or(scalar(of)), entries: None }
    }

    fn call(&mut self, expr: &'e Expr, call: &'e Call, of: &Type) -> Node<'s> {
        let nodes: Vec<Node<'s>> = call.arguments.iter().map(|argument| self.node(argument)).collect();
        let arguments: Estimate = nodes.iter().map(|node| node.cost).sum();
        let (Some(entry), name) = (call.entry, &*call.name) else { return Node::plain(arguments, of) };
        if let ("dyn", Some(argument)) = (name, nodes.first()) {
            return Node { cost: arguments + NAME, place: Place::Nowhere, ..*argument };
        }
        let types: Vec<Type> = call.arguments.iter().map(|argument| self.type_of(argument).clone()).collect();
        let mut found = Node::default();
        // Which overload it will be may only turn out while it runs.
        let mut cost: Option<Estimate> = None;
        for index in self.findings.overloads(expr) {
            let overload = &entry.overloads[index];
            let asked = Asked { overload, expressions: &call.arguments, types: &types, nodes: &nodes };
            let outcome = (entry.estimate)(&asked);
            cost = Some(cost.map_or(outcome.cost, |cost| cost.or(outcome.cost)));
            found.size = found.size.map_or(outcome.size, |size| Some(outcome.size.map_or(size, |new| size.or(new))));
            found.entries = outcome.entries.or(found.entries);
            if name == "_[_]" && matches!(asked.parameter(0), Type::List(_) | Type::Map(..)) {
                found.place = nodes[0].place.step(self.root, Step::Elements);
                found.size = nodes[0].entries.map(|entries| entries.value);
            }
        }
        found.cost = arguments + cost.unwrap_or_default();
        found.size = found.size.or_else(|| found.place.size()).or(scalar(of));
        found
    }

    /// `&&` and `||`: the first operand may decide.
    fn logic(&mut self, all: &'e [Expr], of: &Type) -> Node<'s> {
        let costs: Vec<Estimate> = all.iter().map(|operand| self.node(operand).cost).collect();
        let max = costs.iter().copied().sum::<Estimate>().max;
        Node::plain(Estimate { min: costs.first().map_or(0, |first| first.min), max }, of)
    }

    fn conditional(&mut self, parts: &'e [Expr; 3]) -> Node<'s> {
        let [condition, then, otherwise] = parts.each_ref().map(|part| self.node(part));
        Node {
            cost: condition.cost + then.cost.or(otherwise.cost),
            place: Place::Nowhere,
            size: Some(then.size().or(otherwise.size())),
            entries: Entries::either(then.entries, otherwise.entries),
        }
    }

    fn list(&mut self, elements: &'e [Element]) -> Node<'s> {
        let nodes: Vec<Node<'s>> = elements.iter().map(|element| self.node(&element.value)).collect();
        Node {
            cost: nodes.iter().map(|node| node.cost).sum::<Estimate>() + Estimate::exactly(LIST),
            place: Place::Nowhere,
            size: Some(Estimate::exactly(nodes.len() as u64)),
            entries: Some(Entries::list(any(&nodes))),
        }
    }

    fn map(&mut self, members: &'e [Member]) -> Node<'s> {
        let keys: Vec<Node<'s>> = members.iter().map(|member| self.node(&member.key)).collect();
        let values: Vec<Node<'s>> = members.iter().map(|member| self.node(&member.value)).collect();
        Node {
            cost: keys.iter().chain(&values).map(|node| node.cost).sum::<Estimate>() + Estimate::exactly(MAP),
            place: Place::Nowhere,
            size: Some(Estimate::exactly(members.len() as u64)),
            entries: Some(Entries { container: Container::Map, key: any(&keys), value: any(&values) }),
        }
    }
}

/// The size of any of several values; none have no size.
fn any(nodes: &[Node<'_>]) -> Estimate {
    nodes.iter().map(Node::size).reduce(Estimate::or).unwrap_or_default()
}

/// Characters of a text, bytes of bytes, one for everything else.
fn length(literal: &Literal) -> u64 {
    match literal {
        Literal::String(text) => text.chars().count() as u64,
        Literal::Bytes(bytes) => bytes.len() as u64,
        _ => 1,
    }
}

#[cfg(test)]
mod tests;
