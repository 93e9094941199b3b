//! Calls: of operators, functions, macros and methods.

use crate::Issue;
use crate::ast::{Call, Expr, Kind, Mode, Running, Style};
use crate::{library, macros};
use std::sync::Arc;

/// A call of an operator or a global function.
pub(super) fn call(at: usize, name: &str, arguments: Vec<Expr>) -> Expr {
    named(at, name.into(), Style::Global, arguments)
}

fn named(at: usize, name: Arc<str>, style: Style, arguments: Vec<Expr>) -> Expr {
    let entry = library::find(&name, style);
    Expr::new(
        at,
        Kind::Call(Box::new(Call {
            running: Running::of(&name, style),
            name,
            style,
            entry,
            overload: None,
            arguments,
        })),
    )
}

pub(super) fn function(at: usize, name: Arc<str>, arguments: Vec<Expr>) -> Result<Expr, Issue> {
    match &*name {
        "has" if arguments.len() == 1 => macros::has(at, arguments),
        _ => Ok(named(at, name, Style::Global, arguments)),
    }
}

/// A macro, a function in a namespace, or a method.
pub(super) fn method(at: usize, operand: Expr, name: Arc<str>, arguments: Vec<Expr>) -> Result<Expr, Issue> {
    if let Some(namespace) = qualified(&operand) {
        let full = format!("{namespace}.{name}");
        if library::find(&full, Style::Global).is_some() {
            return Ok(named(at, full.into(), Style::Global, arguments));
        }
    }
    match macros::method(at, operand, &name, arguments) {
        macros::Expansion::Done(expr) => Ok(expr),
        macros::Expansion::Wrong(issue) => Err(issue),
        macros::Expansion::None(operand, mut arguments) => {
            arguments.insert(0, operand);
            Ok(named(at, name, Style::Member, arguments))
        }
    }
}

/// `a.b.c` as text, if the expression is nothing but names.
pub(super) fn qualified(expr: &Expr) -> Option<String> {
    match &expr.kind {
        Kind::Ident(name) => Some(name.to_string()),
        Kind::Select(select) if select.mode == Mode::Plain => {
            Some(format!("{}.{}", qualified(&select.operand)?, select.field))
        }
        _ => None,
    }
}
