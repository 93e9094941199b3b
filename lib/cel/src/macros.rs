//! Macros: calls that bind variables or ask for presence.
//!
//! Upstream: `cel-go/parser/macro.go`, `cel-go/ext/comprehensions.go`, `cel-go/cel/library.go`.

use crate::Issue;
use crate::ast::{Comprehension, Expr, Kind, OptionalMap, Walk};
use std::sync::Arc;

/// What a call turns out to be.
pub(crate) enum Expansion {
    /// A macro.
    Done(Expr),
    /// A macro used wrongly.
    Wrong(Issue),
    /// No macro: receiver and arguments as they came.
    None(Expr, Vec<Expr>),
}

/// `has(a.b)`.
pub(crate) fn has(at: usize, mut arguments: Vec<Expr>) -> Result<Expr, Issue> {
    match arguments.pop().map(|argument| argument.kind) {
        Some(Kind::Select(select)) => Ok(Expr { at, kind: Kind::Has(select) }),
        _ => Err(Issue { at, message: "invalid argument to has() macro".into() }),
    }
}

/// A macro with a receiver.
pub(crate) fn method(at: usize, range: Expr, name: &str, arguments: Vec<Expr>) -> Expansion {
    let Some(form) = form(name, arguments.len()) else { return Expansion::None(range, arguments) };
    match expand(at, form, range, arguments) {
        Ok(kind) => Expansion::Done(Expr { at, kind }),
        Err(issue) => Expansion::Wrong(issue),
    }
}

/// What a macro's arguments are.
#[derive(Clone, Copy)]
enum Form {
    /// One or two variables, perhaps a filter, and the body.
    Walk {
        kind: Walk,
        variables: usize,
        filtered: bool,
    },
    Optional {
        flat: bool,
    },
}

fn form(name: &str, count: usize) -> Option<Form> {
    let walk = |kind, variables, filtered| Some(Form::Walk { kind, variables, filtered });
    match (name, count) {
        ("all", 2 | 3) => walk(Walk::All, count - 1, false),
        ("exists", 2 | 3) => walk(Walk::Exists, count - 1, false),
        ("exists_one", 2) => walk(Walk::ExistsOne, 1, false),
        ("existsOne", 2 | 3) => walk(Walk::ExistsOne, count - 1, false),
        ("filter", 2) => walk(Walk::Filter, 1, false),
        ("map", 2 | 3) => walk(Walk::List, 1, count == 3),
        ("transformList", 3 | 4) => walk(Walk::List, 2, count == 4),
        ("transformMap", 3 | 4) => walk(Walk::Map, 2, count == 4),
        ("transformMapEntry", 3 | 4) => walk(Walk::MapEntry, 2, count == 4),
        ("optMap", 2) => Some(Form::Optional { flat: false }),
        ("optFlatMap", 2) => Some(Form::Optional { flat: true }),
        _ => None,
    }
}

fn expand(at: usize, form: Form, target: Expr, arguments: Vec<Expr>) -> Result<Kind, Issue> {
    let mut arguments = arguments.into_iter();
    let mut next = || arguments.next().ok_or_else(|| Issue { at, message: "too few arguments to a macro".into() });
    match form {
        Form::Walk { kind, variables, filtered } => {
            let variable = simple_name(next()?)?;
            let second = if variables == 2 { Some(simple_name(next()?)?) } else { None };
            let filter = if filtered { Some(next()?) } else { None };
            let body = next()?;
            Ok(Kind::Comprehension(Box::new(Comprehension { kind, range: target, variable, second, filter, body })))
        }
        Form::Optional { flat } => {
            let variable = simple_name(next()?)?;
            Ok(Kind::OptionalMap(Box::new(OptionalMap { target, variable, body: next()?, flat })))
        }
    }
}

fn simple_name(argument: Expr) -> Result<Arc<str>, Issue> {
    match argument.kind {
        Kind::Ident(name) => Ok(name),
        _ => Err(Issue { at: argument.at, message: "argument must be a simple name".into() }),
    }
}
