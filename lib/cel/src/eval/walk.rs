//! Comprehensions: the macros that walk over lists and maps.
//!
//! What they cost is what their expansions cost upstream: accumulators, conditions on them, steps.

use super::{EvalError, Local, Run, insert, unsupported_key};
use crate::ast::{Comprehension, Named, Naming, Walk};
use crate::estimate::LIST;
use crate::value::{Key, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a walk has so far.
#[derive(Default)]
struct Tally<'a> {
    items: Vec<Value<'a>>,
    entries: BTreeMap<Key<'a>, Value<'a>>,
    matches: usize,
    /// `all` and `exists`: whether an element has decided.
    is_decided: bool,
    /// An error that a deciding element would outweigh.
    failure: Option<EvalError>,
}

/// A step of a walk that has failed.
enum Failed {
    /// What has been made so far is lost.
    Anew(EvalError),
    /// What has failed before is told rather.
    Also(EvalError),
}

impl<'a> Run<'a, '_> {
    pub(super) fn walk(&mut self, walk: &'a Comprehension) -> Result<Value<'a>, EvalError> {
        let range = self.eval(&walk.range)?;
        let mut state = Tally::default();
        let count = length(walk, &range)?;
        let keys = range.as_map().map(|map| map.keys()).unwrap_or_default();
        for index in 0..count {
            // Whether to go on is asked of the accumulator, negated or not.
            match walk.kind {
                Walk::All => self.spend(2)?,
                Walk::Exists => self.spend(3)?,
                _ => {}
            }
            if state.is_decided {
                break;
            }
            self.budget.charge(1)?;
            self.bind(walk, &range, &keys, index);
            let step = self.advance(walk, &mut state);
            self.locals.truncate(self.locals.len() - 1 - usize::from(walk.second.is_some()));
            match step {
                Ok(()) => {}
                Err(Failed::Anew(error) | Failed::Also(error)) if error.is_final() => return Err(error),
                Err(Failed::Anew(error)) => state.failure = Some(error),
                Err(Failed::Also(error)) => state.failure = state.failure.take().or(Some(error)),
            }
        }
        // The accumulator, which is compared if it is a count.
        self.spend(if walk.kind == Walk::ExistsOne { 2 } else { 1 })?;
        finish(walk.kind, state)
    }

    /// Binds the variables to the element at an index.
    fn bind(&mut self, walk: &'a Comprehension, range: &Value<'a>, keys: &[Value<'a>], index: usize) {
        let (first, second) = match range {
            Value::List(list) => (Value::Int(index as i64), list.get(index).unwrap_or(Value::Null)),
            Value::Map(map) => {
                let key = keys.get(index).cloned().unwrap_or(Value::Null);
                let value = walk.second.as_ref().and_then(|_| map.entry(&key)).unwrap_or(Value::Null);
                (key, value)
            }
            _ => (Value::Null, Value::Null),
        };
        match (&walk.second, range) {
            (Some(name), _) => {
                self.locals.push((&walk.variable, Local::Is(first)));
                self.locals.push((name, Local::Is(second)));
            }
            (None, Value::List(_)) => self.locals.push((&walk.variable, Local::Is(second))),
            (None, _) => self.locals.push((&walk.variable, Local::Is(first))),
        }
    }

    fn advance(&mut self, walk: &'a Comprehension, state: &mut Tally<'a>) -> Result<(), Failed> {
        if let Some(filter) = &walk.filter
            && !self.condition(filter).map_err(Failed::Anew)?
        {
            return Ok(());
        }
        match walk.kind {
            Walk::All | Walk::Exists => self.decide(walk, state).map_err(Failed::Also),
            Walk::ExistsOne => {
                if self.condition(&walk.body).map_err(Failed::Anew)? {
                    self.spend(2).map_err(Failed::Also)?;
                    state.matches += 1;
                }
                Ok(())
            }
            Walk::Filter => {
                if self.condition(&walk.body).map_err(Failed::Anew)? {
                    // The accumulator, a list of the variable, and their sum.
                    self.spend(LIST + 3).map_err(Failed::Also)?;
                    state.items.extend(self.variable_of(walk));
                }
                Ok(())
            }
            Walk::List => self.append(walk, state).map_err(Failed::Also),
            Walk::Map => self.insert(walk, state).map_err(Failed::Also),
            Walk::MapEntry => self.insert_all(walk, state).map_err(Failed::Also),
        }
    }

    /// The first variable of a walk.
    fn variable_of(&self, walk: &Comprehension) -> Option<Value<'a>> {
        match self.locals.iter().rev().nth(usize::from(walk.second.is_some())) {
            Some((_, Local::Is(value))) => Some(value.clone()),
            _ => None,
        }
    }

    /// `all` ends at the first that is not, `exists` at the first that is; errors count if none does.
    fn decide(&mut self, walk: &'a Comprehension, state: &mut Tally<'a>) -> Result<(), EvalError> {
        self.spend(1)?;
        state.is_decided = self.condition(&walk.body)? == (walk.kind == Walk::Exists);
        Ok(())
    }

    /// `accumulator + [element]`
    fn append(&mut self, walk: &'a Comprehension, state: &mut Tally<'a>) -> Result<(), EvalError> {
        let item = self.eval(&walk.body);
        if item.as_ref().is_err_and(EvalError::is_final) {
            return item.map(drop);
        }
        self.spend(if walk.body.is_constant { 2 } else { LIST + 2 })?;
        state.items.push(item?);
        Ok(())
    }

    /// `insert(accumulator, key, value)`, of which nothing is looked at after what has failed.
    fn insert(&mut self, walk: &'a Comprehension, state: &mut Tally<'a>) -> Result<(), EvalError> {
        self.spend(1)?;
        if state.failure.is_some() {
            return Ok(());
        }
        self.spend(1)?;
        let value = self.eval(&walk.body);
        if value.as_ref().is_err_and(EvalError::is_final) {
            return value.map(drop);
        }
        self.spend(1)?;
        let value = value?;
        let key = self.variable_of(walk).unwrap_or(Value::Null);
        insert(&mut state.entries, Key::of(&key).ok_or_else(|| unsupported_key(&key))?, value)
    }

    /// `insert(accumulator, entries)`
    fn insert_all(&mut self, walk: &'a Comprehension, state: &mut Tally<'a>) -> Result<(), EvalError> {
        let made = self.eval(&walk.body);
        if made.as_ref().is_err_and(EvalError::is_final) {
            return made.map(drop);
        }
        self.spend(2)?;
        let made = made?;
        let Some(map) = made.as_map() else { return Err(EvalError::NoOverload) };
        for key in map.keys() {
            self.budget.charge(1)?;
            let value = map.entry(&key).unwrap_or(Value::Null);
            insert(&mut state.entries, Key::of(&key).ok_or_else(|| unsupported_key(&key))?, value)?;
        }
        Ok(())
    }

    fn condition(&mut self, expr: &'a crate::ast::Expr) -> Result<bool, EvalError> {
        self.eval(expr)?.as_bool().ok_or(EvalError::NoOverload)
    }

    pub(super) fn named(&mut self, named: &'a Named) -> Result<Value<'a>, EvalError> {
        if named.kind == Naming::Bind {
            return self.with(named, Local::Pending(&named.target, self.locals.len()));
        }
        let before = self.budget.left();
        let target = self.eval(&named.target);
        if target.as_ref().is_err_and(EvalError::is_final) {
            return target;
        }
        // The value is asked for once more, at the same cost.
        let again = before.saturating_sub(self.budget.left());
        self.spend(1)?;
        let value = match target? {
            Value::Optional(Some(value)) => (*value).clone(),
            Value::Optional(None) => {
                self.spend(1)?;
                return Ok(Value::Optional(None));
            }
            other => return Err(EvalError::NoFunction(format!("hasValue({})", other.type_name()))),
        };
        let body = self.with(named, Local::Owed(value, again.saturating_add(1)));
        if named.kind == Naming::FlatMap {
            return body;
        }
        if !body.as_ref().is_err_and(EvalError::is_final) {
            self.spend(1)?;
        }
        Ok(Value::Optional(Some(Arc::new(body?))))
    }

    /// The body of what names something.
    fn with(&mut self, named: &'a Named, local: Local<'a>) -> Result<Value<'a>, EvalError> {
        self.locals.push((&named.variable, local));
        let body = self.eval(&named.body);
        self.locals.pop();
        body
    }
}

fn length(walk: &Comprehension, range: &Value<'_>) -> Result<usize, EvalError> {
    match (range, &walk.second) {
        (Value::List(list), _) => Ok(list.len()),
        (Value::Map(map), _) => Ok(map.len()),
        (other, None) => Err(EvalError::Argument(format!("got '{}', expected iterable type", other.go_name()))),
        (other, Some(_)) => {
            Err(EvalError::Argument(format!("unsupported comprehension range type: {}", other.go_name())))
        }
    }
}

fn finish(kind: Walk, state: Tally<'_>) -> Result<Value<'_>, EvalError> {
    match (kind, state.failure) {
        (Walk::All | Walk::Exists, _) if state.is_decided => Ok(Value::Bool(kind == Walk::Exists)),
        (_, Some(error)) => Err(error),
        (Walk::All, _) => Ok(Value::Bool(true)),
        (Walk::Exists, _) => Ok(Value::Bool(false)),
        (Walk::ExistsOne, _) => Ok(Value::Bool(state.matches == 1)),
        (Walk::List | Walk::Filter, _) => Ok(Value::list(state.items)),
        (Walk::Map | Walk::MapEntry, _) => Ok(Value::map(state.entries)),
    }
}
