//! Optional values.
//!
//! Upstream: `cel-go/cel/library.go` (`OptionalTypes`).

use super::{Function, global, member};
use crate::EvalError;
use crate::value::Value;
use std::sync::Arc;

pub(super) const FUNCTIONS: &[Function] = &[
    global("optional.of", &["A -> optional(A)"], |a, _| Ok(Value::some(a[0].clone()))),
    global("optional.ofNonZeroValue", &["A -> optional(A)"], |a, _| {
        Ok(if is_zero(&a[0]) { Value::Optional(None) } else { Value::some(a[0].clone()) })
    }),
    global("optional.none", &["-> optional(A)"], |_, _| Ok(Value::Optional(None))),
    global("optional.unwrap", &["list(optional(A)) -> list(A)"], |a, _| unwrap(&a[0])),
    member("unwrapOpt", &["list(optional(A)) -> list(A)"], |a, _| unwrap(&a[0])),
    member("hasValue", &["optional(A) -> bool"], |a, _| Ok(Value::Bool(inner(&a[0])?.is_some()))),
    member("value", &["optional(A) -> A"], |a, _| {
        inner(&a[0])?.map(|value| (**value).clone()).ok_or(EvalError::EmptyOptional)
    }),
    // They run without functions.
    member("or", &["optional(A), optional(A) -> optional(A)"], |_, _| Err(EvalError::NoOverload)),
    member("orValue", &["optional(A), A -> A"], |_, _| Err(EvalError::NoOverload)),
    member("first", &["list(A) -> optional(A)"], |a, _| {
        let list = a[0].as_list().ok_or(EvalError::NoOverload)?;
        Ok(Value::Optional(list.get(0).map(Arc::new)))
    }),
    member("last", &["list(A) -> optional(A)"], |a, _| {
        let list = a[0].as_list().ok_or(EvalError::NoOverload)?;
        Ok(Value::Optional(list.len().checked_sub(1).and_then(|last| list.get(last)).map(Arc::new)))
    }),
];

fn inner<'a, 'b>(value: &'b Value<'a>) -> Result<Option<&'b Arc<Value<'a>>>, EvalError> {
    match value {
        Value::Optional(inner) => Ok(inner.as_ref()),
        _ => Err(EvalError::NoOverload),
    }
}

fn unwrap<'a>(value: &Value<'a>) -> Result<Value<'a>, EvalError> {
    let list = value.as_list().ok_or(EvalError::NoOverload)?;
    let values = list.iter().filter_map(|item| match item {
        Value::Optional(inner) => inner.map(|value| Ok((*value).clone())),
        _ => Some(Err(EvalError::NoOverload)),
    });
    Ok(Value::list(values.collect::<Result<_, _>>()?))
}

fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::Null | Value::Bool(false) | Value::Int(0) | Value::Uint(0) | Value::Duration(0) => true,
        Value::Double(number) => *number == 0.0,
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.is_empty(),
        _ => false,
    }
}
