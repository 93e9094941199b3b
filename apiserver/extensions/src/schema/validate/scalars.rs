//! Types, texts, numbers and enumerations.

use super::{Outcome, Place, type_names};
use crate::schema::{Bound, Format, Node, Type};
use apimachinery::Value;
use apimachinery::field::FieldErrorKind as Kind;
use apimachinery::go::{plain_float, quoted};
use serde_json::Number;

/// Integers up to here are exact as floating-point numbers.
const EXACT: f64 = 9_007_199_254_740_991.0;

/// Whether the value is of the type that the schema wants.
pub(super) fn check_type(node: &Node, value: &Value, at: &Place<'_>, out: &mut Outcome) {
    let wanted = type_names(node);
    let format = node.limits.format;
    if wanted.is_empty() && format.is_none() {
        return;
    }
    let found = match value {
        Value::Null => {
            if !wanted.is_empty() && !node.nullable {
                out.wrong_type(at, wanted, "null");
            }
            return;
        }
        Value::Bool(_) => "boolean",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Number(number) if number.is_i64() => "integer",
        Value::Number(_) => "number",
    };
    let fits = wanted.split(',').any(|wanted| wanted == found)
        || found == "integer" && wanted == "number"
        || is_whole(value) && wanted.contains("integer");
    match (fits, format, value) {
        (true, ..) => out.matches += 1,
        // Texts with a format are judged by that.
        (false, Some(format), Value::String(_)) if !format.is_numeric() => {}
        (false, Some(format), Value::Number(number)) if !wanted.is_empty() => {
            out.wrong_type(at, format.name(), if number.is_i64() { "int64" } else { "float64" });
        }
        (false, Some(format), Value::Bool(_) | Value::Object(_)) => out.wrong_type(at, format.name(), ""),
        (false, ..) if wanted.is_empty() => {}
        (false, ..) => out.wrong_type(at, wanted, found),
    }
}

/// Whether a number without a fraction stands as a floating-point one.
fn is_whole(value: &Value) -> bool {
    value.as_f64().is_some_and(|n| n.fract() == 0.0 && n.abs() <= EXACT)
}

/// Length, pattern and format; the first that fails is all that is said of the first two.
pub(super) fn check_text(node: &Node, text: &str, at: &Place<'_>, out: &mut Outcome) {
    let limits = &node.limits;
    let length = || text.chars().count() as u64;
    if let Some(max) = limits.max_length.filter(|max| length() > *max) {
        out.add(at.path(), Kind::TooLong(max as usize));
    } else if let Some(min) = limits.min_length.filter(|min| length() < *min) {
        out.invalid(at, quoted(text), &format!("should be at least {min} chars long"));
    } else if let Some(pattern) = limits.pattern.as_ref().filter(|p| !p.regex.is_match(text)) {
        out.invalid(at, quoted(text), &format!("should match '{}'", pattern.source));
    }
    if let Some(format) = limits.format.filter(|format| !format.is_numeric() && !format.accepts(text)) {
        out.wrong_type(at, format.name(), text);
    }
}

/// Range and divisor.
pub(super) fn check_number(node: &Node, number: &Number, at: &Place<'_>, out: &mut Outcome) {
    let limits = &node.limits;
    check_range(node, number, at, out);
    let Some(value) = number.as_f64() else { return };
    if let Some(factor) = limits.multiple_of {
        if factor <= 0.0 {
            let message =
                format!("factor MultipleOf declared for {} must be positive: {}", at.name(), plain_float(factor));
            out.add(at.path(), Kind::Invalid(plain_float(factor), message));
        } else if !is_multiple(number, value, factor) {
            out.invalid(at, shown(number), &format!("should be a multiple of {}", plain_float(factor)));
        }
    }
    if let Some(Bound { value: max, exclusive }) = limits.maximum
        && (value > max || exclusive && value >= max)
    {
        let than = if exclusive { "less than" } else { "less than or equal to" };
        out.invalid(at, shown(number), &format!("should be {than} {}", plain_float(max)));
    }
    if let Some(Bound { value: min, exclusive }) = limits.minimum
        && (value < min || exclusive && value <= min)
    {
        let than = if exclusive { "greater than" } else { "greater than or equal to" };
        out.invalid(at, shown(number), &format!("should be {than} {}", plain_float(min)));
    }
}

/// Whether the number fits what its type and format can hold.
fn check_range(node: &Node, number: &Number, at: &Place<'_>, out: &mut Outcome) {
    let value = number.as_f64().unwrap_or_default();
    let (fits, what) = match (node.ty, node.limits.format) {
        _ if node.extensions.int_or_string => return,
        (Some(Type::Integer), Some(Format::Int32)) => {
            let fits = number
                .as_i64()
                .map_or(value.fract() == 0.0 && value.abs() <= f64::from(i32::MAX), |n| i32::try_from(n).is_ok());
            (fits, "integer with format int32")
        }
        (Some(Type::Integer), Some(Format::Int64)) => (fits_long(number, value), "integer with format int64"),
        (Some(Type::Integer), _) => (fits_long(number, value), "integer (default format)"),
        (Some(Type::Number), Some(Format::Float)) => (value.abs() <= f64::from(f32::MAX), "number with format float"),
        _ => return,
    };
    if !fits {
        let message = format!("Checked value must be of type {what} in {}", at.name());
        out.add(at.nowhere(), Kind::Invalid("\"\"".into(), message));
    }
}

fn fits_long(number: &Number, value: f64) -> bool {
    number.is_i64() || value.fract() == 0.0 && value.abs() < 9.3e18 && !number.is_u64()
}

fn is_multiple(number: &Number, value: f64, factor: f64) -> bool {
    match number.as_i64() {
        Some(integer) if factor.fract() == 0.0 && factor <= EXACT => integer % (factor as i64) == 0,
        _ => {
            let quotient = if factor < 1.0 { 1.0 / factor * value } else { value / factor };
            (quotient - quotient.round()).abs() < 1e-9 * quotient.abs().max(1.0)
        }
    }
}

/// Whether the value is one of those listed.
pub(super) fn check_enum(node: &Node, value: &Value, at: &Place<'_>, out: &mut Outcome) {
    let allowed = &node.limits.values;
    if allowed.is_empty() || allowed.iter().any(|other| equal(other, value)) {
        return;
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let found = if value.is_null() { "\"null\"".into() } else { value.to_string() };
    out.add(at.path(), Kind::NotSupported(found, allowed.iter().map(text).collect()));
}

/// Equality to which `1` and `1.0` are the same.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        _ => left == right,
    }
}

fn shown(number: &Number) -> String {
    match number.as_i64() {
        Some(integer) => integer.to_string(),
        None => plain_float(number.as_f64().unwrap_or_default()),
    }
}
