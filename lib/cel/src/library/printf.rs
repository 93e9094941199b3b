//! `"%d of %s".format([1, "x"])`.
//!
//! Upstream: `cel-go/ext/formatting.go`.

use super::conversions::{double_text, seconds_text};
use super::{Function, member, text, wrong};
use crate::cost;
use crate::estimate::calls;
use crate::value::Value;
use crate::{Budget, EvalError};

pub(super) const FUNCTIONS: &[Function] =
    &[member("format", &["string, list(dyn) -> string"], format).estimated(calls::walk).metered(cost::walk)];

/// The most digits after the point that are printed.
const MAX_PRECISION: usize = 100;

fn format<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    let template = text(a, 0)?;
    let arguments = a[1].as_list().ok_or(EvalError::NoOverload)?;
    let (mut out, mut rest, mut next) = (String::new(), template, 0);
    budget.charge_walk(template.len())?;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (precision, after) = precision(rest)?;
        let Some(verb) = after.chars().next() else { return wrong("unexpected end of string".into()) };
        let Some(argument) = arguments.get(next) else { return wrong(format!("index {next} out of range")) };
        next += 1;
        clause(verb, precision, &argument, &mut out, budget)?;
        rest = &after[verb.len_utf8()..];
    }
    out.push_str(rest);
    Ok(Value::text(out))
}

fn precision(text: &str) -> Result<(Option<usize>, &str), EvalError> {
    let Some(after) = text.strip_prefix('.') else { return Ok((None, text)) };
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    match after[..end].parse() {
        Ok(digits) if digits <= MAX_PRECISION => Ok((Some(digits), &after[end..])),
        _ => wrong(format!("error while parsing precision: {:?}", &after[..end])),
    }
}

fn clause(
    verb: char,
    precision: Option<usize>,
    argument: &Value<'_>,
    out: &mut String,
    budget: &mut Budget,
) -> Result<(), EvalError> {
    let start = out.len();
    match (verb, argument) {
        ('s', value) => return show(value, out, budget),
        ('d', Value::Int(number)) => *out += &number.to_string(),
        ('d', Value::Uint(number)) => *out += &number.to_string(),
        ('f', value) => *out += &format!("{:.*}", precision.unwrap_or(6), double(verb, value)?),
        ('e', value) => *out += &scientific(double(verb, value)?, precision.unwrap_or(6)),
        ('b', Value::Bool(set)) => *out += if *set { "1" } else { "0" },
        ('b' | 'o' | 'x' | 'X', Value::Int(number)) => {
            *out += if *number < 0 { "-" } else { "" };
            *out += &radix(verb, number.unsigned_abs());
        }
        ('b' | 'o' | 'x' | 'X', Value::Uint(number)) => *out += &radix(verb, *number),
        ('x' | 'X', Value::String(text)) => hex(verb, text.as_bytes(), out),
        ('x' | 'X', Value::Bytes(bytes)) => hex(verb, bytes, out),
        ('d' | 'b' | 'o' | 'x' | 'X', value) => return unfit(verb, value),
        (other, _) => {
            return wrong(format!("could not parse formatting clause: unrecognized formatting clause \"{other}\""));
        }
    }
    budget.charge_walk(out.len() - start)
}

fn unfit<T>(verb: char, value: &Value<'_>) -> Result<T, EvalError> {
    wrong(format!("error during formatting: clause %{verb} does not take values of type {}", value.type_name()))
}

fn double(verb: char, value: &Value<'_>) -> Result<f64, EvalError> {
    match value {
        Value::Double(number) => Ok(*number),
        Value::Int(number) => Ok(*number as f64),
        Value::Uint(number) => Ok(*number as f64),
        other => unfit(verb, other),
    }
}

fn scientific(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

fn radix(verb: char, number: u64) -> String {
    match verb {
        'b' => format!("{number:b}"),
        'o' => format!("{number:o}"),
        'x' => format!("{number:x}"),
        _ => format!("{number:X}"),
    }
}

fn hex(verb: char, bytes: &[u8], out: &mut String) {
    for byte in bytes {
        *out += &if verb == 'x' { format!("{byte:02x}") } else { format!("{byte:02X}") };
    }
}

/// Any value as `%s` prints it.
fn show(value: &Value<'_>, out: &mut String, budget: &mut Budget) -> Result<(), EvalError> {
    let start = out.len();
    match value {
        Value::String(text) => *out += text,
        Value::Null => *out += "null",
        Value::Bool(set) => *out += if *set { "true" } else { "false" },
        Value::Int(number) => *out += &number.to_string(),
        Value::Uint(number) => *out += &number.to_string(),
        Value::Double(number) => *out += &double_text(*number),
        Value::Bytes(bytes) => *out += &String::from_utf8_lossy(bytes),
        Value::Timestamp(time) => *out += &time.to_string(),
        Value::Duration(nanos) => *out += &seconds_text(*nanos),
        Value::Type(name) => *out += name,
        Value::List(list) => {
            out.push('[');
            for (index, item) in list.iter().enumerate() {
                *out += if index > 0 { ", " } else { "" };
                show(&item, out, budget)?;
            }
            out.push(']');
            return budget.charge(1);
        }
        Value::Map(map) => {
            out.push('{');
            for (index, key) in map.keys().iter().enumerate() {
                *out += if index > 0 { ", " } else { "" };
                show(key, out, budget)?;
                *out += ": ";
                show(&map.entry(key).unwrap_or(Value::Null), out, budget)?;
            }
            out.push('}');
            return budget.charge(1);
        }
        other => return unfit('s', other),
    }
    budget.charge_walk(out.len() - start)
}
