//! The type checker.
//!
//! Upstream: `cel-go/checker/checker.go`.

pub(crate) mod unify;

use crate::Environment;
use crate::ast::{
    Call, Comprehension, Element, Expr, Kind, Literal, Member, Mode, Named, Naming, Select, Struct, StructField, Style,
    Walk,
};
use crate::error::Issues;
use crate::escape::unescape;
use crate::library::{self, Overload};
use crate::macros::SORTED;
use crate::types::{self, Opaque, Type};
use std::collections::HashMap;
use std::sync::Arc;
use unify::{Open, Unifier, most_general, same};

/// What the checker has found out about the parts of an expression, by where they are.
#[derive(Default)]
pub(crate) struct Findings {
    types: HashMap<*const Expr, Type>,
    overloads: HashMap<*const Expr, u32>,
}

impl Findings {
    /// The type of a part; what has not been looked at may be anything.
    pub(crate) fn type_of(&self, expr: &Expr) -> &Type {
        self.types.get(&std::ptr::from_ref(expr)).unwrap_or(&Type::Dyn)
    }

    /// The positions of the overloads that a call may be.
    pub(crate) fn overloads(&self, call: &Expr) -> impl Iterator<Item = usize> + use<> {
        let set = self.overloads.get(&std::ptr::from_ref(call)).copied().unwrap_or_default();
        (0..u32::BITS as usize).filter(move |index| set & 1 << index != 0)
    }
}

/// The type of an expression and of all of its parts; what is wrong goes to `issues`.
pub(crate) fn check(expr: &Expr, environment: &Environment, issues: &mut Issues) -> (Type, Findings) {
    let (unifier, findings) = (Unifier::default(), Findings::default());
    let mut checker = Checker { environment, issues, locals: Vec::new(), unifier, findings };
    let of = checker.check(expr);
    let of = checker.unifier.resolve(&of, Open::Close);
    for part in checker.findings.types.values_mut() {
        *part = checker.unifier.resolve(part, Open::Close);
    }
    (of, checker.findings)
}

struct Checker<'a, 'e> {
    environment: &'a Environment,
    issues: &'a mut Issues,
    locals: Vec<(&'e str, Type)>,
    unifier: Unifier,
    findings: Findings,
}

impl<'e> Checker<'_, 'e> {
    fn fail(&mut self, at: usize, message: String) -> Type {
        self.issues.push(at, message);
        Type::Error
    }

    /// A type as messages have it.
    fn name(&mut self, of: &Type) -> String {
        self.unifier.resolve(of, Open::Close).to_string()
    }

    fn unlike(&mut self, at: usize, expected: &Type, found: &Type) -> Type {
        let (expected, found) = (self.name(expected), self.name(found));
        self.fail(at, format!("expected type '{expected}' but found '{found}'"))
    }

    fn check(&mut self, expr: &'e Expr) -> Type {
        let of = self.type_of(expr);
        self.findings.types.insert(expr, of.clone());
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
            Kind::Call(call) => self.call(expr, call),
            Kind::And(all) | Kind::Or(all) => self.logic(all),
            Kind::Conditional(parts) => {
                let parts = parts.each_ref().map(|part| self.check(part));
                self.conditional(expr.at, parts)
            }
            Kind::List(elements) => self.list(elements),
            Kind::Map(members) => self.map(members),
            Kind::Struct(object) => self.object(expr.at, object),
            Kind::Comprehension(walk) => self.walk(expr.at, walk),
            Kind::Named(named) => self.named(expr.at, named),
        }
    }

    fn ident(&mut self, at: usize, name: &str) -> Type {
        if let Some((_, of)) = self.locals.iter().rev().find(|(local, _)| *local == name) {
            return of.clone();
        }
        if let Some(of) = self.environment.variable(name) {
            return of.clone();
        }
        match types::named(name) {
            Some(of) => Type::Type(Arc::new(of)),
            None => self.undeclared(at, name),
        }
    }

    fn undeclared(&mut self, at: usize, name: &str) -> Type {
        self.fail(at, format!("undeclared reference to '{name}' (in container '')"))
    }

    fn select(&mut self, at: usize, select: &'e Select) -> Type {
        if let Some(name) = library::type_path(select) {
            return Type::Type(Arc::new(types::named(name).unwrap_or_default()));
        }
        let (of, is_optional) = self.field_of(at, select);
        let of = match is_optional || select.mode == Mode::Optional {
            true => Type::optional(of),
            false => of,
        };
        self.unifier.resolve(&of, Open::Keep)
    }

    /// The type of a field, and whether its object is optional.
    fn field_of(&mut self, at: usize, select: &'e Select) -> (Type, bool) {
        let operand = self.check(&select.operand);
        match self.unifier.resolve(&operand, Open::Keep) {
            Type::Optional(inner) => (self.field(at, &inner, &select.field), true),
            of => (self.field(at, &of, &select.field), false),
        }
    }

    fn field(&mut self, at: usize, of: &Type, name: &str) -> Type {
        let found = match of {
            Type::Dyn | Type::Error | Type::Partial(_) | Type::JsonPatch => Some(Type::Dyn),
            Type::Open(_) => {
                self.unifier.accepts(&Type::Dyn, of);
                Some(Type::Dyn)
            }
            Type::Map(_, value) => Some((**value).clone()),
            Type::Object(object) => types::member(object, name).or_else(|| types::member(object, &unescape(name))),
            Type::Opaque(Opaque::Authorizer) if name == "requestResource" => Some(Type::Opaque(Opaque::ResourceCheck)),
            Type::Record(record) => record.fields.get(name).cloned(),
            other => {
                let name = self.name(other);
                self.fail(at, format!("type '{name}' does not support field selection"));
                Some(Type::Dyn)
            }
        };
        match found {
            Some(of) => of,
            None => self.fail(at, format!("undefined field '{name}'")),
        }
    }

    fn call(&mut self, expr: &'e Expr, call: &'e Call) -> Type {
        let arguments: Vec<Type> = match (call.style, &call.arguments[..]) {
            // A receiver is looked at after its arguments.
            (Style::Member, [receiver, rest @ ..]) => {
                let mut rest: Vec<Type> = rest.iter().map(|argument| self.check(argument)).collect();
                rest.insert(0, self.check(receiver));
                rest
            }
            (_, arguments) => arguments.iter().map(|argument| self.check(argument)).collect(),
        };
        let is_foreign = call.name.starts_with(MUTATIONS_ONLY) && !self.environment.has_mutations();
        let Some(entry) = call.entry.filter(|_| !is_foreign) else {
            let is_known = library::find(&call.name, call.style.other()).is_some() && !is_foreign;
            return match is_known {
                true => self.mismatch(expr.at, &call.name, call.style, &arguments),
                false => self.undeclared(expr.at, &call.name),
            };
        };
        match self.resolve(&entry.overloads, &arguments) {
            Some((of, set)) => {
                self.findings.overloads.insert(expr, set);
                of
            }
            None => self.mismatch(expr.at, &call.name, call.style, &arguments),
        }
    }

    /// The result of the overloads that fit, and which those are; several results make it dynamic.
    fn resolve(&mut self, overloads: &[Overload], arguments: &[Type]) -> Option<(Type, u32)> {
        let (mut result, mut set): (Option<Type>, u32) = (None, 0);
        for (index, overload) in overloads.iter().enumerate() {
            if overload.parameters.len() != arguments.len() {
                continue;
            }
            let (parameters, of) = self.unifier.instance(overload);
            if !self.unifier.accept_all(arguments.iter().zip(&parameters)) {
                continue;
            }
            set |= 1 << index;
            let of = self.unifier.resolve(&of, Open::Keep);
            result = Some(match result {
                None => of,
                Some(before) if same(&before, &of) => before,
                Some(_) => Type::Dyn,
            });
        }
        Some((result?, set))
    }

    /// A call that is part of a macro.
    fn resolve_hidden(&mut self, at: usize, name: &str, overloads: &[Overload], arguments: &[Type]) -> Type {
        match self.resolve(overloads, arguments) {
            Some((of, _)) => of,
            None => self.mismatch(at, name, Style::Global, arguments),
        }
    }

    fn mismatch(&mut self, at: usize, name: &str, style: Style, arguments: &[Type]) -> Type {
        let names: Vec<String> = arguments.iter().map(|of| self.name(of)).collect();
        let applied = match (style, &names[..]) {
            (Style::Member, [receiver, rest @ ..]) => format!("{receiver}.({})", rest.join(", ")),
            _ => format!("({})", names.join(", ")),
        };
        self.fail(at, format!("found no matching overload for '{name}' applied to '{applied}'"))
    }

    fn logic(&mut self, all: &'e [Expr]) -> Type {
        let types: Vec<Type> = all.iter().map(|operand| self.check(operand)).collect();
        let mut of = Type::Bool;
        for (operand, found) in all.iter().zip(&types) {
            if !self.unifier.accepts(found, &Type::Bool) {
                of = self.unlike(operand.at, &Type::Bool, found);
            }
        }
        of
    }

    fn conditional(&mut self, at: usize, parts: [Type; 3]) -> Type {
        self.resolve_hidden(at, "_?_:_", &library::CONDITIONAL, &parts)
    }

    fn list(&mut self, elements: &'e [Element]) -> Type {
        let mut common: Option<Type> = None;
        for element in elements {
            let of = self.member(&element.value, element.mode);
            common = Some(self.join(common, of));
        }
        Type::list(common.unwrap_or_else(|| self.unifier.open()))
    }

    fn map(&mut self, members: &'e [Member]) -> Type {
        let (mut keys, mut values): (Option<Type>, Option<Type>) = (None, None);
        for member in members {
            let of = self.check(&member.key);
            keys = Some(self.join(keys, of));
            let of = self.member(&member.value, member.mode);
            values = Some(self.join(values, of));
        }
        let keys = keys.unwrap_or_else(|| self.unifier.open());
        Type::Map(Arc::new(keys), Arc::new(values.unwrap_or_else(|| self.unifier.open())))
    }

    /// The type of a member of a list, map or object; an optional one holds it.
    fn member(&mut self, expr: &'e Expr, mode: Mode) -> Type {
        match (mode, self.check(expr)) {
            (Mode::Optional, Type::Optional(inner)) => (*inner).clone(),
            (Mode::Plain, of) | (Mode::Optional, of @ Type::Dyn) => of,
            (Mode::Optional, of) => {
                self.unlike(expr.at, &Type::optional(of.clone()), &of);
                of
            }
        }
    }

    /// The type of both. What has nothing in common may be anything: literals are looked at again when
    /// all types are known.
    fn join(&mut self, before: Option<Type>, of: Type) -> Type {
        let Some(before) = before else { return of };
        match self.unifier.accepts(&before, &of) {
            true => most_general(before, of),
            false => Type::Dyn,
        }
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
            ("value", _) => {}
            ("op" | "path" | "from", of) if self.unifier.accepts(&Type::String, of) => {}
            ("op" | "path" | "from", other) => {
                let (name, other) = (&field.name, self.name(other));
                let message = format!("expected type of field '{name}' is 'string' but provided type is '{other}'");
                self.fail(field.at, message);
            }
            (name, _) => {
                self.fail(field.at, format!("undefined field '{name}'"));
            }
        }
    }

    fn walk(&mut self, at: usize, walk: &'e Comprehension) -> Type {
        let range = self.check(&walk.range);
        let made = match walk.kind {
            Walk::All | Walk::Exists => Type::Bool,
            Walk::ExistsOne => Type::Int,
            Walk::List | Walk::Filter => Type::list(self.unifier.open()),
            Walk::Map | Walk::MapEntry => Type::Map(Arc::new(self.unifier.open()), Arc::new(self.unifier.open())),
        };
        // Key and value, and what a single variable is.
        let (key, value, single) = match self.unifier.resolve(&range, Open::Keep) {
            Type::List(of) => (Type::Int, (*of).clone(), (*of).clone()),
            Type::Map(key, value) => ((*key).clone(), (*value).clone(), (*key).clone()),
            of @ (Type::Dyn | Type::Error | Type::Open(_)) => {
                self.unifier.accepts(&Type::Dyn, &of);
                (Type::Dyn, Type::Dyn, Type::Dyn)
            }
            other => {
                let name = self.name(&other);
                let message = format!(
                    "expression of type '{name}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.fail(walk.range.at, message);
                (Type::Error, Type::Error, Type::Error)
            }
        };
        let first = if walk.second.is_some() { key } else { single };
        let depth = self.locals.len();
        self.locals.push((&walk.variable, first.clone()));
        if let Some(second) = &walk.second {
            self.locals.push((second, value));
        }
        self.step(at, walk, &made, first);
        self.locals.truncate(depth);
        match walk.kind {
            Walk::ExistsOne => Type::Bool,
            _ => self.unifier.resolve(&made, Open::Keep),
        }
    }

    /// What is done with each element has to be of the type of what is made.
    fn step(&mut self, at: usize, walk: &'e Comprehension, made: &Type, variable: Type) {
        let filter = walk.filter.as_ref().map(|filter| self.check(filter));
        let body = self.check(&walk.body);
        let step = match walk.kind {
            Walk::All | Walk::Exists => {
                if !self.unifier.accepts(&body, &Type::Bool) {
                    self.unlike(walk.body.at, &Type::Bool, &body);
                }
                return;
            }
            Walk::ExistsOne => {
                self.conditional(at, [body, Type::Int, Type::Int]);
                return;
            }
            Walk::Filter => {
                let step = self.append(at, made, variable);
                self.conditional(at, [body, step, made.clone()])
            }
            Walk::List => self.append(at, made, body),
            Walk::Map => self.resolve_hidden(at, "cel.@mapInsert", &library::INSERT, &[made.clone(), variable, body]),
            Walk::MapEntry => self.resolve_hidden(at, "cel.@mapInsert", &library::INSERT, &[made.clone(), body]),
        };
        let step = match filter {
            Some(filter) => self.conditional(at, [filter, step, made.clone()]),
            None => step,
        };
        if !self.unifier.accepts(made, &step) {
            self.unlike(at, made, &step);
        }
    }

    /// `made + [element]`
    fn append(&mut self, at: usize, made: &Type, element: Type) -> Type {
        let Some(sum) = library::find("_+_", Style::Global) else { return Type::Dyn };
        self.resolve_hidden(at, "_+_", &sum.overloads, &[made.clone(), Type::list(element)])
    }

    fn named(&mut self, at: usize, named: &'e Named) -> Type {
        if named.kind == Naming::Bind {
            if &*named.variable != SORTED && !self.environment.has_binding() {
                self.fail(at, "undeclared reference to 'cel.bind' (in container '')".into());
            }
            let target = self.check(&named.target);
            return self.with(&named.variable, target, &named.body);
        }
        let before = self.issues.len();
        let target = self.check(&named.target);
        let after = self.issues.len();
        self.of_optional(at, "hasValue", &target);
        // The macro takes its target twice.
        self.issues.repeat(before..after);
        let inner = self.of_optional(at, "value", &target);
        let body = self.with(&named.variable, inner, &named.body);
        let body = match named.kind {
            Naming::Map => Type::optional(body),
            Naming::Bind | Naming::FlatMap => body,
        };
        let none = Type::optional(self.unifier.open());
        self.conditional(at, [Type::Bool, body, none])
    }

    fn of_optional(&mut self, at: usize, method: &str, target: &Type) -> Type {
        let Some(entry) = library::find(method, Style::Member) else { return Type::Dyn };
        match self.resolve(&entry.overloads, std::slice::from_ref(target)) {
            Some((of, _)) => of,
            None => self.mismatch(at, method, Style::Member, std::slice::from_ref(target)),
        }
    }

    /// The type of an expression that knows a name more.
    fn with(&mut self, name: &'e str, of: Type, body: &'e Expr) -> Type {
        self.locals.push((name, of));
        let of = self.check(body);
        self.locals.pop();
        of
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

#[cfg(test)]
mod tests;
