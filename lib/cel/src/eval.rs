//! Runs a program over its bindings.
//!
//! Upstream: `cel-go/interpreter`.

mod walk;

use crate::ast::{Call, Element, Expr, Kind, Literal, Member, Mode, Select, Struct};
use crate::compile::Patterns;
use crate::escape::unescape;
use crate::library::{self, Call as Function};
use crate::value::{Key, TYPE_NAMES, Text, Value};
use crate::{Budget, EvalError, Program};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// How deep evaluation may nest, variables of policies included.
const MAX_DEPTH: usize = 250;

/// What the variables of a program stand for.
#[derive(Clone, Debug, Default)]
pub struct Bindings<'a> {
    named: Vec<(&'a str, Value<'a>)>,
}

/// A named expression that others use as `variables.name`; computed once, when first used.
#[derive(Debug)]
pub struct Variable {
    /// The name.
    pub name: String,
    /// What computes it, or why it does not compile.
    pub program: Result<Program, String>,
}

impl<'a> Bindings<'a> {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds a name.
    #[must_use]
    pub fn with(mut self, name: &'a str, value: Value<'a>) -> Self {
        self.named.push((name, value));
        self
    }

    /// Binds `variables` to expressions that are computed over these same bindings when they are
    /// first used, and then remembered as long as the bindings live.
    #[must_use]
    pub fn with_variables(self, variables: &'a [Variable]) -> Self {
        let memory = variables.iter().map(|_| OnceLock::new()).collect();
        let lazy = Lazy { variables, memory, outer: Arc::new(self.clone()) };
        self.with("variables", Value::lazy(lazy))
    }

    fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.named.iter().rev().find(|(bound, _)| *bound == name).map(|(_, value)| value)
    }
}

/// `variables`: each computed at most once.
#[derive(Clone, Debug)]
pub(crate) struct Lazy<'a> {
    variables: &'a [Variable],
    memory: Arc<[OnceLock<Result<Value<'a>, EvalError>>]>,
    /// What the variables see, besides each other.
    outer: Arc<Bindings<'a>>,
}

impl Lazy<'_> {
    pub(crate) fn len(&self) -> usize {
        self.variables.len()
    }
}

/// Runs a program until it ends or the budget does.
pub fn evaluate<'a>(
    program: &'a Program,
    bindings: &Bindings<'a>,
    budget: &mut Budget,
) -> Result<Value<'a>, EvalError> {
    let mut run = Run { bindings, patterns: &program.patterns, budget, locals: Vec::new(), depth: 0 };
    run.eval(&program.root)
}

/// One evaluation.
struct Run<'a, 'r> {
    bindings: &'r Bindings<'a>,
    patterns: &'a Patterns,
    budget: &'r mut Budget,
    /// Variables of the comprehensions around, innermost last.
    locals: Vec<(&'a str, Value<'a>)>,
    depth: usize,
}

impl<'a> Run<'a, '_> {
    fn eval(&mut self, expr: &'a Expr) -> Result<Value<'a>, EvalError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            self.depth -= 1;
            return Err(EvalError::TooDeep);
        }
        let value = match &expr.kind {
            Kind::Literal(literal) => Ok(constant(literal)),
            Kind::Ident(name) => self.ident(name),
            Kind::Select(select) => self.select(select),
            Kind::Has(select) => self.has(select),
            Kind::Call(call) => self.call(call),
            Kind::And(all) => self.logic(all, false),
            Kind::Or(all) => self.logic(all, true),
            Kind::Conditional(parts) => self.conditional(parts),
            Kind::List(elements) => self.list(elements),
            Kind::Map(members) => self.map(members),
            Kind::Struct(object) => self.object(object),
            Kind::Comprehension(walk) => self.walk(walk),
            Kind::Named(named) => self.named(named),
        };
        self.depth -= 1;
        value
    }

    fn ident(&mut self, name: &'a str) -> Result<Value<'a>, EvalError> {
        self.budget.charge(1)?;
        if let Some((_, value)) = self.locals.iter().rev().find(|(local, _)| *local == name) {
            return Ok(value.clone());
        }
        if let Some(value) = self.bindings.get(name) {
            return Ok(value.clone());
        }
        let known = TYPE_NAMES.iter().find(|known| **known == name);
        known.map(|known| Value::Type(known)).ok_or_else(|| EvalError::Unbound(name.to_owned()))
    }

    fn select(&mut self, select: &'a Select) -> Result<Value<'a>, EvalError> {
        if let Some(name) = library::type_path(select) {
            return Ok(Value::Type(name));
        }
        let operand = self.eval(&select.operand)?;
        self.budget.charge(1)?;
        if let Some(lazy) = operand.as_map().and_then(|map| map.as_lazy()) {
            return self.variable(lazy, &select.field);
        }
        match operand {
            Value::Optional(None) => Ok(Value::Optional(None)),
            Value::Optional(Some(inner)) => Ok(optional(field(&inner, &select.field)?)),
            operand => match (field(&operand, &select.field)?, select.mode) {
                (found, Mode::Optional) => Ok(optional(found)),
                (Some(value), Mode::Plain) => Ok(value),
                (None, Mode::Plain) => Err(EvalError::NoSuchKey(select.field.to_string())),
            },
        }
    }

    fn has(&mut self, select: &'a Select) -> Result<Value<'a>, EvalError> {
        let operand = self.eval(&select.operand)?;
        let present = match operand {
            Value::Optional(None) => false,
            Value::Optional(Some(inner)) => field(&inner, &select.field)?.is_some(),
            operand => field(&operand, &select.field)?.is_some(),
        };
        Ok(Value::Bool(present))
    }

    /// A variable of a policy, remembered from its first use on, errors too.
    fn variable(&mut self, lazy: &Lazy<'a>, name: &str) -> Result<Value<'a>, EvalError> {
        let Some(index) = lazy.variables.iter().position(|v| v.name == name) else {
            return Err(EvalError::NoSuchKey(name.to_owned()));
        };
        if let Some(known) = lazy.memory[index].get() {
            return known.clone();
        }
        let value = self.compute(lazy, &lazy.variables[index]);
        if !self.budget.is_exhausted() {
            let _ = lazy.memory[index].set(value.clone());
        }
        value
    }

    /// The value of a variable, which is a call of its own: it has its own limit.
    fn compute(&mut self, lazy: &Lazy<'a>, variable: &'a Variable) -> Result<Value<'a>, EvalError> {
        let failed = |why: String| EvalError::Variable { name: variable.name.clone(), why };
        let program = variable.program.as_ref().map_err(|error| failed(format!("compile: {error}")))?;
        // Later variables are not declared to earlier ones, so this cannot go in circles.
        let bindings = (*lazy.outer).clone().with("variables", Value::lazy(lazy.clone()));
        let mut budget = self.budget.call();
        let mut run = Run {
            bindings: &bindings,
            patterns: &program.patterns,
            budget: &mut budget,
            locals: Vec::new(),
            depth: self.depth,
        };
        let value = run.eval(&program.root);
        self.budget.settle_apart(&budget);
        match value {
            Err(error) if !budget.is_exhausted() => Err(failed(format!("evaluate: {error}"))),
            value => value,
        }
    }

    fn call(&mut self, call: &'a Call) -> Result<Value<'a>, EvalError> {
        let Some(entry) = call.entry else { return Err(EvalError::NoOverload) };
        let mut arguments = Vec::with_capacity(call.arguments.len());
        for argument in &call.arguments {
            arguments.push(self.eval(argument)?);
        }
        self.budget.charge(1)?;
        match entry.call {
            Function::Plain(function) => function(&arguments, self.budget),
            Function::Pattern(function) => {
                let Some(Value::String(text)) = arguments.get(1) else { return Err(EvalError::NoOverload) };
                match self.patterns.get(&**text) {
                    Some(pattern) => function(&arguments, pattern, self.budget),
                    None => function(&arguments, &library::regex::dynamic(text, self.budget)?, self.budget),
                }
            }
        }
    }

    /// `&&` and `||`: the deciding value wins over errors, wherever it stands.
    fn logic(&mut self, all: &'a [Expr], decisive: bool) -> Result<Value<'a>, EvalError> {
        let mut failure = None;
        for operand in all {
            match self.eval(operand) {
                Ok(Value::Bool(set)) if set == decisive => return Ok(Value::Bool(set)),
                Ok(Value::Bool(_)) => {}
                Ok(_) => failure = failure.or(Some(EvalError::NoOverload)),
                Err(error @ (EvalError::OverBudget | EvalError::TooDeep)) => return Err(error),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn conditional(&mut self, parts: &'a [Expr; 3]) -> Result<Value<'a>, EvalError> {
        match self.eval(&parts[0])? {
            Value::Bool(true) => self.eval(&parts[1]),
            Value::Bool(false) => self.eval(&parts[2]),
            _ => Err(EvalError::NoOverload),
        }
    }

    fn list(&mut self, elements: &'a [Element]) -> Result<Value<'a>, EvalError> {
        self.budget.charge(10)?;
        let mut items = Vec::with_capacity(elements.len());
        for element in elements {
            items.extend(present(self.eval(&element.value)?, element.mode)?);
        }
        Ok(Value::list(items))
    }

    fn map(&mut self, members: &'a [Member]) -> Result<Value<'a>, EvalError> {
        self.budget.charge(30)?;
        let mut entries = BTreeMap::new();
        for member in members {
            let key = self.eval(&member.key)?;
            let value = self.eval(&member.value)?;
            let key = Key::of(&key).ok_or_else(|| unsupported_key(&key))?;
            let Some(value) = present(value, member.mode)? else { continue };
            insert(&mut entries, key, value)?;
        }
        Ok(Value::map(entries))
    }

    fn object(&mut self, object: &'a Struct) -> Result<Value<'a>, EvalError> {
        self.budget.charge(40)?;
        let mut entries = BTreeMap::new();
        for field in &object.fields {
            let value = self.eval(&field.value)?;
            let Some(value) = present(value, field.mode)? else { continue };
            entries.insert(Key::text(&unescape(&field.name)), value);
        }
        Ok(Value::object(object.name.clone(), entries))
    }
}

/// What is inserted: an optional member is left out when it is empty.
fn present(value: Value<'_>, mode: Mode) -> Result<Option<Value<'_>>, EvalError> {
    match (mode, value) {
        (Mode::Plain, value) => Ok(Some(value)),
        (Mode::Optional, Value::Optional(inner)) => Ok(inner.map(|value| (*value).clone())),
        (Mode::Optional, _) => Err(EvalError::NoOverload),
    }
}

fn insert<'a>(entries: &mut BTreeMap<Key<'a>, Value<'a>>, key: Key<'a>, value: Value<'a>) -> Result<(), EvalError> {
    let name = key.to_string();
    match entries.insert(key, value) {
        None => Ok(()),
        Some(_) => Err(EvalError::DuplicateKey(name)),
    }
}

fn unsupported_key(key: &Value<'_>) -> EvalError {
    EvalError::Argument(format!("unsupported key type: {}", key.type_name()))
}

fn optional(found: Option<Value<'_>>) -> Value<'_> {
    Value::Optional(found.map(Arc::new))
}

/// A field of a map or object; an error on what has no fields.
fn field<'a>(operand: &Value<'a>, name: &str) -> Result<Option<Value<'a>>, EvalError> {
    let Some(map) = operand.as_map() else {
        return Err(match operand {
            Value::Authorization(authorization) => return Ok(authorization.field(name)),
            Value::Null => EvalError::NoSuchKey(name.to_owned()),
            _ => EvalError::NoOverload,
        });
    };
    Ok(map.get(name).or_else(|| name.contains("__").then(|| map.get(&unescape(name))).flatten()))
}

fn constant(literal: &Literal) -> Value<'_> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(set) => Value::Bool(*set),
        Literal::Int(number) => Value::Int(*number),
        Literal::Uint(number) => Value::Uint(*number),
        Literal::Double(number) => Value::Double(*number),
        Literal::String(text) => Value::String(Text::Borrowed(text)),
        Literal::Bytes(bytes) => Value::Bytes(bytes.clone()),
    }
}

impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        crate::compare::equal(self, other, &mut Budget::new(u64::MAX)).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests;
