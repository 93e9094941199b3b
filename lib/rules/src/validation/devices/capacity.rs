//! Capacities, and what may be asked of one that is shared.

use super::super::check::{At, Report};
use super::super::values::quantity;
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::quantity::Quantity;

/// Most values that a policy offers.
const MAX_OPTIONS: usize = 10;

/// A capacity of a device that is allocated once, or several times.
pub(super) fn check(at: &At<'_>, capacity: &Value, is_shared: bool, out: &mut Report) {
    let Some(policy) = capacity.at("requestPolicy") else { return };
    let at = at.child("requestPolicy");
    if !is_shared {
        return out.forbidden(&at, "allowMultipleAllocations must be true");
    }
    let all = capacity.at("value").and_then(quantity).unwrap_or(Quantity::ZERO);
    let values: Vec<Quantity> = policy.items("validValues").iter().filter_map(quantity).collect();
    let default = policy.at("default").and_then(quantity);
    let default_at = at.child("default");
    match (values.is_empty(), policy.at("validRange"), default) {
        (true, None, _) => {}
        (false, Some(_), _) => out.forbidden(
            &at,
            "exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at the same time",
        ),
        (false, None, None) => out.required(&default_at, "required when validValues is defined"),
        (true, Some(_), None) => out.required(&default_at, "required when validRange is defined"),
        (false, None, Some(default)) => options(&at.child("validValues"), default, all, &values, out),
        (true, Some(given), Some(default)) => range(&at.child("validRange"), default, all, given, out),
    }
}

fn show(amount: Quantity) -> String {
    amount.to_string()
}

fn options(at: &At<'_>, default: Quantity, all: Quantity, values: &[Quantity], out: &mut Report) {
    for (index, pair) in values.windows(2).enumerate().filter(|(_, pair)| pair[0] > pair[1]) {
        out.invalid(&at.index(index + 1), show(pair[1]).as_str(), "values must be sorted in ascending order");
    }
    if values.len() > MAX_OPTIONS {
        out.too_many(at, values.len(), MAX_OPTIONS);
        // The default is only looked for in a list that is looked at.
        return out.invalid(at, show(default).as_str(), "default value is not valid according to the requestPolicy");
    }
    for (index, option) in values.iter().enumerate().filter(|(_, option)| **option > all) {
        let detail = format!("option is larger than capacity value: {all}");
        out.invalid(&at.index(index), show(*option).as_str(), detail);
    }
    for (index, option) in values.iter().enumerate() {
        // Upstream compares whole units.
        if values[..index].iter().any(|other| other.value() == option.value()) {
            out.duplicate(&at.index(index), option.value().to_string().as_str());
        }
    }
    if !values.contains(&default) {
        out.invalid(at, show(default).as_str(), "default value is not valid according to the requestPolicy");
    }
}

fn range(at: &At<'_>, default: Quantity, all: Quantity, range: &Value, out: &mut Report) {
    let amount = |key: &str| range.at(key).and_then(quantity);
    let min_at = at.child("min");
    let Some(min) = amount("min") else { return out.required(&min_at, "required when validRange is defined") };
    let (max, max_at) = (amount("max"), at.child("max"));
    let mut check = |wrong: bool, at: &At<'_>, shown: Quantity, detail: String| {
        if wrong {
            out.invalid(at, show(shown).as_str(), detail);
        }
    };
    check(min > all, &min_at, min, format!("min is larger than capacity value: {all}"));
    check(default < min, &min_at, default, format!("default is less than min: {min}"));
    if let Some(max) = max {
        check(min > max, &max_at, min, format!("min is larger than max: {max}"));
        check(max > all, &max_at, max, format!("max is larger than capacity value: {all}"));
        check(default > max, &max_at, default, format!("default is more than max: {max}"));
    }
    if let Some(step) = amount("step") {
        steps(&at.child("step"), [min, step, all], [Some(default), max], out);
    }
}

/// Whether values lie on the steps from the minimum on.
fn steps(at: &At<'_>, [min, step, all]: [Quantity; 3], values: [Option<Quantity>; 2], out: &mut Report) {
    let first = min + step;
    if first > all {
        let detail = format!("one step {first} is larger than capacity value: {all}");
        out.invalid(at, show(step).as_str(), detail);
    }
    for value in values.into_iter().flatten() {
        let way = value.value().wrapping_sub(min.value());
        // No step at all leads nowhere; upstream does not come back from there.
        if way.checked_rem(step.value()) != Some(0) {
            let detail = format!("value is not a multiple of a given step ({step}) from ({min})");
            out.invalid(at, show(value).as_str(), detail);
        }
    }
}
