//! The type checker.
//!
//! Upstream: `cel-go/checker/checker.go`.

use crate::ast::{
    Call, Comprehension, Expr, Kind, Literal, Mode, Named, Naming, Select, Struct, StructField, Style, Walk,
};
use crate::escape::unescape;
use crate::library::{self, Entry, Overload};
use crate::macros::SORTED;
use crate::types::{self, Binding, Opaque, Type, join};
use crate::value::TYPE_NAMES;
use crate::{Environment, Issue};
use std::collections::HashMap;
use std::sync::Arc;

/// The type of an expression; what is wrong goes to `issues`.
pub(crate) fn check(expr: &Expr, environment: &Environment, issues: &mut Vec<Issue>) -> Type {
    Checker { environment, issues, locals: Vec::new(), found: None }.check(expr)
}

/// The types of all parts of an expression that has been checked.
pub(crate) fn types(expr: &Expr, environment: &Environment) -> Types {
    let (mut found, mut issues) = (Types::new(), Vec::new());
    Checker { environment, issues: &mut issues, locals: Vec::new(), found: Some(&mut found) }.check(expr);
    found
}

/// Types by where their expressions are; programs keep none, as only estimates need them.
pub(crate) type Types = HashMap<*const Expr, Type>;

struct Checker<'a, 'e> {
    environment: &'a Environment,
    issues: &'a mut Vec<Issue>,
    locals: Vec<(&'e str, Type)>,
    found: Option<&'a mut Types>,
}

impl<'e> Checker<'_, 'e> {
    fn fail(&mut self, at: usize, message: String) -> Type {
        self.issues.push(Issue { at, message });
        Type::Dyn
    }

    fn check(&mut self, expr: &'e Expr) -> Type {
        let of = self.type_of(expr);
        if let Some(found) = &mut self.found {
            found.insert(expr, of.clone());
        }
        of
    }

    fn type_of(&mut self, expr: &'e Expr) -> Type {
        match &expr.kind {
            Kind::Literal(literal) => of_literal(literal),
            Kind::Ident(name) => self.ident(expr.at, name),
            Kind::Select(select) => self.select(expr.at, select),
            Kind::Has(select) => {
                self.field_of(expr.at, select);
                Type::Bool
            }
            Kind::Call(call) => self.call(expr.at, call),
            Kind::And(all) => self.logic(expr.at, "_&&_", all),
            Kind::Or(all) => self.logic(expr.at, "_||_", all),
            Kind::Conditional(parts) => self.conditional(expr.at, parts),
            Kind::List(elements) => {
                let parts = elements.iter().map(|e| (&e.value, e.mode));
                Type::list(self.homogeneous(parts))
            }
            Kind::Map(members) => {
                let key = self.homogeneous(members.iter().map(|m| (&m.key, Mode::Plain)));
                let value = self.homogeneous(members.iter().map(|m| (&m.value, m.mode)));
                Type::Map(Arc::new(key), Arc::new(value))
            }
            Kind::Struct(object) => self.object(expr.at, object),
            Kind::Comprehension(walk) => self.walk(walk),
            Kind::Named(named) => self.named(expr.at, named),
        }
    }

    fn ident(&mut self, at: usize, name: &str) -> Type {
        if let Some((_, of)) = self.locals.iter().rev().find(|(local, _)| *local == name) {
            return of.clone();
        }
        match self.environment.variable(name) {
            Some(of) => of.clone(),
            None if TYPE_NAMES.contains(&name) => Type::Type,
            None => self.fail(at, format!("undeclared reference to '{name}' (in container '')")),
        }
    }

    fn select(&mut self, at: usize, select: &'e Select) -> Type {
        if library::type_path(select).is_some() {
            return Type::Type;
        }
        let (of, is_optional) = self.field_of(at, select);
        match is_optional || select.mode == Mode::Optional {
            true => Type::optional(of),
            false => of,
        }
    }

    /// The type of a field, and whether its object is optional.
    fn field_of(&mut self, at: usize, select: &'e Select) -> (Type, bool) {
        match self.check(&select.operand) {
            Type::Optional(inner) => (self.field(at, &inner, &select.field), true),
            of => (self.field(at, &of, &select.field), false),
        }
    }

    fn field(&mut self, at: usize, of: &Type, name: &str) -> Type {
        let found = match of {
            Type::Dyn | Type::Partial(_) | Type::JsonPatch => Some(Type::Dyn),
            Type::Map(key, value) if matches!(**key, Type::String | Type::Dyn) => Some((**value).clone()),
            Type::Object(object) => types::member(object, name).or_else(|| types::member(object, &unescape(name))),
            Type::Opaque(Opaque::Authorizer) if name == "requestResource" => Some(Type::Opaque(Opaque::ResourceCheck)),
            Type::Record(record) => record.fields.get(name).cloned(),
            other => return self.fail(at, format!("type '{other}' does not support field selection")),
        };
        match found {
            Some(of) => of,
            None => self.fail(at, format!("undefined field '{name}'")),
        }
    }

    fn call(&mut self, at: usize, call: &'e Call) -> Type {
        let arguments: Vec<Type> = call.arguments.iter().map(|a| self.argument(&call.name, a)).collect();
        let is_foreign = call.name.starts_with(MUTATIONS_ONLY) && !self.environment.has_mutations();
        let Some(entry) = call.entry.filter(|_| !is_foreign) else {
            return self.fail(at, format!("undeclared reference to '{}' (in container '')", call.name));
        };
        match resolve(entry, &arguments) {
            Some(result) => result,
            None => self.mismatch(at, &call.name, call.style, &arguments),
        }
    }

    /// What is formatted may be of all kinds; other lists are homogeneous.
    fn argument(&mut self, function: &str, argument: &'e Expr) -> Type {
        let Kind::List(elements) = &argument.kind else { return self.check(argument) };
        if function != "format" {
            return self.check(argument);
        }
        for element in elements {
            self.check(&element.value);
        }
        Type::list(Type::Dyn)
    }

    fn mismatch(&mut self, at: usize, name: &str, style: Style, arguments: &[Type]) -> Type {
        let list = |of: &[Type]| of.iter().map(Type::to_string).collect::<Vec<_>>().join(", ");
        let applied = match (style, arguments) {
            (Style::Member, [receiver, rest @ ..]) => format!("{receiver}.({})", list(rest)),
            _ => format!("({})", list(arguments)),
        };
        self.fail(at, format!("found no matching overload for '{name}' applied to '{applied}'"))
    }

    fn logic(&mut self, at: usize, name: &str, all: &'e [Expr]) -> Type {
        let types: Vec<Type> = all.iter().map(|operand| self.check(operand)).collect();
        if let Some(index) = types.iter().position(|of| !matches!(of, Type::Bool | Type::Dyn)) {
            let pair = if index == 0 { &types[..2] } else { &types[index - 1..=index] };
            self.mismatch(at, name, Style::Global, pair);
        }
        Type::Bool
    }

    fn conditional(&mut self, at: usize, parts: &'e [Expr; 3]) -> Type {
        let [condition, then, otherwise] = parts.each_ref().map(|part| self.check(part));
        let joined = match (&then, &otherwise) {
            // An empty list says nothing of its elements: the other one does.
            (Type::List(_), Type::List(_)) if is_empty_list(&parts[1]) => Some(otherwise.clone()),
            (Type::List(_), Type::List(_)) if is_empty_list(&parts[2]) => Some(then.clone()),
            _ => join(&then, &otherwise),
        };
        match joined.filter(|_| matches!(condition, Type::Bool | Type::Dyn)) {
            Some(of) => of,
            None => self.mismatch(at, "_?_:_", Style::Global, &[condition, then, otherwise]),
        }
    }

    /// The type of all elements, which have to be alike.
    fn homogeneous(&mut self, parts: impl Iterator<Item = (&'e Expr, Mode)>) -> Type {
        let mut common: Option<Type> = None;
        for (expr, mode) in parts {
            let of = match (mode, self.check(expr)) {
                (Mode::Optional, Type::Optional(inner)) => (*inner).clone(),
                (Mode::Optional, Type::Dyn) => Type::Dyn,
                (Mode::Optional, other) => {
                    self.fail(expr.at, format!("expected type 'optional_type(dyn)' but found '{other}'"))
                }
                (Mode::Plain, of) => of,
            };
            common = Some(match common {
                None => of,
                Some(before) => match join(&before, &of) {
                    Some(joined) => joined,
                    None => self.fail(expr.at, format!("expected type '{before}' but found '{of}'")),
                },
            });
        }
        common.unwrap_or_default()
    }

    fn object(&mut self, at: usize, object: &'e Struct) -> Type {
        let known = match &*object.name {
            "JSONPatch" => Some(Type::JsonPatch),
            name if name == "Object" || name.starts_with("Object.") => Some(Type::Partial(object.name.clone())),
            _ => None,
        };
        let known = known.filter(|_| self.environment.has_mutations());
        for field in &object.fields {
            let of = self.check(&field.value);
            if matches!(known, Some(Type::JsonPatch)) {
                self.patch_field(field, &of);
            }
        }
        match known {
            Some(of) => of,
            None => self.fail(at, format!("undeclared reference to '{}' (in container '')", object.name)),
        }
    }

    fn patch_field(&mut self, field: &StructField, of: &Type) {
        match (&*field.name, of) {
            ("value", _) | ("op" | "path" | "from", Type::String | Type::Dyn) => {}
            ("op" | "path" | "from", other) => {
                let name = &field.name;
                let message = format!("expected type of field '{name}' is 'string' but provided type is '{other}'");
                self.fail(field.at, message);
            }
            (name, _) => {
                self.fail(field.at, format!("undefined field '{name}'"));
            }
        }
    }

    fn walk(&mut self, walk: &'e Comprehension) -> Type {
        // Key and value, and what a single variable is.
        let (key, value, single) = match self.check(&walk.range) {
            Type::List(of) => (Type::Int, (*of).clone(), (*of).clone()),
            Type::Map(key, value) => ((*key).clone(), (*value).clone(), (*key).clone()),
            Type::Dyn => (Type::Dyn, Type::Dyn, Type::Dyn),
            other => {
                let message = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                (self.fail(walk.range.at, message), Type::Dyn, Type::Dyn)
            }
        };
        let depth = self.locals.len();
        match &walk.second {
            Some(second) => {
                self.locals.push((&walk.variable, key.clone()));
                self.locals.push((second, value));
            }
            None => self.locals.push((&walk.variable, single)),
        }
        if let Some(filter) = &walk.filter {
            self.expect_bool(filter);
        }
        let result = self.walk_body(walk, key);
        self.locals.truncate(depth);
        result
    }

    fn walk_body(&mut self, walk: &'e Comprehension, key: Type) -> Type {
        match walk.kind {
            Walk::All | Walk::Exists | Walk::ExistsOne => {
                self.expect_bool(&walk.body);
                Type::Bool
            }
            Walk::Filter => {
                self.expect_bool(&walk.body);
                Type::list(self.locals.last().map(|(_, of)| of.clone()).unwrap_or_default())
            }
            Walk::List => Type::list(self.check(&walk.body)),
            Walk::Map => Type::Map(Arc::new(key), Arc::new(self.check(&walk.body))),
            Walk::MapEntry => self.check(&walk.body),
        }
    }

    fn expect_bool(&mut self, expr: &'e Expr) {
        let of = self.check(expr);
        if !matches!(of, Type::Bool | Type::Dyn) {
            self.fail(expr.at, format!("expected type 'bool' but found '{of}'"));
        }
    }

    fn named(&mut self, at: usize, named: &'e Named) -> Type {
        let optional = |other: Type| format!("expected type 'optional_type(dyn)' but found '{other}'");
        let inner = match (named.kind, self.check(&named.target)) {
            (Naming::Bind, of) => of,
            (_, Type::Optional(inner)) => (*inner).clone(),
            (_, Type::Dyn) => Type::Dyn,
            (_, other) => self.fail(named.target.at, optional(other)),
        };
        if named.kind == Naming::Bind && &*named.variable != SORTED && !self.environment.has_binding() {
            self.fail(at, "undeclared reference to 'cel.bind' (in container '')".into());
        }
        self.locals.push((&named.variable, inner));
        let body = self.check(&named.body);
        self.locals.pop();
        match (named.kind, body) {
            (Naming::Bind, of) => of,
            (Naming::FlatMap, of @ (Type::Optional(_) | Type::Dyn)) => of,
            (Naming::FlatMap, other) => self.fail(named.body.at, optional(other)),
            (Naming::Map, of) => Type::optional(of),
        }
    }
}

/// The namespace of functions that only mutations have.
const MUTATIONS_ONLY: &str = "jsonpatch.";

fn of_literal(literal: &Literal) -> Type {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
        Literal::Bytes(_) => Type::Bytes,
    }
}

/// The overloads that take such arguments, with what their parameters stand for.
pub(crate) fn fitting<'a>(entry: &'a Entry, arguments: &'a [Type]) -> impl Iterator<Item = (&'a Overload, Binding)> {
    entry.overloads.iter().filter_map(move |overload| {
        let mut binding = Binding::default();
        let fits = overload.parameters.len() == arguments.len()
            && overload.parameters.iter().zip(arguments).all(|(p, a)| binding.accepts(p, a));
        fits.then_some((overload, binding))
    })
}

/// The result of the overloads that fit; several of them make it dynamic.
fn resolve(entry: &Entry, arguments: &[Type]) -> Option<Type> {
    let mut result: Option<Type> = None;
    for (overload, binding) in fitting(entry, arguments) {
        let of = binding.resolve(&overload.result);
        result = Some(match result {
            None => of,
            Some(before) => join(&before, &of).unwrap_or_default(),
        });
    }
    result
}

fn is_empty_list(expr: &Expr) -> bool {
    matches!(&expr.kind, Kind::List(elements) if elements.is_empty())
}

#[cfg(test)]
mod tests;
