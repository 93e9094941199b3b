//! Functions and operators: a table per family, with signatures as text.
//!
//! Upstream: `cel-go/common/stdlib`, `cel-go/ext`, `apiserver/pkg/cel/library`.

pub(crate) mod authorizer;
pub(crate) mod conversions;
pub(crate) mod formats;
mod lists;
mod network;
mod numbers;
pub(crate) mod operators;
mod optionals;
pub(crate) mod printf;
mod quantities;
pub(crate) mod regex;
pub(crate) mod sequences;
mod sets;
mod strings;
mod times;
pub(crate) mod urls;
mod versions;

use crate::ast::{Kind, Select, Style};
use crate::cost::{self, Meter};
use crate::estimate::calls::{self, Estimator};
use crate::types::{self, Type};
use crate::value::Value;
use crate::{Budget, EvalError};
use ::regex::Regex;
use std::collections::HashMap;
use std::sync::LazyLock;

/// A function as its family's table has it.
pub(crate) struct Function {
    /// The name, with its namespace.
    pub(crate) name: &'static str,
    pub(crate) style: Style,
    /// `receiver, argument -> result`, one for each overload.
    pub(crate) overloads: &'static [&'static str],
    pub(crate) call: Call,
    /// What a call may cost, by what is known before it runs.
    pub(crate) estimate: Estimator,
    /// What a call has cost.
    pub(crate) meter: Meter,
}

impl Function {
    /// Sets what a call costs; without, it costs one.
    const fn metered(self, meter: Meter) -> Self {
        Self { meter, ..self }
    }

    /// Sets what a call may cost; without, it costs one.
    const fn estimated(self, estimate: Estimator) -> Self {
        Self { estimate, ..self }
    }
}

/// What a call runs.
#[derive(Clone, Copy)]
pub(crate) enum Call {
    /// A function of its arguments.
    Plain(for<'a, 'b> fn(&'b [Value<'a>], &'b mut Budget) -> Result<Value<'a>, EvalError>),
    /// Its second argument is a regular expression.
    Pattern(for<'a, 'b> fn(&'b [Value<'a>], &'b Regex, &'b mut Budget) -> Result<Value<'a>, EvalError>),
}

/// A function called by its name alone.
const fn global(
    name: &'static str,
    overloads: &'static [&'static str],
    call: for<'a, 'b> fn(&'b [Value<'a>], &'b mut Budget) -> Result<Value<'a>, EvalError>,
) -> Function {
    Function { name, style: Style::Global, overloads, call: Call::Plain(call), estimate: calls::one, meter: cost::one }
}

/// A method.
const fn member(
    name: &'static str,
    overloads: &'static [&'static str],
    call: for<'a, 'b> fn(&'b [Value<'a>], &'b mut Budget) -> Result<Value<'a>, EvalError>,
) -> Function {
    Function { name, style: Style::Member, overloads, call: Call::Plain(call), estimate: calls::one, meter: cost::one }
}

/// A function with its signatures read.
pub(crate) struct Entry {
    pub(crate) overloads: Vec<Overload>,
    pub(crate) call: Call,
    pub(crate) estimate: Estimator,
    pub(crate) meter: Meter,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("overloads", &self.overloads).finish_non_exhaustive()
    }
}

/// One signature.
#[derive(Debug)]
pub(crate) struct Overload {
    pub(crate) parameters: Vec<Type>,
    pub(crate) result: Type,
}

const FAMILIES: &[&[Function]] = &[
    operators::FUNCTIONS,
    conversions::FUNCTIONS,
    numbers::FUNCTIONS,
    strings::FUNCTIONS,
    printf::FUNCTIONS,
    regex::FUNCTIONS,
    lists::FUNCTIONS,
    sequences::FUNCTIONS,
    sets::FUNCTIONS,
    optionals::FUNCTIONS,
    times::FUNCTIONS,
    urls::FUNCTIONS,
    network::FUNCTIONS,
    quantities::FUNCTIONS,
    versions::FUNCTIONS,
    formats::FUNCTIONS,
    authorizer::FUNCTIONS,
];

/// Functions by their names.
type Entries = HashMap<&'static str, Entry>;

static GLOBALS: LazyLock<Entries> = LazyLock::new(|| entries(Style::Global));
static MEMBERS: LazyLock<Entries> = LazyLock::new(|| entries(Style::Member));

fn entries(style: Style) -> Entries {
    let all = FAMILIES.iter().flat_map(|family| family.iter()).filter(|function| function.style == style);
    all.map(|function| {
        let overloads = function.overloads.iter().filter_map(|text| overload(text)).collect();
        (function.name, Entry { overloads, call: function.call, estimate: function.estimate, meter: function.meter })
    })
    .collect()
}

/// The function of this name, if there is one.
pub(crate) fn find(name: &str, style: Style) -> Option<&'static Entry> {
    match style {
        Style::Global => GLOBALS.get(name),
        Style::Member => MEMBERS.get(name),
    }
}

/// `a ? b : c`, which runs without a function.
pub(crate) static CONDITIONAL: LazyLock<Vec<Overload>> =
    LazyLock::new(|| ["bool, A, A -> A"].into_iter().filter_map(overload).collect());

/// What `transformMap` and `transformMapEntry` put entries into their maps with.
pub(crate) static INSERT: LazyLock<Vec<Overload>> = LazyLock::new(|| {
    ["map(A, B), A, B -> map(A, B)", "map(A, B), map(A, B) -> map(A, B)"].into_iter().filter_map(overload).collect()
});

fn overload(text: &str) -> Option<Overload> {
    let (parameters, result) = text.split_once("->")?;
    let parameters = split(parameters).into_iter().map(types::parse).collect::<Option<_>>()?;
    Some(Overload { parameters, result: types::parse(result)? })
}

/// Splits at commas outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// The type that a path of names means: well-known ones, and those of Kubernetes that have a name in expressions.
pub(crate) fn type_path(select: &Select) -> Option<&'static str> {
    match (&select.operand.kind, &*select.field) {
        (Kind::Ident(root), "IP") if &**root == "net" => Some("net.IP"),
        (Kind::Ident(root), "CIDR") if &**root == "net" => Some("net.CIDR"),
        (Kind::Select(outer), field) if &*outer.field == "protobuf" => {
            let Kind::Ident(root) = &outer.operand.kind else { return None };
            let known = match field {
                "Timestamp" => "google.protobuf.Timestamp",
                "Duration" => "google.protobuf.Duration",
                _ => return None,
            };
            (&**root == "google").then_some(known)
        }
        _ => None,
    }
}

/// An argument that is a text.
fn text<'b>(arguments: &'b [Value<'_>], index: usize) -> Result<&'b str, EvalError> {
    arguments.get(index).and_then(Value::as_str).ok_or(EvalError::NoOverload)
}

/// An argument that is an integer.
fn int(arguments: &[Value<'_>], index: usize) -> Result<i64, EvalError> {
    match arguments.get(index) {
        Some(Value::Int(number)) => Ok(*number),
        _ => Err(EvalError::NoOverload),
    }
}

/// An error about a value.
fn wrong<T>(message: String) -> Result<T, EvalError> {
    Err(EvalError::Argument(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signature_is_read() {
        for function in FAMILIES.iter().flat_map(|family| family.iter()) {
            for text in function.overloads {
                assert!(overload(text).is_some(), "{}: {text}", function.name);
            }
        }
    }
}
