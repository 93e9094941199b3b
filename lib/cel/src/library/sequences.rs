//! Lists that are made of other lists: parts of them, sorted ones, without repetitions.
//!
//! Upstream: `cel-go/ext/lists.go`, version 3.

use super::{Function, global, int, member, wrong};
use crate::compare::{equal, order};
use crate::cost::{self, Used};
use crate::estimate::calls::{Asked, Outcome, WALK};
use crate::estimate::{Estimate, LIST};
use crate::types::Type;
use crate::value::{List, Value};
use crate::{Budget, EvalError};

/// What `list.sortBy(variable, key)` becomes: `list.@sortByAssociatedKeys(list.map(variable, key))`.
pub(crate) const SORT_BY_KEYS: &str = "@sortByAssociatedKeys";

pub(super) const FUNCTIONS: &[Function] = &[
    member("slice", &["list(A), int, int -> list(A)"], slice)
        .estimated(|asked| {
            let start = index(asked, 1, 0);
            let end = index(asked, 2, asked.size(0).max);
            made(1.0, Estimate::exactly(end.wrapping_sub(start)))
        })
        .metered(cost::list),
    member("flatten", &["list(list(A)) -> list(A)", "list(dyn), int -> list(dyn)"], flatten)
        .estimated(|asked| {
            let depth = if asked.len() == 2 { index(asked, 1, u64::MAX) } else { 1 };
            made(depth as f64, asked.size(0))
        })
        .metered(|used| {
            let depth = match used.arguments.get(1) {
                Some(Value::Int(depth)) => *depth as f64,
                _ => 1.0,
            };
            cost::made(used, depth, used.size(0))
        }),
    member("reverse", &["list(A) -> list(A)"], reverse).estimated(|asked| made(1.0, asked.size(0))).metered(cost::list),
    member("distinct", &["list(A) -> list(A)"], distinct)
        .estimated(|asked| made(COMPARISON, asked.size(0) * asked.size(0)))
        .metered(|used| comparisons(used, 0)),
    member(
        "sort",
        &[
            "list(int) -> list(int)",
            "list(uint) -> list(uint)",
            "list(double) -> list(double)",
            "list(bool) -> list(bool)",
            "list(duration) -> list(duration)",
            "list(timestamp) -> list(timestamp)",
            "list(string) -> list(string)",
            "list(bytes) -> list(bytes)",
        ],
        |a, budget| sorted(list(a, 0)?, list(a, 0)?, budget),
    )
    .estimated(|asked| sorting(asked, 0))
    .metered(|used| comparisons(used, 0)),
    member(
        SORT_BY_KEYS,
        &[
            "list(A), list(int) -> list(A)",
            "list(A), list(uint) -> list(A)",
            "list(A), list(double) -> list(A)",
            "list(A), list(bool) -> list(A)",
            "list(A), list(duration) -> list(A)",
            "list(A), list(timestamp) -> list(A)",
            "list(A), list(string) -> list(A)",
            "list(A), list(bytes) -> list(A)",
        ],
        |a, budget| sorted(list(a, 0)?, list(a, 1)?, budget),
    )
    .estimated(|asked| sorting(asked, 1))
    .metered(|used| comparisons(used, 1)),
    global("lists.range", &["int -> list(int)"], range)
        .estimated(|asked| made(1.0, Estimate::exactly(index(asked, 0, u64::MAX))))
        .metered(cost::list),
];

/// What comparing two elements costs.
const COMPARISON: f64 = 2.0;

/// A list of this size, at this cost for each element.
fn made(each: f64, size: Estimate) -> Outcome {
    Outcome::sized(size.scaled(each) + Estimate::exactly(1) + Estimate::exactly(LIST), size)
}

/// Comparing all elements of a list with each other.
fn comparisons(used: &Used<'_, '_>, keys: usize) -> u64 {
    let first = used.arguments.get(keys).and_then(Value::as_list).and_then(|keys| keys.get(0));
    let size = used.size(keys);
    cost::made(used, comparison(first.as_ref()), size.saturating_mul(size))
}

/// What comparing an element with another one costs.
fn comparison(first: Option<&Value<'_>>) -> f64 {
    match first {
        Some(Value::String(_) | Value::Bytes(_)) => COMPARISON + WALK,
        _ => COMPARISON,
    }
}

/// An index that is a constant, or what it may be else.
fn index(asked: &Asked<'_, '_>, argument: usize, unknown: u64) -> u64 {
    asked.constant(argument).map_or(unknown, |number| u64::try_from(number).unwrap_or(0))
}

/// Every key is compared with every other one.
fn sorting(asked: &Asked<'_, '_>, keys: usize) -> Outcome {
    let text = matches!(asked.parameter(keys), Type::List(of) if matches!(**of, Type::String | Type::Bytes));
    let size = asked.size(keys);
    made(if text { COMPARISON + WALK } else { COMPARISON }, size * size)
}

fn list<'a, 'b>(arguments: &'b [Value<'a>], index: usize) -> Result<&'b List<'a>, EvalError> {
    arguments.get(index).and_then(Value::as_list).ok_or(EvalError::NoOverload)
}

/// Charges for a list that is about to be made, at this cost for each of so many elements.
fn charge(budget: &mut Budget, each: f64, elements: u64) -> Result<(), EvalError> {
    // Conversions from floats saturate.
    budget.charge(((elements as f64 * each) as u64).saturating_add(LIST))
}

/// Charges for comparing all elements of a list with each other.
fn charge_comparisons(budget: &mut Budget, list: &List<'_>) -> Result<(), EvalError> {
    let count = list.len() as u64;
    charge(budget, comparison(list.get(0).as_ref()), count.saturating_mul(count))
}

fn slice<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    let (list, start, end) = (list(a, 0)?, int(a, 1)?, int(a, 2)?);
    let (Ok(from), Ok(to)) = (usize::try_from(start), usize::try_from(end)) else {
        return wrong(format!("cannot slice({start}, {end}), negative indexes not supported"));
    };
    if from > to {
        return wrong(format!("cannot slice({start}, {end}), start index must be less than or equal to end index"));
    }
    if to > list.len() {
        return wrong(format!("cannot slice({start}, {end}), list is length {}", list.len()));
    }
    charge(budget, 1.0, (to - from) as u64)?;
    Ok(Value::list((from..to).filter_map(|index| list.get(index)).collect()))
}

/// Takes the elements of lists in the list out of them, as deep as it is told to.
fn flatten<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    let list = list(a, 0)?;
    let depth = if a.len() == 2 { int(a, 1)? } else { 1 };
    let Ok(depth) = u32::try_from(depth.min(i64::from(u32::MAX))) else {
        return wrong("level must be non-negative".into());
    };
    charge(budget, f64::from(depth), list.len() as u64)?;
    let mut items = Vec::new();
    // What is left of each list that is being taken apart, the innermost last.
    let mut open = vec![(list.clone(), 0)];
    while let Some((list, at)) = open.last_mut() {
        let Some(item) = list.get(*at) else {
            open.pop();
            continue;
        };
        *at += 1;
        budget.charge_list(1)?;
        match item {
            Value::List(inner) if open.len() <= depth as usize => open.push((inner, 0)),
            item => items.push(item),
        }
    }
    Ok(Value::list(items))
}

fn reverse<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    let list = list(a, 0)?;
    charge(budget, 1.0, list.len() as u64)?;
    Ok(Value::list((0..list.len()).rev().filter_map(|index| list.get(index)).collect()))
}

/// The first of all elements that are equal.
fn distinct<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    let list = list(a, 0)?;
    charge_comparisons(budget, list)?;
    let mut unique: Vec<Value<'a>> = Vec::new();
    for item in list.iter() {
        let mut seen = false;
        for other in &unique {
            if equal(&item, other, budget)? {
                seen = true;
                break;
            }
        }
        if !seen {
            unique.push(item);
        }
    }
    Ok(Value::list(unique))
}

/// The elements in the order of their keys.
fn sorted<'a>(list: &List<'a>, keys: &List<'a>, budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    if list.len() != keys.len() {
        return wrong(format!(
            "{SORT_BY_KEYS}() expected a list of the same size as the associated keys list, but got {} and {} \
             elements respectively",
            list.len(),
            keys.len()
        ));
    }
    charge_comparisons(budget, keys)?;
    let mut items: Vec<(Value<'a>, Value<'a>)> = keys.iter().zip(list.iter()).collect();
    let Some((first, _)) = items.first() else { return Ok(Value::list(Vec::new())) };
    if order(first, first).is_none() && !matches!(first, Value::Double(_)) {
        return wrong("list elements must be comparable".into());
    }
    let of = first.type_name();
    if items.iter().any(|(key, _)| key.type_name() != of) {
        return wrong("list elements must have the same type".into());
    }
    items.sort_by(|(a, _), (b, _)| order(a, b).unwrap_or(std::cmp::Ordering::Equal));
    Ok(Value::list(items.into_iter().map(|(_, item)| item).collect()))
}

fn range<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    let end = int(a, 0)?.max(0);
    budget.charge_list(usize::try_from(end).unwrap_or(usize::MAX))?;
    Ok(Value::list((0..end).map(Value::Int).collect()))
}
