//! Macros: calls that bind variables or ask for presence.
//!
//! Upstream: `cel-go/parser/macro.go`, `cel-go/ext/comprehensions.go`, `cel-go/ext/lists.go`,
//! `cel-go/cel/library.go`.

use crate::Issue;
use crate::ast::{Call, Comprehension, Expr, Kind, Mode, Named, Naming, Running, Style, Walk};
use crate::library::{self, sequences::SORT_BY_KEYS};
use std::sync::Arc;

/// What `sortBy` calls the list: no expression can have a name like this.
pub(crate) const SORTED: &str = "@__sortBy_input__";

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
    match arguments.pop() {
        Some(Expr { kind: Kind::Select(select), .. }) if select.mode == Mode::Plain => {
            Ok(Expr::new(at, Kind::Has(select)))
        }
        argument => {
            let at = argument.map_or(at, |argument| argument.at);
            Err(Issue { at, message: "invalid argument to has() macro".into() })
        }
    }
}

/// A macro with a receiver.
pub(crate) fn method(at: usize, range: Expr, name: &str, arguments: Vec<Expr>) -> Expansion {
    let is_library = matches!(&range.kind, Kind::Ident(of) if &**of == "cel");
    if is_library && name == "bind" && arguments.len() == 3 {
        return match bind(at, arguments) {
            Ok(expr) => Expansion::Done(expr),
            Err(issue) => Expansion::Wrong(issue),
        };
    }
    if name == "sortBy" && arguments.len() == 2 {
        return match sort_by(at, range, arguments) {
            Ok(expr) => Expansion::Done(expr),
            Err(issue) => Expansion::Wrong(issue),
        };
    }
    let Some(form) = form(name, arguments.len()) else { return Expansion::None(range, arguments) };
    match expand(at, form, range, arguments) {
        Ok(kind) => Expansion::Done(Expr::new(at, kind)),
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
    Optional(Naming),
}

fn form(name: &str, count: usize) -> Option<Form> {
    let walk = |kind, variables, filtered| Some(Form::Walk { kind, variables, filtered });
    match (name, count) {
        ("all", 2 | 3) => walk(Walk::All, count - 1, false),
        ("exists", 2 | 3) => walk(Walk::Exists, count - 1, false),
        ("exists_one", 2 | 3) => walk(Walk::ExistsOne, count - 1, false),
        ("existsOne", 3) => walk(Walk::ExistsOne, 2, false),
        ("filter", 2) => walk(Walk::Filter, 1, false),
        ("map", 2 | 3) => walk(Walk::List, 1, count == 3),
        ("transformList", 3 | 4) => walk(Walk::List, 2, count == 4),
        ("transformMap", 3 | 4) => walk(Walk::Map, 2, count == 4),
        ("transformMapEntry", 3 | 4) => walk(Walk::MapEntry, 2, count == 4),
        ("optMap", 2) => Some(Form::Optional(Naming::Map)),
        ("optFlatMap", 2) => Some(Form::Optional(Naming::FlatMap)),
        _ => None,
    }
}

fn expand(at: usize, form: Form, target: Expr, arguments: Vec<Expr>) -> Result<Kind, Issue> {
    let mut arguments = arguments.into_iter();
    let mut next = || arguments.next().ok_or_else(|| Issue { at, message: "too few arguments to a macro".into() });
    match form {
        Form::Walk { kind, variables, filtered } => {
            let is_list = variables == 1 && matches!(kind, Walk::List | Walk::Filter);
            let wrong = if is_list { "argument is not an identifier" } else { NO_NAME };
            let (first, variable) = iterated(next()?, wrong)?;
            let second = if variables == 2 { Some(iterated(next()?, wrong)?) } else { None };
            if let Some((at, second)) = second.as_ref().filter(|(_, second)| *second == variable) {
                return Err(Issue { at: *at, message: format!("duplicate variable name: {second}") });
            }
            for (at, name) in [Some(&(first, variable.clone())), second.as_ref()].into_iter().flatten() {
                if &**name == ACCUMULATOR {
                    let message = "iteration variable overwrites accumulator variable".into();
                    return Err(Issue { at: *at, message });
                }
            }
            let second = second.map(|(_, name)| name);
            let filter = if filtered { Some(next()?) } else { None };
            let body = next()?;
            Ok(Kind::Comprehension(Box::new(Comprehension { kind, range: target, variable, second, filter, body })))
        }
        Form::Optional(kind) => {
            let macro_name = if kind == Naming::Map { "optMap" } else { "optFlatMap" };
            let wrong = format!("{macro_name}() variable name must be a simple identifier");
            let (_, variable) = iterated(next()?, &wrong)?;
            Ok(Kind::Named(Box::new(Named { target, variable, body: next()?, kind })))
        }
    }
}

/// `cel.bind(variable, target, body)`.
fn bind(at: usize, arguments: Vec<Expr>) -> Result<Expr, Issue> {
    let arguments = <[Expr; 3]>::try_from(arguments);
    let [variable, target, body] =
        arguments.map_err(|_| Issue { at, message: "too few arguments to a macro".into() })?;
    let named = Named { target, variable: iterated(variable, NO_NAME)?.1, body, kind: Naming::Bind };
    Ok(Expr::new(at, Kind::Named(Box::new(named))))
}

/// `list.sortBy(variable, key)`: the list is named, as it is both sorted and walked over for its keys.
fn sort_by(at: usize, list: Expr, arguments: Vec<Expr>) -> Result<Expr, Issue> {
    if let Kind::Literal(_) | Kind::Map(_) | Kind::Struct(_) = list.kind {
        let message = "sortBy can only be applied to a list, identifier, comprehension, call or select expression";
        return Err(Issue { at: list.at, message: message.into() });
    }
    let variable: Arc<str> = SORTED.into();
    let named = || Expr::new(at, Kind::Ident(variable.clone()));
    let map = Form::Walk { kind: Walk::List, variables: 1, filtered: false };
    let keys = Expr::new(at, expand(at, map, named(), arguments)?);
    let (name, style) = (SORT_BY_KEYS, Style::Member);
    let entry = library::find(name, style);
    let call = Call {
        name: name.into(),
        style,
        running: Running::of(name, style),
        entry,
        overload: None,
        arguments: vec![named(), keys],
    };
    let body = Expr::new(at, Kind::Call(Box::new(call)));
    Ok(Expr::new(at, Kind::Named(Box::new(Named { target: list, variable, body, kind: Naming::Bind }))))
}

const NO_NAME: &str = "argument must be a simple name";

/// What upstream's macros once called what they make.
const ACCUMULATOR: &str = "__result__";

/// A variable of a macro, and where it stands.
fn iterated(argument: Expr, wrong: &str) -> Result<(usize, Arc<str>), Issue> {
    match argument.kind {
        Kind::Ident(name) => Ok((argument.at, name)),
        _ => Err(Issue { at: argument.at, message: wrong.into() }),
    }
}
