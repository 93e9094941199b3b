//! Runs a program over its bindings.
//!
//! Upstream: `cel-go/interpreter`.

mod walk;

use crate::ast::{Call, Element, Expr, Kind, Literal, Member, Mode, Running, Select, Struct};
use crate::compile::Patterns;
use crate::cost::Used;
use crate::escape::unescape;
use crate::estimate::{LIST, MAP, OBJECT};
use crate::library::operators::{find, missing};
use crate::library::sequences::SORT_BY_KEYS;
use crate::library::{self, Call as Function};
use crate::value::{Key, TYPE_NAMES, Text, Value};
use crate::{Budget, EvalError, Program};
use std::collections::{BTreeMap, HashMap};
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
    let mut run = Run {
        bindings,
        patterns: &program.patterns,
        budget,
        locals: Vec::new(),
        depth: 0,
        constants: 0,
        known: HashMap::new(),
    };
    run.eval(&program.root)
}

/// Computes the constants of a program, the innermost first: those that cannot be computed keep it from
/// running, wherever they stand.
pub(crate) fn constants(program: &Program) -> Result<(), EvalError> {
    let (bindings, mut budget) = (Bindings::new(), Budget::per_call());
    let mut run = Run {
        bindings: &bindings,
        patterns: &program.patterns,
        budget: &mut budget,
        locals: Vec::new(),
        depth: 0,
        constants: 0,
        known: HashMap::new(),
    };
    run.constants_of(&program.root)
}

/// One evaluation.
struct Run<'a, 'r> {
    bindings: &'r Bindings<'a>,
    patterns: &'a Patterns,
    budget: &'r mut Budget,
    /// Variables of the comprehensions around, innermost last.
    locals: Vec<(&'a str, Local<'a>)>,
    depth: usize,
    /// How many constants are being computed around, which cost nothing.
    constants: usize,
    /// The constants that have been computed.
    known: HashMap<*const Expr, Value<'a>>,
}

/// What a variable of an expression stands for.
enum Local<'a> {
    /// A value.
    Is(Value<'a>),
    /// A value, or an error, that has been computed for it.
    Was(Result<Value<'a>, EvalError>),
    /// An expression that has not been looked at yet, over so many variables.
    Pending(&'a Expr, usize),
    /// A value that is paid for when it is first used, as upstream computes it only then.
    Owed(Value<'a>, u64),
}

impl<'a> Run<'a, '_> {
    fn eval(&mut self, expr: &'a Expr) -> Result<Value<'a>, EvalError> {
        if expr.is_path() {
            let value = self.path(expr);
            if !expr.is_forked() {
                self.spend(1)?;
            }
            return value;
        }
        if expr.is_constant && !matches!(expr.kind, Kind::Literal(_)) {
            return self.constant(expr);
        }
        self.descend()?;
        let value = self.node(expr);
        self.depth -= 1;
        value
    }

    /// What is the same every time is computed once.
    fn constant(&mut self, expr: &'a Expr) -> Result<Value<'a>, EvalError> {
        if let Some(value) = self.known.get(&std::ptr::from_ref(expr)) {
            return Ok(value.clone());
        }
        self.descend()?;
        self.constants += 1;
        let value = self.node(expr);
        self.constants -= 1;
        self.depth -= 1;
        if let Ok(value) = &value {
            self.known.insert(expr, value.clone());
        }
        value
    }

    fn constants_of(&mut self, expr: &'a Expr) -> Result<(), EvalError> {
        let mut failure = None;
        expr.parts(&mut |part| {
            if failure.is_none() {
                failure = self.constants_of(part).err();
            }
        });
        match (&expr.kind, failure) {
            (_, Some(error)) => Err(error),
            (Kind::Call(_), None) if expr.is_constant => self.constant(expr).map(drop),
            (Kind::Call(call), None) => match call.pattern().filter(|text| !self.patterns.contains_key(*text)) {
                Some(text) => library::regex::dynamic(text, self.budget).map(drop),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn node(&mut self, expr: &'a Expr) -> Result<Value<'a>, EvalError> {
        match &expr.kind {
            Kind::Literal(literal) => Ok(constant(literal)),
            Kind::Ident(name) => named_type(name),
            Kind::Select(select) => {
                library::type_path(select).map(Value::Type).ok_or_else(|| EvalError::Unbound(select.field.to_string()))
            }
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
        }
    }

    /// The value at the end of a path, without the step that the whole path costs.
    fn path(&mut self, expr: &'a Expr) -> Result<Value<'a>, EvalError> {
        if !expr.is_path() {
            return self.eval(expr);
        }
        self.descend()?;
        let value = match &expr.kind {
            Kind::Ident(name) => self.ident(name),
            Kind::Select(select) => self.select(select),
            Kind::Conditional(parts) => self.conditional(parts),
            Kind::Call(call) => self.index(call),
            _ => self.eval(expr),
        };
        self.depth -= 1;
        value
    }

    fn descend(&mut self) -> Result<(), EvalError> {
        if self.depth >= MAX_DEPTH {
            return Err(EvalError::TooDeep);
        }
        self.budget.charge(1)?;
        self.depth += 1;
        Ok(())
    }

    fn spend(&mut self, cost: u64) -> Result<(), EvalError> {
        if self.constants > 0 {
            return Ok(());
        }
        self.budget.spend(cost)
    }

    fn ident(&mut self, name: &'a str) -> Result<Value<'a>, EvalError> {
        if let Some(index) = self.locals.iter().rposition(|(local, _)| *local == name) {
            return self.local(index);
        }
        match self.bindings.get(name) {
            Some(value) => Ok(value.clone()),
            None => named_type(name),
        }
    }

    fn local(&mut self, index: usize) -> Result<Value<'a>, EvalError> {
        let value = match &self.locals[index].1 {
            Local::Is(value) => return Ok(value.clone()),
            Local::Was(result) => return result.clone(),
            Local::Pending(expr, known) => {
                let (expr, known) = (*expr, *known);
                let hidden = self.locals.split_off(known);
                let value = self.eval(expr);
                self.locals.truncate(known);
                self.locals.extend(hidden);
                value
            }
            Local::Owed(value, cost) => {
                let (value, cost) = (value.clone(), *cost);
                self.spend(cost)?;
                Ok(value)
            }
        };
        self.locals[index].1 = Local::Was(value.clone());
        value
    }

    fn select(&mut self, select: &'a Select) -> Result<Value<'a>, EvalError> {
        let operand = self.path(&select.operand)?;
        if let Some(lazy) = operand.as_map().and_then(|map| map.as_lazy()) {
            self.spend(1)?;
            return self.variable(lazy, &select.field);
        }
        let is_optional = select.mode == Mode::Optional || matches!(operand, Value::Optional(_));
        let operand = match operand {
            Value::Optional(None) => return Ok(Value::Optional(None)),
            Value::Optional(Some(inner)) => (*inner).clone(),
            operand => operand,
        };
        let found = field(&operand, &select.field);
        self.step(found, is_optional, || EvalError::NoSuchKey(select.field.to_string()))
    }

    /// A step of a path, which costs nothing if it leads nowhere and may.
    fn step(
        &mut self,
        found: Result<Option<Value<'a>>, EvalError>,
        is_optional: bool,
        missing: impl FnOnce() -> EvalError,
    ) -> Result<Value<'a>, EvalError> {
        if is_optional {
            let found = found?;
            if found.is_some() {
                self.spend(1)?;
            }
            return Ok(optional(found));
        }
        self.spend(1)?;
        found?.ok_or_else(missing)
    }

    fn index(&mut self, call: &'a Call) -> Result<Value<'a>, EvalError> {
        let [container, key] = &call.arguments[..] else { return Err(EvalError::NoOverload) };
        let container = self.path(container)?;
        let is_optional = call.running == Running::Index(Mode::Optional) || matches!(container, Value::Optional(_));
        let container = match container {
            Value::Optional(None) => return Ok(Value::Optional(None)),
            Value::Optional(Some(inner)) => (*inner).clone(),
            container => container,
        };
        let key = self.path(key)?;
        let found = find(&container, &key);
        self.step(found, is_optional, || missing(&container, &key))
    }

    fn has(&mut self, select: &'a Select) -> Result<Value<'a>, EvalError> {
        let operand = self.path(&select.operand)?;
        let (operand, is_optional) = match operand {
            Value::Optional(None) => return Ok(Value::Bool(false)),
            Value::Optional(Some(inner)) => ((*inner).clone(), true),
            operand => (operand, false),
        };
        let found = field(&operand, &select.field);
        if !is_optional || matches!(found, Ok(Some(_))) {
            self.spend(1)?;
        }
        Ok(Value::Bool(found?.is_some()))
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
            constants: 0,
            known: HashMap::new(),
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
        match call.running {
            Running::Alternative => return self.alternative(call),
            Running::Set => return self.is_in_set(call),
            Running::Function | Running::Operator | Running::Index(_) => {}
        }
        let stops = self.stops_at_errors(call, entry.call);
        let mut arguments = Vec::with_capacity(call.arguments.len());
        let mut failure = None;
        for argument in &call.arguments {
            match self.eval(argument) {
                Ok(value) => arguments.push(value),
                Err(error) if error.is_final() => return Err(error),
                Err(error) if stops && arguments.len() + 1 < call.arguments.len() => return Err(error),
                Err(error) => {
                    failure = failure.or(Some(error));
                    arguments.push(Value::Null);
                }
            }
        }
        let value = match failure {
            Some(error) => Err(error),
            None => self.apply(entry.call, &arguments).map_err(|error| match error {
                EvalError::NoOverload => no_overload(call, &arguments),
                error => error,
            }),
        };
        if value.as_ref().is_err_and(EvalError::is_final) {
            return value;
        }
        let overload = call.overload.map(|index| &entry.overloads[usize::from(index)]);
        let cost = (entry.meter)(&Used { overload, arguments: &arguments, result: value.as_ref().ok() });
        self.spend(cost)?;
        value
    }

    /// Looks a value up in a set of constants, which costs nothing: texts and numbers are compared fast.
    fn is_in_set(&mut self, call: &'a Call) -> Result<Value<'a>, EvalError> {
        let [value, set] = &call.arguments[..] else { return Err(EvalError::NoOverload) };
        let value = self.eval(value)?;
        let set = self.eval(set)?;
        let items = set.as_list().ok_or(EvalError::NoOverload)?;
        self.budget.charge_walk(items.len())?;
        Ok(Value::Bool(items.iter().any(|item| item == value)))
    }

    /// Whether nothing is looked at after an argument that fails: upstream looks at both of two, if it has
    /// known what they are for.
    fn stops_at_errors(&self, call: &Call, function: Function) -> bool {
        let is_known_pattern = || matches!(function, Function::Pattern(_)) && call.arguments[1].is_constant;
        call.arguments.len() > 2 || call.overload.is_none() && call.running == Running::Function || is_known_pattern()
    }

    /// `or` and `orValue`: the alternative is looked at if it is needed.
    fn alternative(&mut self, call: &'a Call) -> Result<Value<'a>, EvalError> {
        let [value, alternative] = &call.arguments[..] else { return Err(EvalError::NoOverload) };
        match self.eval(value)? {
            Value::Optional(None) => self.eval(alternative),
            value @ Value::Optional(Some(_)) if &*call.name == "or" => Ok(value),
            Value::Optional(Some(value)) => Ok((*value).clone()),
            // Nobody asks whether it is optional.
            value => Ok(value),
        }
    }

    fn apply(&mut self, function: Function, arguments: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
        match function {
            Function::Plain(function) => function(arguments, self.budget),
            Function::Pattern(function) => {
                let Some(Value::String(text)) = arguments.get(1) else { return Err(EvalError::NoOverload) };
                match self.patterns.get(&**text) {
                    Some(pattern) => function(arguments, pattern, self.budget),
                    None => function(arguments, &library::regex::dynamic(text, self.budget)?, self.budget),
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
                Err(error) if error.is_final() => return Err(error),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn conditional(&mut self, parts: &'a [Expr; 3]) -> Result<Value<'a>, EvalError> {
        match self.eval(&parts[0])? {
            Value::Bool(true) => self.path(&parts[1]),
            Value::Bool(false) => self.path(&parts[2]),
            _ => Err(EvalError::NoOverload),
        }
    }

    fn list(&mut self, elements: &'a [Element]) -> Result<Value<'a>, EvalError> {
        let made = self.elements(elements);
        // What fails has been begun.
        if !made.as_ref().is_err_and(EvalError::is_final) {
            self.spend(LIST)?;
        }
        made
    }

    fn elements(&mut self, elements: &'a [Element]) -> Result<Value<'a>, EvalError> {
        let mut items = Vec::with_capacity(elements.len());
        for element in elements {
            items.extend(present(self.eval(&element.value)?, element.mode)?);
        }
        Ok(Value::list(items))
    }

    fn map(&mut self, members: &'a [Member]) -> Result<Value<'a>, EvalError> {
        let made = self.members(members);
        if !made.as_ref().is_err_and(EvalError::is_final) {
            self.spend(MAP)?;
        }
        made
    }

    fn members(&mut self, members: &'a [Member]) -> Result<Value<'a>, EvalError> {
        let mut entries = BTreeMap::new();
        for member in members {
            let key = self.eval(&member.key)?;
            let value = self.eval(&member.value)?;
            let key = Key::of(&key).ok_or_else(|| unsupported_key(&key))?;
            match present(value, member.mode)? {
                Some(value) => entries.insert(key, value),
                None => entries.remove(&key),
            };
        }
        Ok(Value::map(entries))
    }

    fn object(&mut self, object: &'a Struct) -> Result<Value<'a>, EvalError> {
        let made = self.fields(object);
        if !made.as_ref().is_err_and(EvalError::is_final) {
            self.spend(OBJECT)?;
        }
        made
    }

    fn fields(&mut self, object: &'a Struct) -> Result<Value<'a>, EvalError> {
        let mut entries = BTreeMap::new();
        for field in &object.fields {
            let value = self.eval(&field.value)?;
            let Some(value) = present(value, field.mode)? else { continue };
            entries.insert(Key::text(&unescape(&field.name)), value);
        }
        Ok(Value::object(object.name.clone(), entries))
    }
}

/// What is said of arguments that no function takes: more of those that have been declared with types.
fn no_overload(call: &Call, arguments: &[Value<'_>]) -> EvalError {
    let names = || arguments.iter().map(Value::type_name).collect::<Vec<_>>().join(", ");
    match (&*call.name, arguments) {
        (operator, [first, ..]) if !knows(first, operator) => EvalError::NoFunction(operator.into()),
        ("contains" | "startsWith" | "endsWith" | "matches", _) => EvalError::NoOverload,
        // Upstream hands on what went wrong with the text as if it were an address.
        ("containsIP", [Value::Cidr(_), Value::String(_)]) => EvalError::NoOverload,
        ("find" | "findAll", _) if call.arguments.get(1).is_some_and(|pattern| pattern.is_constant) => {
            EvalError::NoOverload
        }
        (name @ ("size" | "sort" | SORT_BY_KEYS), _) => EvalError::NoFunction(name.into()),
        (name, _) if name.starts_with(['_', '@', '!', '-']) => EvalError::NoOverload,
        (name, _) => EvalError::NoFunction(format!("{name}({})", names())),
    }
}

/// Whether an operator is known to a value, whatever stands on its other side. Texts and times are asked
/// about all of them.
fn knows(value: &Value<'_>, operator: &str) -> bool {
    let is_asked = matches!(value, Value::String(_) | Value::Timestamp(_) | Value::Duration(_));
    let is_whole = matches!(value, Value::Int(_) | Value::Uint(_));
    let is_number = is_whole || matches!(value, Value::Double(_));
    match operator {
        "_+_" => is_asked || is_number || matches!(value, Value::Bytes(_) | Value::List(_)),
        "_-_" | "_*_" | "_/_" => is_asked || is_number,
        "_%_" => is_asked || is_whole,
        "_<_" | "_<=_" | "_>_" | "_>=_" => is_asked || is_number || matches!(value, Value::Bytes(_) | Value::Bool(_)),
        "-_" => is_asked || matches!(value, Value::Int(_) | Value::Double(_) | Value::Bool(_)),
        _ => true,
    }
}

fn named_type<'a>(name: &str) -> Result<Value<'a>, EvalError> {
    let known = TYPE_NAMES.iter().find(|known| **known == name);
    known.map(|known| Value::Type(known)).ok_or_else(|| EvalError::Unbound(name.to_owned()))
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

/// A field of a map or object.
fn field<'a>(operand: &Value<'a>, name: &str) -> Result<Option<Value<'a>>, EvalError> {
    let Some(map) = operand.as_map() else {
        return Err(match operand {
            Value::Authorization(authorization) => return Ok(authorization.field(name)),
            Value::List(_) => EvalError::Argument("unsupported index type 'string' in list".into()),
            // What has no fields has not this one.
            _ => return Ok(None),
        });
    };
    Ok(map.get(name).or_else(|| name.contains("__").then(|| map.get(&unescape(name))).flatten()))
}

/// The value of a literal.
pub(crate) fn constant(literal: &Literal) -> Value<'_> {
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
