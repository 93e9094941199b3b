//! What calls cost, by their arguments and what they have made of them. The units are upstream's, and so
//! are the figures.
//!
//! Upstream: `costCall` in `cel-go/interpreter/runtimecost.go`, `CallCost` in
//! `apiserver/pkg/cel/library/cost.go`.

use crate::estimate::LIST;
use crate::estimate::calls::{PATTERN, WALK};
use crate::library::Overload;
use crate::types::Type;
use crate::value::Value;

/// Tells what one call costs.
pub(crate) type Meter = fn(&Used<'_, '_>) -> u64;

/// A call that has been made; a receiver is its first argument.
pub(crate) struct Used<'b, 'a> {
    /// Which overload it was, if that was known before.
    pub(crate) overload: Option<&'static Overload>,
    pub(crate) arguments: &'b [Value<'a>],
    /// None is an error.
    pub(crate) result: Option<&'b Value<'a>>,
}

impl Used<'_, '_> {
    /// The size of an argument.
    pub(crate) fn size(&self, index: usize) -> u64 {
        self.arguments.get(index).map_or(1, size)
    }

    /// Whether it was known before that an argument is a text or bytes.
    pub(crate) fn is_text(&self, index: usize) -> bool {
        matches!(self.parameter(index), Some(Type::String | Type::Bytes))
    }

    /// What was known of the type of an argument.
    pub(crate) fn parameter(&self, index: usize) -> Option<&'static Type> {
        self.overload?.parameters.get(index)
    }
}

/// Characters, bytes, elements, members; one of what has no size.
pub(crate) fn size(value: &Value<'_>) -> u64 {
    let size = match value {
        Value::String(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        Value::Optional(Some(inner)) => return size(inner),
        Value::Ip(address) => {
            if address.is_ipv4() {
                4
            } else {
                16
            }
        }
        Value::Cidr(range) => usize::from(range.prefix_len()).div_ceil(8),
        _ => 1,
    };
    size as u64
}

/// A size times a factor, rounded up.
pub(crate) fn scaled(size: u64, factor: f64) -> u64 {
    // Conversions from floats saturate.
    (size as f64 * factor).ceil() as u64
}

/// A step, whatever the arguments.
pub(crate) fn one(_: &Used<'_, '_>) -> u64 {
    1
}

/// A walk over the first argument.
pub(crate) fn walk(used: &Used<'_, '_>) -> u64 {
    scaled(used.size(0), WALK)
}

/// Two walks over the first argument.
pub(crate) fn walk_twice(used: &Used<'_, '_>) -> u64 {
    scaled(used.size(0), 2.0 * WALK)
}

/// Two walks over the result.
pub(crate) fn make(used: &Used<'_, '_>) -> u64 {
    scaled(used.result.map_or(1, size), 2.0 * WALK)
}

/// Applies the pattern that is the second argument to the text that is the first one.
pub(crate) fn pattern(used: &Used<'_, '_>) -> u64 {
    matching(used.size(0), used.size(1))
}

/// Applies a pattern of one length to a text of another. The text counts as one longer, as a pattern
/// costs something on no text, too.
pub(crate) fn matching(text: u64, pattern: u64) -> u64 {
    scaled(text.saturating_add(1), WALK).saturating_mul(scaled(pattern, PATTERN))
}

/// Compares two values until one of them ends.
pub(crate) fn shorter(used: &Used<'_, '_>) -> u64 {
    scaled(used.size(0).min(used.size(1)), WALK)
}

/// Walks over all in the first argument, as deep as it goes. What a text is short of ten bytes is free.
pub(crate) fn traverse(used: &Used<'_, '_>) -> u64 {
    used.arguments.first().map_or(0, traversal)
}

fn traversal(value: &Value<'_>) -> u64 {
    let text = |length: usize| (length as f64 * WALK) as u64;
    match value {
        Value::String(of) => text(of.len()),
        Value::Bytes(of) => text(of.len()),
        Value::List(list) => list.iter().map(|item| traversal(&item)).sum(),
        Value::Map(map) => {
            let entries =
                map.keys().into_iter().map(|key| traversal(&key) + map.entry(&key).map_or(1, |v| traversal(&v)));
            entries.sum()
        }
        _ => 1,
    }
}

/// A list of the size of the result.
pub(crate) fn list(used: &Used<'_, '_>) -> u64 {
    made(used, 1.0, used.result.map_or(1, size))
}

/// A list for which so many elements are looked at, at this cost for each. A step, if it was not known
/// which list it would be.
pub(crate) fn made(used: &Used<'_, '_>, each: f64, elements: u64) -> u64 {
    match used.overload {
        Some(_) => ((elements as f64 * each) as u64).saturating_add(1 + LIST),
        None => 1,
    }
}

#[cfg(test)]
mod tests;
