//! From text to a program.

use crate::ast::{Expr, Kind, Literal, Style};
use crate::error::Issues;
use crate::pattern::pattern;
use crate::{CompileError, Environment, Issue, Type, check, parser, plan, validate};
use regex::Regex;
use std::collections::HashMap;
use std::sync::Arc;

/// A checked expression, ready to run any number of times.
#[derive(Debug)]
pub struct Program {
    source: Box<str>,
    result: Type,
    pub(crate) root: Expr,
    pub(crate) patterns: Patterns,
}

/// Patterns that are constants of an expression, compiled once.
pub(crate) type Patterns = HashMap<Arc<str>, Regex>;

/// Parses and checks an expression. [`CompileError`] prints like upstream's; callers put
/// `compilation failed: ` before it.
pub fn compile(source: &str, environment: &Environment) -> Result<Program, CompileError> {
    let mut issues = Issues::default();
    let mut root = match parser::parse(source) {
        Ok(root) => root,
        Err(Issue { at, message }) => {
            issues.push(at, message);
            return Err(CompileError::new(source, issues));
        }
    };
    let (result, findings) = check::check(&root, environment, &mut issues);
    let mut patterns = Patterns::new();
    if issues.is_empty() {
        validate::validate(&root, &findings, &mut issues);
        collect_patterns(&root, &mut patterns, &mut issues);
    }
    match issues.is_empty() {
        true => {
            plan::plan(&mut root, &findings);
            Ok(Program { source: source.into(), result, root, patterns })
        }
        false => Err(CompileError::new(source, issues)),
    }
}

impl Program {
    /// The text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The type of what it evaluates to.
    pub fn result_type(&self) -> &Type {
        &self.result
    }

    /// Whether a field of the variable is read, as in `variable.field`.
    pub fn selects(&self, variable: &str, field: &str) -> bool {
        let mut found = false;
        self.root.visit(&mut |expr| {
            if let Kind::Select(select) | Kind::Has(select) = &expr.kind {
                let of_variable = matches!(&select.operand.kind, Kind::Ident(name) if &**name == variable);
                found |= of_variable && &*select.field == field;
            }
        });
        found
    }

    /// Whether the variable is used.
    pub fn uses(&self, variable: &str) -> bool {
        let mut found = false;
        self.root.visit(&mut |expr| found |= matches!(&expr.kind, Kind::Ident(name) if &**name == variable));
        found
    }
}

fn collect_patterns(root: &Expr, patterns: &mut Patterns, issues: &mut Issues) {
    root.visit(&mut |expr| {
        let Kind::Call(call) = &expr.kind else { return };
        if !matches!(&*call.name, "matches" | "find" | "findAll") {
            return;
        }
        let Some(Kind::Literal(Literal::String(text))) = call.arguments.get(1).map(|a| &a.kind) else { return };
        match pattern(text) {
            Ok(regex) => {
                patterns.insert(text.clone(), regex);
            }
            // The validator has said so.
            Err(_) if &*call.name == "matches" && call.style == Style::Member => {}
            Err(error) => {
                let message = format!("invalid {} argument: {error}", call.name);
                issues.push(call.arguments[1].at, message);
            }
        }
    });
}

impl Expr {
    /// Shows an expression and all in it to `see`.
    pub(crate) fn visit(&self, see: &mut dyn FnMut(&Expr)) {
        see(self);
        self.parts(&mut |part| part.visit(see));
    }

    /// Shows what an expression is made of to `see`.
    pub(crate) fn parts<'e>(&'e self, see: &mut dyn FnMut(&'e Expr)) {
        match &self.kind {
            Kind::Literal(_) | Kind::Ident(_) => {}
            Kind::Select(select) | Kind::Has(select) => see(&select.operand),
            Kind::Call(call) => call.arguments.iter().for_each(see),
            Kind::And(all) | Kind::Or(all) => all.iter().for_each(see),
            Kind::Conditional(parts) => parts.iter().for_each(see),
            Kind::List(elements) => elements.iter().for_each(|e| see(&e.value)),
            Kind::Map(members) => members.iter().for_each(|m| {
                see(&m.key);
                see(&m.value);
            }),
            Kind::Struct(object) => object.fields.iter().for_each(|f| see(&f.value)),
            Kind::Comprehension(walk) => {
                see(&walk.range);
                walk.filter.iter().for_each(&mut *see);
                see(&walk.body);
            }
            Kind::Named(named) => {
                see(&named.target);
                see(&named.body);
            }
        }
    }
}
