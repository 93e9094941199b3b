//! What a template can call. Upstream: Go's `text/template/funcs.go`, kubectl's `exists` and
//! `base64decode`.

use super::{Val, format};
use apimachinery::Value;
use apimachinery::codec::base64;
use std::borrow::Cow;
use std::cmp::Ordering;

/// Why a call does not work.
#[derive(Debug)]
pub(super) enum CallError {
    /// Too few or too many arguments.
    Count {
        /// What the function takes.
        want: &'static str,
        /// What it got.
        got: usize,
    },
    /// What the function says.
    Failed(String),
}

fn failed<T>(what: impl Into<String>) -> Result<T, CallError> {
    Err(CallError::Failed(what.into()))
}

/// Whether there is such a function.
pub(super) fn exists(name: &str) -> bool {
    let names = [
        "and",
        "or",
        "not",
        "html",
        "js",
        "urlquery",
        "index",
        "slice",
        "len",
        "print",
        "printf",
        "println",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "exists",
        "base64decode",
    ];
    names.contains(&name)
}

/// Calls a function.
pub(super) fn call<'a>(name: &str, mut arguments: Vec<Val<'a>>) -> Result<Val<'a>, CallError> {
    let got = arguments.len();
    let (least, most, want) = match name {
        "and" | "or" | "index" | "slice" | "printf" | "eq" | "exists" => (1, usize::MAX, "at least 1"),
        "not" | "len" | "base64decode" => (1, 1, "1"),
        "ne" | "lt" | "le" | "gt" | "ge" => (2, 2, "2"),
        _ => (0, usize::MAX, "at least 0"),
    };
    if !(least..=most).contains(&got) {
        return Err(CallError::Count { want, got });
    }
    Ok(match name {
        "and" | "or" => arguments.pop().unwrap_or(Val::Missing),
        "not" => Val::flag(!arguments[0].is_true()),
        "index" => index(arguments)?,
        "slice" => slice(&arguments)?,
        "len" => len(&arguments[0])?,
        "print" => Val::text(sprint(&arguments)),
        "println" => {
            let words: Vec<String> = arguments.iter().map(format::text).collect();
            Val::text(words.join(" ") + "\n")
        }
        "printf" => match arguments[0].as_str() {
            Some(pattern) => Val::text(format::printf(pattern, &arguments[1..])),
            None => return failed(format!("wrong type for value; expected string; got {}", arguments[0].type_name())),
        },
        "html" => Val::text(html(&sprint(&arguments))),
        "js" => Val::text(js(&sprint(&arguments))),
        "urlquery" => Val::text(form_urlencoded::byte_serialize(sprint(&arguments).as_bytes()).collect::<String>()),
        "eq" => Val::flag(equals(&arguments)?),
        "ne" => Val::flag(!equal(&arguments[0], &arguments[1])?),
        "lt" => Val::flag(order(&arguments)? == Ordering::Less),
        "le" => Val::flag(order(&arguments)? != Ordering::Greater),
        "gt" => Val::flag(order(&arguments)? == Ordering::Greater),
        "ge" => Val::flag(order(&arguments)? != Ordering::Less),
        "exists" => Val::flag(index(arguments).is_ok_and(|v| v != Val::Missing)),
        "base64decode" => decode(&arguments[0])?,
        other => return failed(format!("{other:?} is not a defined function")),
    })
}

fn index<'a>(arguments: Vec<Val<'a>>) -> Result<Val<'a>, CallError> {
    let mut arguments = arguments.into_iter();
    let mut value = arguments.next().unwrap_or(Val::Missing);
    for key in arguments {
        let data = match value {
            Val::Data(data) if !data.is_null() => data,
            Val::Missing | Val::Data(_) => return failed("index of untyped nil"),
            Val::Int(_) => return failed("can't index item of type int"),
        };
        value = match (&*data, &key) {
            (Value::Object(_), key) => match key.as_str() {
                Some(name) => get(data, |d| d.get(name)).map_or(Val::Missing, Val::Data),
                None => return failed(format!("value has type {}; should be string", key.type_name())),
            },
            (Value::Array(list), Val::Int(i)) => match usize::try_from(*i).ok().filter(|i| *i < list.len()) {
                Some(i) => get(data, |d| d.get(i)).map_or(Val::Missing, Val::Data),
                None => return failed(format!("index out of range: {i}")),
            },
            (Value::Array(_), key) => return failed(format!("cannot index slice/array with type {}", key.type_name())),
            (Value::String(text), Val::Int(i)) => match usize::try_from(*i).ok().and_then(|i| text.as_bytes().get(i)) {
                Some(byte) => Val::Int(i64::from(*byte)),
                None => return failed(format!("index out of range: {i}")),
            },
            _ => return failed(format!("can't index item of type {}", Val::Data(data).type_name())),
        };
    }
    Ok(value)
}

fn get<'a>(data: Cow<'a, Value>, find: impl Fn(&Value) -> Option<&Value>) -> Option<Cow<'a, Value>> {
    match data {
        Cow::Borrowed(data) => find(data).map(Cow::Borrowed),
        Cow::Owned(data) => find(&data).cloned().map(Cow::Owned),
    }
}

fn slice<'a>(arguments: &[Val<'a>]) -> Result<Val<'a>, CallError> {
    let Val::Data(data) = &arguments[0] else { return failed("slice of untyped nil") };
    let length = match &**data {
        Value::String(text) => text.len(),
        Value::Array(list) => list.len(),
        other => return failed(format!("can't slice item of type {}", Val::Data(Cow::Borrowed(other)).type_name())),
    };
    let bound = |i: usize, default: usize| match arguments.get(i) {
        None => Ok(default),
        Some(Val::Int(n)) => match usize::try_from(*n).ok().filter(|n| *n <= length) {
            Some(n) => Ok(n),
            None => failed(format!("index out of range: {n}")),
        },
        Some(other) => failed(format!("cannot index slice/array with type {}", other.type_name())),
    };
    let (from, to) = (bound(1, 0)?, bound(2, length)?);
    if from > to {
        return failed(format!("invalid slice index: {from} > {to}"));
    }
    Ok(match &**data {
        Value::Array(list) => Val::Data(Cow::Owned(Value::Array(list[from..to].to_vec()))),
        other => Val::text(String::from_utf8_lossy(&other.as_str().unwrap_or_default().as_bytes()[from..to])),
    })
}

fn len<'a>(value: &Val<'_>) -> Result<Val<'a>, CallError> {
    let length = match value {
        Val::Data(data) => match &**data {
            Value::String(text) => text.len(),
            Value::Array(list) => list.len(),
            Value::Object(map) => map.len(),
            Value::Null => return failed("len of nil pointer"),
            _ => return failed(format!("len of type {}", value.type_name())),
        },
        _ => return failed(format!("len of type {}", value.type_name())),
    };
    Ok(Val::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

/// `Sprint`: a blank between two arguments neither of which is text.
fn sprint(arguments: &[Val<'_>]) -> String {
    let mut out = String::new();
    for (i, value) in arguments.iter().enumerate() {
        if i > 0 && value.as_str().is_none() && arguments[i - 1].as_str().is_none() {
            out.push(' ');
        }
        out.push_str(&format::text(value));
    }
    out
}

fn html(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\0' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn js(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

fn equals(arguments: &[Val<'_>]) -> Result<bool, CallError> {
    let Some((first, others @ [_, ..])) = arguments.split_first() else {
        return failed("missing argument for comparison");
    };
    for other in others {
        if equal(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(left: &Val<'_>, right: &Val<'_>) -> Result<bool, CallError> {
    for value in [left, right] {
        if matches!(value.type_name(), "[]interface {}" | "map[string]interface {}") {
            return failed(format!("uncomparable type {}: {}", value.type_name(), format::text(value)));
        }
    }
    match (left.type_name(), right.type_name()) {
        ("nil", "nil") => Ok(true),
        ("nil", _) | (_, "nil") => Ok(false),
        (a, b) if a != b => failed("incompatible types for comparison"),
        ("float64", _) => Ok(float(left) == float(right)),
        _ => Ok(left == right),
    }
}

fn float(value: &Val<'_>) -> Option<f64> {
    match value {
        Val::Data(data) => data.as_f64(),
        _ => None,
    }
}

fn order(arguments: &[Val<'_>]) -> Result<Ordering, CallError> {
    let [left, right] = arguments else { return failed("missing argument for comparison") };
    match (left, right) {
        (Val::Int(a), Val::Int(b)) => Ok(a.cmp(b)),
        _ => match (left.as_str(), right.as_str(), float(left), float(right)) {
            (Some(a), Some(b), ..) => Ok(a.cmp(b)),
            (_, _, Some(a), Some(b)) => Ok(a.partial_cmp(&b).unwrap_or(Ordering::Equal)),
            _ if left.type_name() == right.type_name() => failed("invalid type for comparison"),
            _ => failed("incompatible types for comparison"),
        },
    }
}

fn decode<'a>(value: &Val<'_>) -> Result<Val<'a>, CallError> {
    let text = format::text(value);
    match base64::decode(&text) {
        Ok(bytes) => Ok(Val::text(String::from_utf8_lossy(&bytes))),
        Err(_) => failed("base64 decode failed"),
    }
}
