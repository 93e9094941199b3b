//! Arithmetic, and `+` of everything that has one.
//!
//! Upstream: `cel-go/common/types` (`Add`, `Subtract`, ...), `cel-go/common/types/overflow.go`.

use super::{Function, global, wrong};
use crate::cost::scaled;
use crate::estimate::Estimate;
use crate::estimate::calls::{self, Asked, Outcome, WALK};
use crate::moment::Moment;
use crate::types::Type;
use crate::value::Value;
use crate::{Budget, EvalError};

pub(super) const FUNCTIONS: &[Function] = &[
    global(
        "_+_",
        // The first that fits settles open types, so the order is upstream's.
        &[
            "bytes, bytes -> bytes",
            "double, double -> double",
            "duration, duration -> duration",
            "duration, timestamp -> timestamp",
            "timestamp, duration -> timestamp",
            "int, int -> int",
            "list(A), list(A) -> list(A)",
            "string, string -> string",
            "uint, uint -> uint",
        ],
        add,
    )
    .estimated(sum)
    .metered(|used| if used.is_text(0) { scaled(used.size(0) + used.size(1), WALK) } else { 1 }),
    global(
        "_-_",
        &[
            "double, double -> double",
            "duration, duration -> duration",
            "int, int -> int",
            "timestamp, duration -> timestamp",
            "timestamp, timestamp -> duration",
            "uint, uint -> uint",
        ],
        |a, _| subtract(&a[0], &a[1]),
    ),
    global("_*_", ARITHMETIC, |a, _| multiply(&a[0], &a[1])),
    global("_/_", ARITHMETIC, |a, _| divide(&a[0], &a[1])),
    global("_%_", &["int, int -> int", "uint, uint -> uint"], |a, _| remainder(&a[0], &a[1])),
    global("-_", &["double -> double", "int -> int"], |a, _| negate(&a[0])),
];

const ARITHMETIC: &[&str] = &["double, double -> double", "int, int -> int", "uint, uint -> uint"];

/// Texts are copied; lists are only linked to each other.
fn sum(asked: &Asked<'_, '_>) -> Outcome {
    let size = asked.size(0) + asked.size(1);
    match asked.parameter(0) {
        Type::List(_) => Outcome { entries: asked.either(0, 1), ..Outcome::sized(Estimate::exactly(1), size) },
        _ if asked.is_text(0) => Outcome::sized(size.scaled(WALK), size),
        _ => calls::one(asked),
    }
}

fn int<'a>(number: Option<i64>) -> Result<Value<'a>, EvalError> {
    number.map(Value::Int).ok_or(EvalError::Overflow)
}

fn uint<'a>(number: Option<u64>) -> Result<Value<'a>, EvalError> {
    number.map(Value::Uint).ok_or_else(|| EvalError::Argument("unsigned integer overflow".into()))
}

fn duration<'a>(nanos: Option<i64>) -> Result<Value<'a>, EvalError> {
    nanos.map(Value::Duration).ok_or(EvalError::Overflow)
}

fn shift<'a>(time: Moment, nanos: i64) -> Result<Value<'a>, EvalError> {
    time.after(nanos).map_or_else(|| wrong("timestamp overflow".into()), |time| Ok(Value::Timestamp(time)))
}

/// Also what sums up lists.
pub(super) fn add<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    match (&a[0], &a[1]) {
        (Value::Int(a), Value::Int(b)) => int(a.checked_add(*b)),
        (Value::Uint(a), Value::Uint(b)) => uint(a.checked_add(*b)),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a + b)),
        (Value::String(a), Value::String(b)) => {
            budget.charge_walk(a.len() + b.len())?;
            Ok(Value::text([&**a, &**b].concat()))
        }
        (Value::Bytes(a), Value::Bytes(b)) => {
            budget.charge_walk(a.len() + b.len())?;
            Ok(Value::Bytes([&**a, &**b].concat().into()))
        }
        (Value::List(a), Value::List(b)) => {
            budget.charge_list(a.len() + b.len())?;
            Ok(Value::list(a.iter().chain(b.iter()).collect()))
        }
        (Value::Duration(a), Value::Duration(b)) => duration(a.checked_add(*b)),
        (Value::Timestamp(time), Value::Duration(nanos)) | (Value::Duration(nanos), Value::Timestamp(time)) => {
            shift(*time, *nanos)
        }
        _ => Err(EvalError::NoOverload),
    }
}

fn subtract<'a>(a: &Value<'a>, b: &Value<'a>) -> Result<Value<'a>, EvalError> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => int(a.checked_sub(*b)),
        (Value::Uint(a), Value::Uint(b)) => uint(a.checked_sub(*b)),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a - b)),
        (Value::Duration(a), Value::Duration(b)) => duration(a.checked_sub(*b)),
        (Value::Timestamp(time), Value::Duration(nanos)) => {
            shift(*time, nanos.checked_neg().ok_or(EvalError::Overflow)?)
        }
        (Value::Timestamp(a), Value::Timestamp(b)) => duration(a.since(*b)),
        _ => Err(EvalError::NoOverload),
    }
}

fn multiply<'a>(a: &Value<'a>, b: &Value<'a>) -> Result<Value<'a>, EvalError> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => int(a.checked_mul(*b)),
        (Value::Uint(a), Value::Uint(b)) => uint(a.checked_mul(*b)),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a * b)),
        _ => Err(EvalError::NoOverload),
    }
}

fn divide<'a>(a: &Value<'a>, b: &Value<'a>) -> Result<Value<'a>, EvalError> {
    match (a, b) {
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) => Err(EvalError::DivisionByZero),
        (Value::Int(a), Value::Int(b)) => int(a.checked_div(*b)),
        (Value::Uint(a), Value::Uint(b)) => uint(a.checked_div(*b)),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a / b)),
        _ => Err(EvalError::NoOverload),
    }
}

fn remainder<'a>(a: &Value<'a>, b: &Value<'a>) -> Result<Value<'a>, EvalError> {
    match (a, b) {
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) => Err(EvalError::ModulusByZero),
        (Value::Int(a), Value::Int(b)) => int(a.checked_rem(*b)),
        (Value::Uint(a), Value::Uint(b)) => uint(a.checked_rem(*b)),
        _ => Err(EvalError::NoOverload),
    }
}

fn negate<'a>(a: &Value<'a>) -> Result<Value<'a>, EvalError> {
    match a {
        Value::Int(number) => int(number.checked_neg()),
        Value::Double(number) => Ok(Value::Double(-number)),
        // It is built, yet not declared.
        Value::Duration(nanos) => duration(nanos.checked_neg()),
        _ => Err(EvalError::NoOverload),
    }
}
