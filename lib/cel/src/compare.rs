//! Equality and order between values of any types.
//!
//! Upstream: `cel-go/common/types` (`Equal`, `Compare`).

use crate::value::{List, Map, Value};
use crate::{Budget, EvalError};
use std::cmp::Ordering;

/// Whether two values are equal; values of different types are not, numbers aside.
pub(crate) fn equal(a: &Value<'_>, b: &Value<'_>, budget: &mut Budget) -> Result<bool, EvalError> {
    Ok(match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::String(a), Value::String(b)) => {
            budget.charge_walk(a.len().min(b.len()))?;
            **a == **b
        }
        (Value::Bytes(a), Value::Bytes(b)) => {
            budget.charge_walk(a.len().min(b.len()))?;
            a == b
        }
        (Value::List(a), Value::List(b)) => lists(a, b, budget)?,
        (Value::Map(a), Value::Map(b)) => maps(a, b, budget)?,
        (Value::Optional(a), Value::Optional(b)) => match (a, b) {
            (Some(a), Some(b)) => equal(a, b, budget)?,
            (None, None) => true,
            _ => false,
        },
        (Value::Type(a), Value::Type(b)) => a == b,
        (Value::Url(a), Value::Url(b)) => a == b,
        (Value::Ip(a), Value::Ip(b)) => a == b,
        (Value::Cidr(a), Value::Cidr(b)) => a == b,
        (Value::Format(a), Value::Format(b)) => std::ptr::eq(*a, *b),
        _ => order(a, b) == Some(Ordering::Equal),
    })
}

fn lists(a: &List<'_>, b: &List<'_>, budget: &mut Budget) -> Result<bool, EvalError> {
    if a.len() != b.len() {
        return Ok(false);
    }
    if a.is_unordered() || b.is_unordered() {
        return Ok(contains_all(a, b, budget)? && contains_all(b, a, budget)?);
    }
    for (a, b) in a.iter().zip(b.iter()) {
        budget.charge(1)?;
        if !equal(&a, &b, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether every element of `b` is in `a`.
pub(crate) fn contains_all(a: &List<'_>, b: &List<'_>, budget: &mut Budget) -> Result<bool, EvalError> {
    for element in b.iter() {
        if !contains(a, &element, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether an element is in a list.
pub(crate) fn contains(list: &List<'_>, element: &Value<'_>, budget: &mut Budget) -> Result<bool, EvalError> {
    for candidate in list.iter() {
        budget.charge(1)?;
        if equal(&candidate, element, budget)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn maps(a: &Map<'_>, b: &Map<'_>, budget: &mut Budget) -> Result<bool, EvalError> {
    if a.len() != b.len() {
        return Ok(false);
    }
    for key in a.keys() {
        budget.charge(1)?;
        // Keys of the other map live as long as its values do: look them up by text or number.
        let (Some(left), Some(right)) = (a.entry(&key), lookup(b, &key)) else { return Ok(false) };
        if !equal(&left, &right, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// An entry by a key of another map.
fn lookup<'b>(map: &Map<'b>, key: &Value<'_>) -> Option<Value<'b>> {
    match key {
        Value::String(text) => map.get(text),
        Value::Bool(set) => map.entry(&Value::Bool(*set)),
        Value::Int(number) => map.entry(&Value::Int(*number)),
        Value::Uint(number) => map.entry(&Value::Uint(*number)),
        _ => None,
    }
}

/// The order of two values; `None` if they have none.
pub(crate) fn order(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::String(a), Value::String(b)) => Some((**a).cmp(&**b)),
        (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
        (Value::Timestamp(a), Value::Timestamp(b)) => Some(a.cmp(b)),
        (Value::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
        (Value::Quantity(a), Value::Quantity(b)) => Some(a.cmp(b)),
        (Value::Semver(a), Value::Semver(b)) => Some(a.cmp_precedence(b)),
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Uint(a), Value::Uint(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Uint(a), Value::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Double(a), Value::Int(b)) => number_order(*a, i128::from(*b)),
        (Value::Double(a), Value::Uint(b)) => number_order(*a, i128::from(*b)),
        (Value::Int(a), Value::Double(b)) => number_order(*b, i128::from(*a)).map(Ordering::reverse),
        (Value::Uint(a), Value::Double(b)) => number_order(*b, i128::from(*a)).map(Ordering::reverse),
        _ => None,
    }
}

/// A double against an integer, exactly.
fn number_order(a: f64, b: i128) -> Option<Ordering> {
    if a.is_nan() {
        return None;
    }
    let whole = a.floor();
    // Casts of floats saturate, and no integer here comes near the bounds of i128.
    Some((whole as i128).cmp(&b).then(if a > whole { Ordering::Greater } else { Ordering::Equal }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_across_types() {
        for (a, b, want) in [
            (Value::Int(1), Value::Uint(1), Some(Ordering::Equal)),
            (Value::Double(1.5), Value::Int(1), Some(Ordering::Greater)),
            (Value::Int(i64::MAX), Value::Double(1e300), Some(Ordering::Less)),
            (Value::Double(f64::NAN), Value::Int(1), None),
            (Value::Int(-1), Value::Uint(u64::MAX), Some(Ordering::Less)),
            (Value::Int(1), Value::text("1"), None),
        ] {
            assert_eq!(order(&a, &b), want, "{a:?} {b:?}");
        }
    }
}
