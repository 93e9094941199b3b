//! Lists.
//!
//! Upstream: `apiserver/pkg/cel/library/lists.go`.

use super::{Function, member, wrong};
use crate::compare::{equal, order};
use crate::cost;
use crate::estimate::Estimate;
use crate::estimate::calls::{self, Asked, Outcome, WALK};
use crate::types::Type;
use crate::value::{List, Value};
use crate::{Budget, EvalError};
use std::cmp::Ordering;

pub(super) const FUNCTIONS: &[Function] = &[
    member(
        "isSorted",
        &[
            "list(int) -> bool",
            "list(uint) -> bool",
            "list(double) -> bool",
            "list(bool) -> bool",
            "list(string) -> bool",
            "list(bytes) -> bool",
            "list(timestamp) -> bool",
            "list(duration) -> bool",
        ],
        is_sorted,
    )
    .estimated(traversal)
    .metered(cost::traverse),
    member(
        "sum",
        &["list(int) -> int", "list(uint) -> uint", "list(double) -> double", "list(duration) -> duration"],
        sum,
    )
    .estimated(traversal)
    .metered(cost::traverse),
    member("min", EXTREME, |a, b| extreme(a, b, Ordering::Less, "min")).estimated(traversal).metered(cost::traverse),
    member("max", EXTREME, |a, b| extreme(a, b, Ordering::Greater, "max")).estimated(traversal).metered(cost::traverse),
];

const EXTREME: &[&str] = &[
    "list(int) -> int",
    "list(uint) -> uint",
    "list(double) -> double",
    "list(bool) -> bool",
    "list(string) -> string",
    "list(bytes) -> bytes",
    "list(timestamp) -> timestamp",
    "list(duration) -> duration",
];

/// A comparison for each element, which walks over it if it is a text; a walk over what is no list.
pub(super) fn traversal(asked: &Asked<'_, '_>) -> Outcome {
    let one = Estimate::exactly(1);
    match asked.elements(0) {
        Some((Type::String | Type::Bytes, size)) => (asked.size(0) * (one + size.scaled(WALK))).into(),
        Some(_) => asked.size(0).into(),
        None => calls::walk(asked),
    }
}

fn list<'a, 'b>(a: &'b [Value<'a>], budget: &mut Budget) -> Result<&'b List<'a>, EvalError> {
    let list = a[0].as_list().ok_or(EvalError::NoOverload)?;
    budget.charge(list.len() as u64)?;
    Ok(list)
}

fn is_sorted<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    let list = list(a, budget)?;
    let mut previous: Option<Value<'a>> = None;
    for item in list.iter() {
        if let Some(previous) = &previous {
            // What has no order is in order.
            if order(previous, &item) == Some(Ordering::Greater) {
                return Ok(Value::Bool(false));
            }
        }
        previous = Some(item);
    }
    Ok(Value::Bool(true))
}

/// Of nothing it is the integer zero.
fn sum<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    let mut items = list(a, budget)?.iter();
    let Some(mut total) = items.next() else { return Ok(Value::Int(0)) };
    for item in items {
        total = super::numbers::add(&[total, item], budget)?;
    }
    match total {
        Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Duration(_) => Ok(total),
        _ => Err(EvalError::NoOverload),
    }
}

fn extreme<'a>(a: &[Value<'a>], budget: &mut Budget, wanted: Ordering, name: &str) -> Result<Value<'a>, EvalError> {
    let mut items = list(a, budget)?.iter();
    let Some(mut best) = items.next() else { return wrong(format!("{name} called on empty list")) };
    for item in items {
        if order(&item, &best) == Some(wanted) {
            best = item;
        }
    }
    Ok(best)
}

/// `indexOf` and `lastIndexOf`: the position of an element, or -1.
pub(super) fn position<'a>(
    list: &List<'a>,
    wanted: &Value<'a>,
    budget: &mut Budget,
    from_end: bool,
) -> Result<Value<'a>, EvalError> {
    for step in 0..list.len() {
        budget.charge(1)?;
        let index = if from_end { list.len() - 1 - step } else { step };
        if let Some(item) = list.get(index)
            && equal(&item, wanted, budget)?
        {
            return Ok(Value::Int(index as i64));
        }
    }
    Ok(Value::Int(-1))
}
