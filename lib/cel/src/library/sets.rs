//! Lists as sets.
//!
//! Upstream: `cel-go/ext/sets.go`.

use super::{Function, global};
use crate::compare::{contains, contains_all};
use crate::estimate::Estimate;
use crate::estimate::calls::{Asked, Outcome};
use crate::value::{List, Value};
use crate::{Budget, EvalError};

const PAIR: &[&str] = &["list(A), list(A) -> bool"];

pub(super) const FUNCTIONS: &[Function] = &[
    global("sets.contains", PAIR, |a, budget| {
        let (a, b) = lists(a)?;
        Ok(Value::Bool(contains_all(a, b, budget)?))
    })
    .estimated(|asked| pairs(asked, 1))
    .metered(|used| 1 + used.size(0).saturating_mul(used.size(1))),
    global("sets.equivalent", PAIR, |a, budget| {
        let (a, b) = lists(a)?;
        Ok(Value::Bool(contains_all(a, b, budget)? && contains_all(b, a, budget)?))
    })
    .estimated(|asked| pairs(asked, 2))
    .metered(|used| 1 + used.size(0).saturating_mul(used.size(1)).saturating_mul(2)),
    global("sets.intersects", PAIR, |a, budget| {
        let (a, b) = lists(a)?;
        Ok(Value::Bool(intersect(a, b, budget)?))
    })
    .estimated(|asked| pairs(asked, 1))
    .metered(|used| 1 + used.size(0).saturating_mul(used.size(1))),
];

/// So many comparisons for each pair of elements.
fn pairs(asked: &Asked<'_, '_>, comparisons: u64) -> Outcome {
    (asked.size(0) * asked.size(1) * Estimate::exactly(comparisons) + Estimate::exactly(1)).into()
}

fn lists<'a, 'b>(a: &'b [Value<'a>]) -> Result<(&'b List<'a>, &'b List<'a>), EvalError> {
    match a {
        [Value::List(a), Value::List(b)] => Ok((a, b)),
        _ => Err(EvalError::NoOverload),
    }
}

fn intersect(a: &List<'_>, b: &List<'_>, budget: &mut Budget) -> Result<bool, EvalError> {
    for element in b.iter() {
        if contains(a, &element, budget)? {
            return Ok(true);
        }
    }
    Ok(false)
}
