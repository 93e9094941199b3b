//! From text to a program.

use crate::ast::{Call, Expr, Kind, Literal};
use crate::error::Issues;
use crate::eval::constants;
use crate::pattern::pattern;
use crate::{CompileError, Environment, Type, check, parser, plan, validate};
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

/// Parses and checks an expression, and computes what is constant in it.
pub fn compile(source: &str, environment: &Environment) -> Result<Program, CompileError> {
    let mut issues = Issues::default();
    let Some(mut root) = parser::parse(source, &mut issues) else { return Err(CompileError::new(source, issues)) };
    let (result, findings) = check::check(&root, environment, &mut issues);
    if issues.is_empty() {
        validate::validate(&root, &findings, &mut issues);
    }
    if !issues.is_empty() {
        return Err(CompileError::new(source, issues));
    }
    plan::plan(&mut root, &findings);
    let patterns = patterns(&root);
    let program = Program { source: source.into(), result, root, patterns };
    match constants(&program) {
        Ok(()) => Ok(program),
        Err(error) => Err(CompileError::instantiation(source, error.to_string())),
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

fn patterns(root: &Expr) -> Patterns {
    let mut patterns = Patterns::new();
    root.visit(&mut |expr| {
        if let Kind::Call(call) = &expr.kind
            && let Some(text) = call.pattern()
            && let Ok(regex) = pattern(text)
        {
            patterns.insert(text.clone(), regex);
        }
    });
    patterns
}

impl Call {
    /// The pattern that is applied, if it is a literal.
    pub(crate) fn pattern(&self) -> Option<&Arc<str>> {
        if !matches!(&*self.name, "matches" | "find" | "findAll") {
            return None;
        }
        match self.arguments.get(1).map(|argument| &argument.kind) {
            Some(Kind::Literal(Literal::String(text))) => Some(text),
            _ => None,
        }
    }
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
