//! Quantities.
//!
//! Upstream: `apiserver/pkg/cel/library/quantity.go`.

use super::{Function, global, member, text, wrong};
use crate::EvalError;
use crate::cost;
use crate::estimate::calls;
use crate::value::Value;
use apimachinery::quantity::{Format, Quantity};

const ARITHMETIC: &[&str] = &["quantity, quantity -> quantity", "quantity, int -> quantity"];

pub(super) const FUNCTIONS: &[Function] = &[
    global("quantity", &["string -> quantity"], |a, _| match text(a, 0)?.parse() {
        Ok(quantity) => Ok(Value::Quantity(quantity)),
        Err(error) => wrong(format!("{error}")),
    })
    .estimated(calls::walk)
    .metered(cost::walk),
    global("isQuantity", &["string -> bool"], |a, _| Ok(Value::Bool(text(a, 0)?.parse::<Quantity>().is_ok())))
        .estimated(calls::walk)
        .metered(cost::walk),
    // Upstream declares it so.
    global("sign", &["quantity -> int"], |a, _| {
        let quantity = quantity(a, 0)?;
        Ok(Value::Int(if quantity.is_zero() {
            0
        } else if quantity.is_negative() {
            -1
        } else {
            1
        }))
    }),
    member("isInteger", &["quantity -> bool"], |a, _| Ok(Value::Bool(whole(quantity(a, 0)?).is_some()))),
    member("asInteger", &["quantity -> int"], |a, _| {
        whole(quantity(a, 0)?).map_or_else(|| wrong("cannot convert value to integer".into()), |n| Ok(Value::Int(n)))
    }),
    member("asApproximateFloat", &["quantity -> double"], |a, _| {
        let quantity = quantity(a, 0)?;
        let fraction = quantity.milli_value();
        // Beyond the range of thousandths, whole units are precise enough.
        let saturated = fraction == i64::MAX || fraction == i64::MIN;
        Ok(Value::Double(if saturated { quantity.value() as f64 } else { fraction as f64 / 1000.0 }))
    }),
    member("isLessThan", &["quantity, quantity -> bool", "semver, semver -> bool"], |a, _| {
        Ok(Value::Bool(super::versions::order(a)?.is_lt()))
    }),
    member("isGreaterThan", &["quantity, quantity -> bool", "semver, semver -> bool"], |a, _| {
        Ok(Value::Bool(super::versions::order(a)?.is_gt()))
    }),
    member("compareTo", &["quantity, quantity -> int", "semver, semver -> int"], |a, _| {
        Ok(Value::Int(super::versions::order(a)? as i64))
    }),
    member("add", ARITHMETIC, |a, _| Ok(Value::Quantity(*quantity(a, 0)? + other(a)?))),
    member("sub", ARITHMETIC, |a, _| Ok(Value::Quantity(*quantity(a, 0)? - other(a)?))),
];

fn quantity<'b>(a: &'b [Value<'_>], index: usize) -> Result<&'b Quantity, EvalError> {
    match a.get(index) {
        Some(Value::Quantity(quantity)) => Ok(quantity),
        _ => Err(EvalError::NoOverload),
    }
}

fn other(a: &[Value<'_>]) -> Result<Quantity, EvalError> {
    match &a[1] {
        Value::Int(number) => Ok(Quantity::from_units(*number, Format::DecimalSi)),
        _ => quantity(a, 1).cloned(),
    }
}

/// The amount in whole units, if it is whole and fits.
fn whole(quantity: &Quantity) -> Option<i64> {
    let units = quantity.value();
    // What is saturated has been too large, and upstream takes the largest for that, too.
    if units == i64::MAX || units == i64::MIN {
        return None;
    }
    (Quantity::from_units(units, quantity.format()) == *quantity).then_some(units)
}
