//! Comprehensions: the macros that walk over lists and maps.

use super::{EvalError, Run, insert, unsupported_key};
use crate::ast::{Comprehension, Expr, Named, Naming, Walk};
use crate::value::{Key, Value};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// What a walk has so far.
struct Tally<'a> {
    items: Vec<Value<'a>>,
    entries: BTreeMap<Key<'a>, Value<'a>>,
    matches: usize,
    /// An error that a deciding element would outweigh.
    failure: Option<EvalError>,
}

impl<'a> Run<'a, '_> {
    pub(super) fn walk(&mut self, walk: &'a Comprehension) -> Result<Value<'a>, EvalError> {
        let range = self.eval(&walk.range)?;
        let mut state = Tally { items: Vec::new(), entries: BTreeMap::new(), matches: 0, failure: None };
        let count = length(&range)?;
        let keys = range.as_map().map(|map| map.keys()).unwrap_or_default();
        for index in 0..count {
            self.budget.charge(2)?;
            self.bind(walk, &range, &keys, index);
            let step = self.step(walk, &mut state);
            self.locals.truncate(self.locals.len() - 1 - usize::from(walk.second.is_some()));
            if let ControlFlow::Break(result) = step? {
                return Ok(result);
            }
        }
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
                self.locals.push((&walk.variable, first));
                self.locals.push((name, second));
            }
            (None, Value::List(_)) => self.locals.push((&walk.variable, second)),
            (None, _) => self.locals.push((&walk.variable, first)),
        }
    }

    fn step(&mut self, walk: &'a Comprehension, state: &mut Tally<'a>) -> Result<ControlFlow<Value<'a>>, EvalError> {
        if let Some(filter) = &walk.filter
            && !self.condition(filter)?
        {
            return Ok(ControlFlow::Continue(()));
        }
        match walk.kind {
            Walk::All | Walk::Exists => return self.decide(walk, state),
            Walk::ExistsOne => state.matches += usize::from(self.condition(&walk.body)?),
            Walk::Filter => {
                if self.condition(&walk.body)? {
                    state.items.extend(self.locals.last().map(|(_, value)| value.clone()));
                }
            }
            Walk::List => {
                let item = self.eval(&walk.body)?;
                state.items.push(item);
            }
            Walk::Map => {
                let value = self.eval(&walk.body)?;
                let key = self.locals.iter().rev().nth(1).map(|(_, key)| key.clone()).unwrap_or(Value::Null);
                insert(&mut state.entries, Key::of(&key).ok_or_else(|| unsupported_key(&key))?, value)?;
            }
            Walk::MapEntry => self.add_entries(&walk.body, state)?,
        }
        Ok(ControlFlow::Continue(()))
    }

    fn add_entries(&mut self, body: &'a Expr, state: &mut Tally<'a>) -> Result<(), EvalError> {
        let made = self.eval(body)?;
        let Some(map) = made.as_map() else { return Err(EvalError::NoOverload) };
        for key in map.keys() {
            self.budget.charge(1)?;
            let value = map.entry(&key).unwrap_or(Value::Null);
            insert(&mut state.entries, Key::of(&key).ok_or_else(|| unsupported_key(&key))?, value)?;
        }
        Ok(())
    }

    /// `all` ends at the first that is not, `exists` at the first that is; errors count if none does.
    fn decide(&mut self, walk: &'a Comprehension, state: &mut Tally<'a>) -> Result<ControlFlow<Value<'a>>, EvalError> {
        let decisive = walk.kind == Walk::Exists;
        match self.condition(&walk.body) {
            Ok(set) if set == decisive => return Ok(ControlFlow::Break(Value::Bool(decisive))),
            Ok(_) => {}
            Err(error @ (EvalError::OverBudget | EvalError::TooDeep)) => return Err(error),
            Err(error) => state.failure = state.failure.take().or(Some(error)),
        }
        Ok(ControlFlow::Continue(()))
    }

    fn condition(&mut self, expr: &'a Expr) -> Result<bool, EvalError> {
        self.eval(expr)?.as_bool().ok_or(EvalError::NoOverload)
    }

    pub(super) fn named(&mut self, named: &'a Named) -> Result<Value<'a>, EvalError> {
        let target = match (named.kind, self.eval(&named.target)?) {
            (Naming::Bind, value) => value,
            (_, Value::Optional(Some(value))) => (*value).clone(),
            (_, Value::Optional(None)) => return Ok(Value::Optional(None)),
            _ => return Err(EvalError::NoOverload),
        };
        self.locals.push((&named.variable, target));
        let body = self.eval(&named.body);
        self.locals.pop();
        match (named.kind, body?) {
            (Naming::Bind, value) | (Naming::FlatMap, value @ Value::Optional(_)) => Ok(value),
            (Naming::FlatMap, _) => Err(EvalError::NoOverload),
            (Naming::Map, value) => Ok(Value::some(value)),
        }
    }
}

fn length(range: &Value<'_>) -> Result<usize, EvalError> {
    match range {
        Value::List(list) => Ok(list.len()),
        Value::Map(map) => Ok(map.len()),
        _ => Err(EvalError::NoOverload),
    }
}

fn finish(kind: Walk, state: Tally<'_>) -> Result<Value<'_>, EvalError> {
    match (kind, state.failure) {
        (Walk::All | Walk::Exists, Some(error)) => Err(error),
        (Walk::All, None) => Ok(Value::Bool(true)),
        (Walk::Exists, None) => Ok(Value::Bool(false)),
        (Walk::ExistsOne, _) => Ok(Value::Bool(state.matches == 1)),
        (Walk::List | Walk::Filter, _) => Ok(Value::list(state.items)),
        (Walk::Map | Walk::MapEntry, _) => Ok(Value::map(state.entries)),
    }
}
