//! Values as text: Go's `%v` and `Printf`. Upstream: Go's `fmt`.

use super::Val;
use apimachinery::Value;
use std::fmt::Write as _;

/// Appends what a template prints for a value.
pub(super) fn write(out: &mut String, value: &Val<'_>) {
    match value {
        Val::Missing => out.push_str("<no value>"),
        Val::Data(data) if data.is_null() => out.push_str("<no value>"),
        other => out.push_str(&text(other)),
    }
}

/// `%v`.
pub(super) fn text(value: &Val<'_>) -> String {
    match value {
        Val::Missing => "<nil>".into(),
        Val::Int(number) => number.to_string(),
        Val::Data(data) => print_floats(data),
    }
}

/// `%v` of JSON whose whole numbers are integers.
pub fn print(value: &Value) -> String {
    tree(value, &|number| match number.as_f64() {
        Some(float) if number.is_f64() => crate::print::go_float(float),
        _ => number.to_string(),
    })
}

/// `%v` of JSON as a template sees it: all numbers are floats.
pub(super) fn print_floats(value: &Value) -> String {
    tree(value, &|number| crate::print::go_float(number.as_f64().unwrap_or_default()))
}

fn tree(value: &Value, number: &dyn Fn(&serde_json::Number) -> String) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(value) => number(value),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(|v| tree(v, number)).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let entries: Vec<String> = map.iter().map(|(k, v)| format!("{k}:{}", tree(v, number))).collect();
            format!("map[{}]", entries.join(" "))
        }
    }
}

/// A `%` with what stands between it and its verb.
#[derive(Default)]
struct Spec {
    left: bool,
    zero: bool,
    plus: bool,
    width: usize,
    precision: Option<usize>,
}

/// Widest field; wider ones would only fill memory.
const MAX_WIDTH: usize = 1000;

/// `Printf`.
pub(super) fn printf(format: &str, arguments: &[Val<'_>]) -> String {
    let mut out = String::new();
    let mut arguments_left = arguments.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let spec = spec(&mut chars);
        let Some(verb) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        match arguments_left.next() {
            None => {
                let _ = write!(out, "%!{verb}(MISSING)");
            }
            Some(value) => pad(&mut out, &spec, &one(verb, &spec, value)),
        }
    }
    let extra: Vec<String> = arguments_left.map(|v| format!("{}={}", v.type_name(), text(v))).collect();
    if !extra.is_empty() {
        let _ = write!(out, "%!(EXTRA {})", extra.join(", "));
    }
    out
}

fn spec(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Spec {
    let mut spec = Spec::default();
    while let Some(flag) = chars.next_if(|c| matches!(c, '-' | '0' | '+' | ' ' | '#')) {
        match flag {
            '-' => spec.left = true,
            '0' => spec.zero = true,
            '+' => spec.plus = true,
            _ => {}
        }
    }
    let mut number = || {
        let mut number = 0usize;
        while let Some(digit) = chars.next_if(char::is_ascii_digit) {
            number = (number * 10 + digit.to_digit(10).unwrap_or(0) as usize).min(MAX_WIDTH);
        }
        (number, chars.peek() == Some(&'.'))
    };
    let (width, has_precision) = number();
    spec.width = width;
    if has_precision {
        chars.next();
        let mut precision = 0usize;
        while let Some(digit) = chars.next_if(char::is_ascii_digit) {
            precision = (precision * 10 + digit.to_digit(10).unwrap_or(0) as usize).min(MAX_WIDTH);
        }
        spec.precision = Some(precision);
    }
    spec
}

fn pad(out: &mut String, spec: &Spec, text: &str) {
    let missing = spec.width.saturating_sub(text.chars().count());
    match (spec.left, spec.zero) {
        (true, _) => {
            out.push_str(text);
            out.extend(std::iter::repeat_n(' ', missing));
        }
        (false, true) => {
            let (sign, digits) = match text.strip_prefix('-') {
                Some(digits) => ("-", digits),
                None => ("", text),
            };
            out.push_str(sign);
            out.extend(std::iter::repeat_n('0', missing));
            out.push_str(digits);
        }
        (false, false) => {
            out.extend(std::iter::repeat_n(' ', missing));
            out.push_str(text);
        }
    }
}

fn one(verb: char, spec: &Spec, value: &Val<'_>) -> String {
    let float = match value {
        Val::Data(data) => data.as_f64(),
        _ => None,
    };
    let formatted = match (verb, value, float) {
        ('v', ..) => Some(cut(text(value), None)),
        ('T', ..) => Some(value.type_name().to_owned()),
        ('d', Val::Int(n), _) => Some(if spec.plus && *n >= 0 { format!("+{n}") } else { n.to_string() }),
        ('x', Val::Int(n), _) => Some(format!("{n:x}")),
        ('X', Val::Int(n), _) => Some(format!("{n:X}")),
        ('o', Val::Int(n), _) => Some(format!("{n:o}")),
        ('b', Val::Int(n), _) => Some(format!("{n:b}")),
        ('c', Val::Int(n), _) => u32::try_from(*n).ok().and_then(char::from_u32).map(String::from),
        ('f' | 'F', _, Some(f)) => Some(format!("{f:.*}", spec.precision.unwrap_or(6))),
        ('e', _, Some(f)) => Some(crate::print::json::exponent(&format!("{f:.*e}", spec.precision.unwrap_or(6)), 2)),
        ('g', _, Some(f)) => Some(crate::print::go_float(f)),
        ('t', Val::Data(data), _) => data.as_bool().map(|b| b.to_string()),
        ('s', _, _) => value.as_str().map(|s| cut(s.to_owned(), spec.precision)),
        ('q', _, _) => value.as_str().map(apimachinery::go::quoted),
        ('x', _, _) => value.as_str().map(|s| s.bytes().map(|b| format!("{b:02x}")).collect()),
        _ => None,
    };
    formatted.unwrap_or_else(|| match value {
        Val::Missing => format!("%!{verb}(<nil>)"),
        value if value.type_name() == "nil" => format!("%!{verb}(<nil>)"),
        value => format!("%!{verb}({}={})", value.type_name(), text(value)),
    })
}

fn cut(text: String, length: Option<usize>) -> String {
    match length {
        Some(length) => text.chars().take(length).collect(),
        None => text,
    }
}
