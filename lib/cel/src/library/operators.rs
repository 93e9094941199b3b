//! Operators, indices and sizes.
//!
//! Upstream: `cel-go/common/stdlib/standard.go`.

use super::conversions::double_text;
use super::{Function, global, member, wrong};
use crate::compare::{contains, equal, order};
use crate::cost::{self, Used};
use crate::estimate::Estimate;
use crate::estimate::calls::{self, Asked, Outcome, WALK};
use crate::types::{Opaque, Type};
use crate::value::Value;
use crate::{Budget, EvalError};
use std::cmp::Ordering;

const ORDERED: &[&str] = &[
    "bool, bool -> bool",
    "int, int -> bool",
    "int, double -> bool",
    "int, uint -> bool",
    "uint, uint -> bool",
    "uint, double -> bool",
    "uint, int -> bool",
    "double, double -> bool",
    "double, int -> bool",
    "double, uint -> bool",
    "string, string -> bool",
    "bytes, bytes -> bool",
    "timestamp, timestamp -> bool",
    "duration, duration -> bool",
];

pub(super) const FUNCTIONS: &[Function] = &[
    global("_==_", &["A, A -> bool"], are_equal).estimated(equality).metered(|used| match used.arguments.first() {
        Some(value) if value.is_of_library() => 1,
        _ => cost::shorter(used),
    }),
    global("_!=_", &["A, A -> bool"], |a, b| Ok(Value::Bool(!equal(&a[0], &a[1], b)?)))
        .estimated(calls::shorter)
        .metered(cost::shorter),
    global("_<_", ORDERED, |a, b| compare(a, b, Ordering::is_lt)).estimated(comparison).metered(ordering),
    global("_<=_", ORDERED, |a, b| compare(a, b, Ordering::is_le)).estimated(comparison).metered(ordering),
    global("_>_", ORDERED, |a, b| compare(a, b, Ordering::is_gt)).estimated(comparison).metered(ordering),
    global("_>=_", ORDERED, |a, b| compare(a, b, Ordering::is_ge)).estimated(comparison).metered(ordering),
    global("@in", &["A, list(A) -> bool", "A, map(A, B) -> bool"], is_in).estimated(membership).metered(|used| {
        match used.parameter(1) {
            Some(Type::List(_)) => used.size(1),
            _ => 1,
        }
    }),
    global("!_", &["bool -> bool"], |a, _| a[0].as_bool().map(|b| Value::Bool(!b)).ok_or(EvalError::NoOverload)),
    global(
        "_[_]",
        &[
            "list(A), int -> A",
            "map(A, B), A -> B",
            "optional(list(A)), int -> optional(A)",
            "optional(map(A, B)), A -> optional(B)",
        ],
        step,
    ),
    global(
        "_[?_]",
        &[
            "list(A), int -> optional(A)",
            "map(A, B), A -> optional(B)",
            "optional(list(A)), int -> optional(A)",
            "optional(map(A, B)), A -> optional(B)",
        ],
        step,
    ),
    global("size", SIZES, size),
    member("size", SIZES, size),
    global("type", &["A -> type(A)"], |a, _| Ok(Value::Type(a[0].type_name()))),
    global("dyn", &["A -> dyn"], |a, _| Ok(a[0].clone())),
];

const SIZES: &[&str] = &["bytes -> int", "list(A) -> int", "map(A, B) -> int", "string -> int"];

/// The longest that upstream lets the text of a format be.
const FORMAT: u64 = 64;

/// Values of the libraries are compared in one step, formats and URLs aside.
fn equality(asked: &Asked<'_, '_>) -> Outcome {
    match (asked.of(0), asked.of(1)) {
        (Type::Opaque(a), Type::Opaque(b)) if a == b => match a {
            Opaque::Format => Estimate { min: 1, max: FORMAT }.scaled(WALK).into(),
            Opaque::Url => {
                let max = asked.known_size(1).map_or(1, |size| size.max);
                Estimate { min: 1, max }.scaled(WALK).into()
            }
            _ => calls::one(asked),
        },
        _ => calls::shorter(asked),
    }
}

fn comparison(asked: &Asked<'_, '_>) -> Outcome {
    if asked.is_text(0) { calls::shorter(asked) } else { calls::one(asked) }
}

fn ordering(used: &Used<'_, '_>) -> u64 {
    if used.is_text(0) { cost::shorter(used) } else { 1 }
}

/// Lists are searched, maps looked into.
fn membership(asked: &Asked<'_, '_>) -> Outcome {
    match asked.parameter(1) {
        Type::List(_) => asked.size(1).into(),
        _ => calls::one(asked),
    }
}

fn compare<'a>(a: &[Value<'a>], budget: &mut Budget, holds: fn(Ordering) -> bool) -> Result<Value<'a>, EvalError> {
    if let (Value::String(a), Value::String(b)) = (&a[0], &a[1]) {
        budget.charge_walk(a.len().min(b.len()))?;
    }
    match order(&a[0], &a[1]) {
        Some(order) => Ok(Value::Bool(holds(order))),
        None if is_number(&a[0]) && is_number(&a[1]) => wrong("NaN values cannot be ordered".into()),
        None => Err(EvalError::NoOverload),
    }
}

fn is_number(value: &Value<'_>) -> bool {
    matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_))
}

/// Values of the libraries are compared with their like only.
fn are_equal<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    if a[0].is_of_library() && a[0].type_name() != a[1].type_name() && !matches!(a[1], Value::Null) {
        return Err(EvalError::NoOverload);
    }
    Ok(Value::Bool(equal(&a[0], &a[1], budget)?))
}

fn is_in<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    match &a[1] {
        Value::List(list) => Ok(Value::Bool(contains(list, &a[0], budget)?)),
        Value::Map(map) => Ok(Value::Bool(map.has(&a[0]))),
        _ => Err(EvalError::NoOverload),
    }
}

/// Looks an element up; `None` if there is none.
pub(crate) fn find<'a>(container: &Value<'a>, key: &Value<'a>) -> Result<Option<Value<'a>>, EvalError> {
    match (container, key) {
        (Value::List(list), Value::Int(_) | Value::Uint(_) | Value::Double(_)) => {
            Ok(position(key).and_then(|index| list.get(index)))
        }
        (Value::Map(map), _) => Ok(map.entry(key)),
        (Value::List(_), key) => {
            Err(EvalError::Argument(format!("unsupported index type '{}' in list", key.type_name())))
        }
        _ => Ok(None),
    }
}

fn position(key: &Value<'_>) -> Option<usize> {
    match key {
        Value::Int(number) => usize::try_from(*number).ok(),
        Value::Uint(number) => usize::try_from(*number).ok(),
        Value::Double(number) if number.fract() == 0.0 && *number >= 0.0 && *number < 1e15 => Some(*number as usize),
        _ => None,
    }
}

/// What is said of an element that is not there.
pub(crate) fn missing(container: &Value<'_>, key: &Value<'_>) -> EvalError {
    match (container, key) {
        (Value::List(_), Value::Int(number)) => EvalError::OutOfBounds(*number),
        (Value::List(_), Value::Uint(number)) => EvalError::OutOfBounds((*number).try_into().unwrap_or(i64::MAX)),
        (Value::List(_), Value::Double(number)) if number.fract() == 0.0 => EvalError::OutOfBounds(*number as i64),
        (Value::List(_), Value::Double(number)) => {
            EvalError::Argument(format!("unsupported index value {} in list", double_text(*number)))
        }
        (Value::List(_), _) => EvalError::Argument("invalid list index".into()),
        (_, Value::String(key)) => EvalError::NoSuchKey(key.to_string()),
        (_, key) => EvalError::NoSuchKey(key.to_json().map(|j| j.to_string()).unwrap_or_default()),
    }
}

/// Indices are steps of paths, which run without a function.
fn step<'a>(_: &[Value<'a>], _: &mut Budget) -> Result<Value<'a>, EvalError> {
    Err(EvalError::NoOverload)
}

fn size<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    let count = match &a[0] {
        Value::String(text) => {
            budget.charge_walk(text.len())?;
            text.chars().count()
        }
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        _ => return Err(EvalError::NoOverload),
    };
    Ok(Value::Int(count as i64))
}
