//! What is known of an expression before it runs: which overloads its calls are, and which parts of it
//! are the same every time. Those cost nothing, as upstream computes them before it starts to count.
//!
//! Upstream: `planCall` in `cel-go/interpreter/planner.go`, `decOptimize` in
//! `cel-go/interpreter/decorators.go`.

use crate::ast::{Call, Expr, Kind, Literal, Running, Style};
use crate::check::Findings;
use crate::types;

/// Marks an expression and all in it.
pub(crate) fn plan(expr: &mut Expr, findings: &Findings) {
    let overload = single(findings.overloads(expr));
    match &mut expr.kind {
        Kind::Literal(_) | Kind::Ident(_) => {}
        Kind::Select(select) | Kind::Has(select) => plan(&mut select.operand, findings),
        Kind::Call(call) => {
            call.overload = overload;
            call.arguments.iter_mut().for_each(|argument| plan(argument, findings));
            if call.is_in_set() {
                call.running = Running::Set;
            }
        }
        Kind::And(all) | Kind::Or(all) => all.iter_mut().for_each(|operand| plan(operand, findings)),
        Kind::Conditional(parts) => parts.iter_mut().for_each(|part| plan(part, findings)),
        Kind::List(elements) => elements.iter_mut().for_each(|element| plan(&mut element.value, findings)),
        Kind::Map(members) => members.iter_mut().for_each(|member| {
            plan(&mut member.key, findings);
            plan(&mut member.value, findings);
        }),
        Kind::Struct(object) => object.fields.iter_mut().for_each(|field| plan(&mut field.value, findings)),
        Kind::Comprehension(walk) => {
            plan(&mut walk.range, findings);
            walk.filter.iter_mut().for_each(|filter| plan(filter, findings));
            plan(&mut walk.body, findings);
        }
        Kind::Named(named) => {
            plan(&mut named.target, findings);
            plan(&mut named.body, findings);
        }
    }
    expr.is_constant = is_constant(expr, findings);
}

/// The only one of several.
fn single(mut overloads: impl Iterator<Item = usize>) -> Option<u8> {
    let first = overloads.next()?;
    overloads.next().is_none().then_some(first as u8)
}

fn is_constant(expr: &Expr, findings: &Findings) -> bool {
    match &expr.kind {
        Kind::Literal(_) => true,
        // A variable may have the name of a type, which is its type's business then.
        Kind::Ident(name) => types::named(name).is_some() && matches!(findings.type_of(expr), types::Type::Type(_)),
        Kind::List(elements) => elements.iter().all(|element| element.value.is_constant),
        Kind::Map(members) => members.iter().all(|member| member.key.is_constant && member.value.is_constant),
        Kind::Call(call) if call.style == Style::Global => match (&*call.name, &call.arguments[..]) {
            (name, [argument]) if CONVERSIONS.contains(&name) => argument.is_constant,
            ("@in", [_, Expr { kind: Kind::List(elements), .. }]) => elements.is_empty(),
            _ => false,
        },
        Kind::Select(select) => crate::library::type_path(select).is_some(),
        _ => false,
    }
}

impl Expr {
    /// Whether it is a path: a name, or steps from some value to parts of it.
    pub(crate) fn is_path(&self) -> bool {
        match &self.kind {
            Kind::Ident(_) | Kind::Select(_) => !self.is_constant,
            Kind::Conditional(_) => true,
            Kind::Call(call) => matches!(call.running, Running::Index(_)),
            _ => false,
        }
    }

    /// Whether it is a path from either of two values.
    pub(crate) fn is_forked(&self) -> bool {
        match &self.kind {
            Kind::Conditional(_) => true,
            Kind::Select(select) => select.operand.is_forked(),
            Kind::Call(call) if matches!(call.running, Running::Index(_)) => call.arguments[0].is_forked(),
            _ => false,
        }
    }
}

const CONVERSIONS: &[&str] =
    &["bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"];

impl Call {
    /// Whether it looks something up in a list of constants, which upstream makes a set of.
    fn is_in_set(&self) -> bool {
        let ("@in", [_, list]) = (&*self.name, &self.arguments[..]) else { return false };
        let Kind::List(elements) = &list.kind else { return false };
        let is_hashed = |element: &Expr| match &element.kind {
            Kind::Literal(literal) => !matches!(literal, Literal::Bytes(_) | Literal::Null),
            Kind::Call(call) => matches!(&*call.name, "bool" | "double" | "int" | "string" | "uint"),
            _ => false,
        };
        list.is_constant && elements.iter().all(|element| is_hashed(&element.value))
    }
}
