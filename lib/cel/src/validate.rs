//! What is wrong with expressions of which all types are right: constants that cannot be read, literals of
//! mixed types.
//!
//! Upstream: `cel-go/cel/validator.go`.

use crate::ast::{Call, Element, Expr, Kind, Literal, Member, Mode, Naming, Style};
use crate::check::Findings;
use crate::check::unify::same;
use crate::error::Issues;
use crate::eval::constant;
use crate::library::conversions::{to_duration, to_time};
use crate::library::printf::{Clause, Part, Template};
use crate::pattern::pattern;
use crate::types::Type;

pub(crate) fn validate(root: &Expr, findings: &Findings, issues: &mut Issues) {
    Validator { findings, issues }.look(root, false);
}

struct Validator<'a> {
    findings: &'a Findings,
    issues: &'a mut Issues,
}

impl<'a> Validator<'a> {
    /// Looks at an expression and all in it. What is formatted may be of mixed types.
    fn look(&mut self, expr: &Expr, is_formatted: bool) {
        match &expr.kind {
            Kind::Call(call) => {
                self.call(call);
                self.format(expr.at, call);
            }
            Kind::List(elements) if !is_formatted => self.list(elements),
            Kind::Map(members) if !is_formatted => self.map(members),
            _ => {}
        }
        let is_formatted = is_formatted || matches!(&expr.kind, Kind::Call(call) if &*call.name == "format");
        let before = self.issues.len();
        expr.parts(&mut |part| {
            self.look(part, is_formatted);
            // These macros take their targets twice.
            if let Kind::Named(named) = &expr.kind
                && named.kind != Naming::Bind
                && std::ptr::eq(part, &named.target)
            {
                self.issues.repeat(before..self.issues.len());
            }
        });
    }

    fn call(&mut self, call: &Call) {
        // A pattern is the first argument of the method; of the function, upstream takes the text for it.
        let index = usize::from(call.style == Style::Member);
        let Some(argument) = call.arguments.get(index) else { return };
        let Kind::Literal(literal) = &argument.kind else { return };
        let is_right = match (&*call.name, literal) {
            ("duration", literal) => to_duration(&constant(literal)).is_ok(),
            ("timestamp", literal) => to_time(&constant(literal)).is_ok(),
            ("matches", Literal::String(text)) => pattern(text).is_ok(),
            _ => true,
        };
        if !is_right {
            self.issues.push(argument.at, format!("invalid {} argument", call.name));
        }
    }

    /// Whether constant templates fit their arguments.
    fn format(&mut self, at: usize, call: &Call) {
        let (Style::Member, "format", [template, arguments]) = (call.style, &*call.name, &call.arguments[..]) else {
            return;
        };
        let Kind::Literal(Literal::String(template)) = &template.kind else { return };
        let Kind::List(arguments) = &arguments.kind else { return };
        let mut template = Template::new(template, arguments.len());
        while let Some(part) = template.next() {
            let clause = match part {
                Ok(Part::Plain(_)) => continue,
                Ok(Part::Clause(clause)) => clause,
                Err(why) => return self.issues.push(at, why),
            };
            let argument = &arguments[template.asked() - 1].value;
            if let Some(unfit) = self.unfit(clause, argument) {
                return self.issues.push(unfit.at, clause.unfit(&runtime_name(self.findings.type_of(unfit))));
            }
        }
        let (asked, given) = (template.asked(), arguments.len());
        if given > asked {
            let why = format!("too many arguments supplied to string.format (expected {asked}, got {given})");
            self.issues.push(at, why);
        }
    }

    /// The part of an argument that cannot be printed.
    fn unfit<'e>(&self, clause: Clause, argument: &'e Expr) -> Option<&'e Expr> {
        if !clause.takes(self.findings.type_of(argument)) {
            return Some(argument);
        }
        let mut unfit = None;
        if clause.goes_into_parts() && matches!(argument.kind, Kind::List(_) | Kind::Map(_)) {
            argument.parts(&mut |part| unfit = unfit.or_else(|| self.unfit(clause, part)));
        }
        unfit
    }

    fn list(&mut self, elements: &[Element]) {
        let Some(first) = elements.first() else { return };
        let first = self.of(&first.value, first.mode);
        let unlike = elements.iter().find(|element| !same(first, self.of(&element.value, element.mode)));
        if let Some(Element { value, mode }) = unlike {
            self.unlike(value, first, self.of(value, *mode));
        }
    }

    fn map(&mut self, members: &[Member]) {
        let Some(first) = members.first() else { return };
        let (keys, values) = (self.of(&first.key, Mode::Plain), self.of(&first.value, first.mode));
        for member in members {
            for (expr, expected, found) in [
                (&member.key, keys, self.of(&member.key, Mode::Plain)),
                (&member.value, values, self.of(&member.value, member.mode)),
            ] {
                if !same(expected, found) {
                    self.unlike(expr, expected, found);
                }
            }
        }
    }

    /// The type of a member; an optional one holds it.
    fn of(&self, expr: &Expr, mode: Mode) -> &'a Type {
        match (mode, self.findings.type_of(expr)) {
            (Mode::Optional, Type::Optional(inner)) => inner,
            (_, of) => of,
        }
    }

    fn unlike(&mut self, expr: &Expr, expected: &Type, found: &Type) {
        self.issues.push(expr.at, format!("expected type '{expected}' but found '{found}'"));
    }
}

/// The name of a type without what it is made of.
fn runtime_name(of: &Type) -> String {
    match of {
        Type::List(_) => "list".into(),
        Type::Map(..) => "map".into(),
        Type::Optional(_) => "optional_type".into(),
        Type::Type(_) => "type".into(),
        other => other.declared(),
    }
}
