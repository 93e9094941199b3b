//! `"%d of %s".format([1, "x"])`.
//!
//! Upstream: `cel-go/ext/formatting.go`.

use super::conversions::{double_text, seconds_text};
use super::{Function, member, text, wrong};
use crate::cost;
use crate::estimate::calls;
use crate::types::Type;
use crate::value::Value;
use crate::{Budget, EvalError};

pub(super) const FUNCTIONS: &[Function] =
    &[member("format", &["string, list(dyn) -> string"], format).estimated(calls::walk).metered(cost::walk)];

/// The most digits after the point that are printed, and the most characters that a number is filled up to.
const MOST: usize = 10_000;

/// How many digits after the point are printed if nothing is said.
const PRECISION: usize = 6;

/// How a value is printed: what stands after the percent sign.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clause {
    verb: char,
    /// Digits after the point; of `%e`, upstream takes it for the width.
    number: Option<usize>,
}

/// What comes next in a template.
pub(crate) enum Part<'t> {
    /// It is printed as it is.
    Plain(&'t str),
    /// A value is printed.
    Clause(Clause),
}

/// Splits a template at the values that are to be printed.
pub(crate) struct Template<'t> {
    rest: &'t str,
    /// How many values have been asked for, and how many there are.
    next: usize,
    count: usize,
}

impl<'t> Template<'t> {
    pub(crate) fn new(template: &'t str, count: usize) -> Self {
        Self { rest: template, next: 0, count }
    }

    /// How many values have been asked for.
    pub(crate) fn asked(&self) -> usize {
        self.next
    }

    fn part(&mut self) -> Result<Part<'t>, String> {
        let at = self.rest.find('%').unwrap_or(self.rest.len());
        if at > 0 {
            let (plain, rest) = self.rest.split_at(at);
            self.rest = rest;
            return Ok(Part::Plain(plain));
        }
        let after = &self.rest[1..];
        if let Some(rest) = after.strip_prefix('%') {
            self.rest = rest;
            return Ok(Part::Plain("%"));
        }
        self.next += 1;
        if after.is_empty() {
            return Err("unexpected end of string".into());
        }
        if self.next > self.count {
            return Err(format!("index {} out of range", self.next - 1));
        }
        let wrong = |why: String| format!("could not parse formatting clause: {why}");
        let (number, after) = number(after).map_err(|why| wrong(format!("error while parsing precision: {why}")))?;
        match after.chars().next() {
            Some(verb @ ('s' | 'd' | 'f' | 'e' | 'b' | 'x' | 'X' | 'o')) => {
                self.rest = &after[1..];
                Ok(Part::Clause(Clause { verb, number }))
            }
            Some(other) => Err(wrong(format!("unrecognized formatting clause \"{other}\""))),
            None => Err(wrong("error while parsing precision: could not find end of precision specifier".into())),
        }
    }
}

impl<'t> Iterator for Template<'t> {
    type Item = Result<Part<'t>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| self.part())
    }
}

/// `.2` before a verb.
fn number(text: &str) -> Result<(Option<usize>, &str), String> {
    let Some(after) = text.strip_prefix('.') else { return Ok((None, text)) };
    let end = after.find(|c: char| !c.is_ascii_digit());
    let Some(end) = end else { return Err("could not find end of precision specifier".into()) };
    let digits = &after[..end];
    match digits.parse() {
        Ok(number) if number <= MOST => Ok((Some(number), &after[end..])),
        Ok(_) => Err(format!("{digits} is more than {MOST}")),
        Err(_) => {
            let why = if digits.is_empty() { "invalid syntax" } else { "value out of range" };
            Err(format!("error while converting precision to integer: strconv.Atoi: parsing {digits:?}: {why}"))
        }
    }
}

impl Clause {
    /// Whether values of a type can be printed like this; what is only known while it runs may.
    pub(crate) fn takes(self, of: &Type) -> bool {
        match (self.verb, of) {
            (_, Type::Dyn) | ('d' | 'o' | 'b' | 'x' | 'X', Type::Int | Type::Uint) => true,
            ('f' | 'e', Type::Double | Type::String) | ('b', Type::Bool) => true,
            ('x' | 'X', Type::String | Type::Bytes) => true,
            ('s', of) => !matches!(
                of,
                Type::Object(_)
                    | Type::Record(_)
                    | Type::Partial(_)
                    | Type::JsonPatch
                    | Type::Opaque(_)
                    | Type::Optional(_)
            ),
            _ => false,
        }
    }

    /// Whether all parts of a list or map are printed, too.
    pub(crate) fn goes_into_parts(self) -> bool {
        self.verb == 's'
    }

    /// What is said of values that cannot be printed like this.
    pub(crate) fn unfit(self, type_name: &str) -> String {
        let what = match self.verb {
            'd' => "decimal clause can only be used on integers",
            'f' => "fixed-point clause can only be used on doubles",
            'e' => "scientific clause can only be used on doubles",
            'b' => "only integers and bools can be formatted as binary",
            'o' => "octal clause can only be used on integers",
            'x' | 'X' => "only integers, byte buffers, and strings can be formatted as hex",
            _ => {
                "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, \
                 and timestamps"
            }
        };
        format!("error during formatting: {what}, was given {type_name}")
    }
}

fn format<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    let arguments = a[1].as_list().ok_or(EvalError::NoOverload)?;
    let mut template = Template::new(text(a, 0)?, arguments.len());
    let mut out = String::new();
    while let Some(part) = template.next() {
        let start = out.len();
        match part.map_err(EvalError::Argument)? {
            Part::Plain(plain) => out.push_str(plain),
            Part::Clause(clause) => {
                let argument = arguments.get(template.asked() - 1).ok_or(EvalError::NoOverload)?;
                print(clause, &argument, &mut out, budget)?;
            }
        }
        budget.charge_walk(out.len() - start)?;
    }
    Ok(Value::text(out))
}

fn print(clause: Clause, value: &Value<'_>, out: &mut String, budget: &mut Budget) -> Result<(), EvalError> {
    match (clause.verb, value) {
        ('s', value) => return show(value, out, budget),
        ('d', Value::Int(number)) => *out += &number.to_string(),
        ('d', Value::Uint(number)) => *out += &number.to_string(),
        ('f', value) => *out += &fixed(double(clause, value)?, clause.number.unwrap_or(PRECISION)),
        ('e', value) => *out += &scientific(double(clause, value)?, clause.number.unwrap_or_default()),
        ('b', Value::Bool(set)) => *out += if *set { "1" } else { "0" },
        ('b' | 'o' | 'x' | 'X', Value::Int(number)) => {
            *out += if *number < 0 { "-" } else { "" };
            *out += &radix(clause.verb, number.unsigned_abs());
        }
        ('b' | 'o' | 'x' | 'X', Value::Uint(number)) => *out += &radix(clause.verb, *number),
        ('x' | 'X', Value::String(text)) => hex(clause.verb, text.as_bytes(), out),
        ('x' | 'X', Value::Bytes(bytes)) => hex(clause.verb, bytes, out),
        (_, value) => return wrong(clause.unfit(value.type_name())),
    }
    Ok(())
}

/// A double, or a text that is none of them and yet passes for one.
fn double(clause: Clause, value: &Value<'_>) -> Result<f64, EvalError> {
    match value {
        Value::Double(number) => Ok(*number),
        Value::String(text) if &**text == "NaN" => Ok(f64::NAN),
        Value::String(text) if &**text == "Infinity" => Ok(f64::INFINITY),
        Value::String(text) if &**text == "-Infinity" => Ok(f64::NEG_INFINITY),
        other => wrong(clause.unfit(other.type_name())),
    }
}

/// What stands for numbers that have no digits, in English.
fn special(number: f64) -> Option<&'static str> {
    match number {
        number if number.is_nan() => Some("NaN"),
        f64::INFINITY => Some("∞"),
        f64::NEG_INFINITY => Some("-∞"),
        _ => None,
    }
}

/// With a point, and commas between thousands.
fn fixed(number: f64, precision: usize) -> String {
    if let Some(special) = special(number) {
        return special.into();
    }
    let text = format!("{number:.precision$}");
    let (sign, digits) = text.strip_prefix('-').map_or(("", &*text), |digits| ("-", digits));
    let (whole, fraction) = digits.find('.').map_or((digits, ""), |at| digits.split_at(at));
    let mut grouped = String::from(sign);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

/// Times a power of ten.
fn scientific(number: f64, width: usize) -> String {
    let text = special(number).map_or_else(
        || {
            let text = format!("{number:.PRECISION$e}");
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let exponent: i32 = exponent.parse().unwrap_or(0);
            let digits = format!("{:02}", exponent.abs());
            let raised = digits.chars().filter_map(|digit| "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().nth(digit.to_digit(10)? as usize));
            let sign = if exponent < 0 { "⁻" } else { "" };
            format!("{mantissa}×10{sign}{}", raised.collect::<String>())
        },
        str::to_owned,
    );
    format!("{text:>width$}")
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
    match value {
        Value::String(text) => *out += text,
        Value::Null => *out += "null",
        Value::Bool(set) => *out += if *set { "true" } else { "false" },
        Value::Int(number) => *out += &number.to_string(),
        Value::Uint(number) => *out += &number.to_string(),
        Value::Double(number) => *out += &double_text(*number),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => *out += text,
            Err(_) => {
                let why = "invalid UTF-8 in bytes, cannot convert to string";
                return wrong(format!("error during formatting: could not convert argument {why:?} to string"));
            }
        },
        Value::Timestamp(time) => *out += &time.to_string(),
        Value::Duration(nanos) => *out += &seconds_text(*nanos),
        Value::Type(name) => *out += name,
        Value::List(list) => {
            out.push('[');
            for (index, item) in list.iter().enumerate() {
                *out += if index > 0 { ", " } else { "" };
                quote(&item, out, budget)?;
            }
            out.push(']');
        }
        Value::Map(map) => {
            let mut entries = Vec::with_capacity(map.len());
            for key in map.keys() {
                let (mut name, mut shown) = (String::new(), String::new());
                quote(&key, &mut name, budget)?;
                quote(&map.entry(&key).unwrap_or(Value::Null), &mut shown, budget)?;
                entries.push((name, shown));
            }
            entries.sort();
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                *out += if index > 0 { ", " } else { "" };
                *out += &format!("{key}:{value}");
            }
            out.push('}');
        }
        other => return wrong(STRING.unfit(other.type_name())),
    }
    Ok(())
}

const STRING: Clause = Clause { verb: 's', number: None };

/// A part of a list or map, as an expression would have it.
fn quote(value: &Value<'_>, out: &mut String, budget: &mut Budget) -> Result<(), EvalError> {
    budget.charge(1)?;
    let start = out.len();
    match value {
        Value::Double(number) if !number.is_finite() => *out += &format!("{:?}", double_text(*number)),
        Value::Double(number) => *out += &format!("{number:.PRECISION$}"),
        Value::String(text) => *out += &format!("{:?}", &**text),
        Value::Bytes(_) => {
            let mut text = String::new();
            show(value, &mut text, budget)?;
            *out += &format!("b{text:?}");
        }
        Value::Timestamp(time) => *out += &format!("timestamp({:?})", time.to_string()),
        Value::Duration(nanos) => *out += &format!("duration({:?})", seconds_text(*nanos)),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Type(_)
        | Value::List(_)
        | Value::Map(_) => show(value, out, budget)?,
        other => {
            return wrong(format!("error during formatting: no formatting function for {}", other.type_name()));
        }
    }
    budget.charge_walk(out.len() - start)
}
