//! Conversions between types.
//!
//! Upstream: `cel-go/common/types` (`ConvertToType`).

use super::{Function, global, wrong};
use crate::cost;
use crate::estimate::Estimate;
use crate::estimate::calls::{self, Asked, Outcome, WALK};
use crate::moment::Moment;
use crate::types::Type;
use crate::value::Value;
use crate::{Budget, EvalError};
use apimachinery::time::parse_go_nanos;

pub(super) const FUNCTIONS: &[Function] = &[
    global(
        "int",
        &["int -> int", "double -> int", "duration -> int", "string -> int", "timestamp -> int", "uint -> int"],
        |a, _| to_int(&a[0]),
    ),
    global("uint", &["uint -> uint", "double -> uint", "int -> uint", "string -> uint"], |a, _| to_uint(&a[0])),
    global("double", &["double -> double", "int -> double", "string -> double", "uint -> double"], |a, _| {
        to_double(&a[0])
    }),
    global("bool", &["bool -> bool", "string -> bool"], |a, _| to_bool(&a[0])),
    global(
        "string",
        &[
            "string -> string",
            "bool -> string",
            "bytes -> string",
            "double -> string",
            "duration -> string",
            "int -> string",
            "timestamp -> string",
            "uint -> string",
            "ip -> string",
            "cidr -> string",
        ],
        to_string,
    )
    .estimated(decoding)
    .metered(|used| if matches!(used.parameter(0), Some(Type::Bytes)) { cost::walk(used) } else { 1 }),
    global("bytes", &["bytes -> bytes", "string -> bytes"], to_bytes)
        .estimated(encoding)
        .metered(|used| if matches!(used.parameter(0), Some(Type::String)) { cost::walk(used) } else { 1 }),
    global("timestamp", &["timestamp -> timestamp", "int -> timestamp", "string -> timestamp"], |a, _| to_time(&a[0])),
    global("duration", &["duration -> duration", "int -> duration", "string -> duration"], |a, _| to_duration(&a[0])),
];

/// Four bytes may be one character.
fn decoding(asked: &Asked<'_, '_>) -> Outcome {
    let Estimate { min, max } = asked.size(0);
    match asked.parameter(0) {
        Type::Bytes => Outcome::sized(asked.size(0).scaled(WALK), Estimate { min: min / 4, max }),
        _ => calls::one(asked),
    }
}

/// A character may be four bytes; what is too long to be counted wraps around, as it does upstream.
fn encoding(asked: &Asked<'_, '_>) -> Outcome {
    let Estimate { min, max } = asked.size(0);
    match asked.parameter(0) {
        Type::String => Outcome::sized(asked.size(0).scaled(WALK), Estimate { min, max: max.wrapping_mul(4) }),
        _ => calls::one(asked),
    }
}

/// What is said of numbers that no unsigned integer holds.
const UINT_OVERFLOW: &str = "unsigned integer overflow";

/// Doubles outside of this are no integers.
const INT_BOUND: f64 = 9_223_372_036_854_775_808.0;

fn unfit<T>(value: &Value<'_>, wanted: &str) -> Result<T, EvalError> {
    wrong(format!("type conversion error from '{}' to '{wanted}'", value.type_name()))
}

fn to_int<'a>(value: &Value<'a>) -> Result<Value<'a>, EvalError> {
    match value {
        Value::Int(_) => Ok(value.clone()),
        Value::Uint(number) => i64::try_from(*number).map(Value::Int).map_err(|_| EvalError::Overflow),
        Value::Double(number) if number.abs() < INT_BOUND => Ok(Value::Int(*number as i64)),
        Value::Double(_) => Err(EvalError::Overflow),
        Value::String(text) => match text.parse() {
            Ok(number) => Ok(Value::Int(number)),
            Err(_) => unfit(value, "int"),
        },
        Value::Timestamp(time) => Ok(Value::Int(time.as_second())),
        Value::Duration(nanos) => Ok(Value::Int(*nanos)),
        _ => Err(EvalError::NoOverload),
    }
}

fn to_uint<'a>(value: &Value<'a>) -> Result<Value<'a>, EvalError> {
    match value {
        Value::Uint(_) => Ok(value.clone()),
        Value::Int(number) => {
            u64::try_from(*number).map_or_else(|_| wrong(UINT_OVERFLOW.into()), |n| Ok(Value::Uint(n)))
        }
        Value::Double(number) if *number >= 0.0 && *number < 2.0 * INT_BOUND => Ok(Value::Uint(*number as u64)),
        Value::Double(_) => wrong(UINT_OVERFLOW.into()),
        Value::String(text) => match text.parse() {
            Ok(number) => Ok(Value::Uint(number)),
            Err(_) => unfit(value, "uint"),
        },
        _ => Err(EvalError::NoOverload),
    }
}

fn to_double<'a>(value: &Value<'a>) -> Result<Value<'a>, EvalError> {
    match value {
        Value::Double(_) => Ok(value.clone()),
        Value::Int(number) => Ok(Value::Double(*number as f64)),
        Value::Uint(number) => Ok(Value::Double(*number as f64)),
        Value::String(text) => match text.parse() {
            Ok(number) => Ok(Value::Double(number)),
            Err(_) => unfit(value, "double"),
        },
        _ => Err(EvalError::NoOverload),
    }
}

fn to_bool<'a>(value: &Value<'a>) -> Result<Value<'a>, EvalError> {
    match value {
        Value::Bool(_) => Ok(value.clone()),
        Value::String(text) => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => unfit(value, "bool"),
        },
        _ => Err(EvalError::NoOverload),
    }
}

fn to_string<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    Ok(match &a[0] {
        Value::String(_) => a[0].clone(),
        Value::Bool(set) => Value::text(set.to_string()),
        Value::Int(number) => Value::text(number.to_string()),
        Value::Uint(number) => Value::text(number.to_string()),
        Value::Double(number) => Value::text(double_text(*number)),
        Value::Bytes(bytes) => {
            budget.charge_walk(bytes.len())?;
            match std::str::from_utf8(bytes) {
                Ok(text) => Value::text(text),
                Err(_) => return wrong("invalid UTF-8 in bytes, cannot convert to string".into()),
            }
        }
        Value::Timestamp(time) => Value::text(time.to_string()),
        Value::Duration(nanos) => Value::text(seconds_text(*nanos)),
        Value::Ip(ip) => Value::text(ip.to_string()),
        Value::Cidr(cidr) => Value::text(cidr.to_string()),
        _ => return Err(EvalError::NoOverload),
    })
}

/// A double as Go's `strconv.FormatFloat` writes it, the shortest that is read back.
pub(super) fn double_text(number: f64) -> String {
    if number.is_nan() || number.is_infinite() {
        return if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        }
        .into();
    }
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number != 0.0 && !(-4..6).contains(&exponent) {
        return format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    }
    number.to_string()
}

/// A duration in seconds, as protobuf's JSON has it.
pub(super) fn seconds_text(nanos: i64) -> String {
    match nanos % 1_000_000_000 {
        0 => format!("{}s", nanos / 1_000_000_000),
        _ => {
            let text = format!("{}{}.{:09}", sign(nanos), (nanos / 1_000_000_000).abs(), (nanos % 1_000_000_000).abs());
            format!("{}s", text.trim_end_matches('0'))
        }
    }
}

fn sign(number: i64) -> &'static str {
    if number < 0 { "-" } else { "" }
}

fn to_bytes<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    match &a[0] {
        Value::Bytes(_) => Ok(a[0].clone()),
        Value::String(text) => {
            budget.charge_walk(text.len())?;
            Ok(Value::Bytes(text.as_bytes().into()))
        }
        _ => Err(EvalError::NoOverload),
    }
}

/// What `timestamp()` makes of a value.
pub(crate) fn to_time<'a>(value: &Value<'a>) -> Result<Value<'a>, EvalError> {
    match value {
        Value::Timestamp(_) => Ok(value.clone()),
        Value::Int(seconds) => match Moment::from_second(*seconds) {
            time if time.is_in_range() => Ok(Value::Timestamp(time)),
            _ => wrong("timestamp overflow".into()),
        },
        Value::String(text) => match Moment::parse(text) {
            Ok(time) if !time.is_in_range() => wrong("timestamp overflow".into()),
            Ok(time) => Ok(Value::Timestamp(time)),
            Err(_) => unfit(value, "google.protobuf.Timestamp"),
        },
        _ => Err(EvalError::NoOverload),
    }
}

/// What `duration()` makes of a value.
pub(crate) fn to_duration<'a>(value: &Value<'a>) -> Result<Value<'a>, EvalError> {
    match value {
        Value::Duration(_) => Ok(value.clone()),
        // It is declared, yet nothing of it is built.
        Value::Int(_) => unfit(value, "google.protobuf.Duration"),
        Value::String(text) => match parse_go_nanos(text) {
            Some(nanos) => Ok(Value::Duration(nanos)),
            None => unfit(value, "google.protobuf.Duration"),
        },
        _ => Err(EvalError::NoOverload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_like_go() {
        for (number, want) in [
            (1.5, "1.5"),
            (2.0, "2"),
            (123_456.5, "123456.5"),
            (1_234_567.0, "1.234567e+06"),
            (123_456_789.125, "1.23456789125e+08"),
            (1e21, "1e+21"),
            (0.0001, "0.0001"),
            (1e-7, "1e-07"),
            (0.0, "0"),
            (-0.0, "-0"),
        ] {
            assert_eq!(double_text(number), want);
        }
        assert_eq!((seconds_text(90_000_000_000), seconds_text(-1_500_000_000)), ("90s".into(), "-1.5s".into()));
    }
}
