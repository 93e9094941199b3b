//! Values that many kinds have: labels, selectors, quantities, ports, addresses.

use super::addresses;
use super::check::{At, Report};
use super::names::{label_key_errors, label_value_errors, percent, port_name, port_number};
use crate::tree::Tree;
use apimachinery::quantity::Quantity;
use apimachinery::{Map, Value};

pub(super) const NEGATIVE: &str = "must be greater than or equal to 0";
pub(super) const NOT_POSITIVE: &str = "must be greater than zero";

/// Keys and values of labels.
pub(super) fn labels(at: &At<'_>, labels: Option<&Map>, out: &mut Report) {
    for (key, value) in labels.into_iter().flatten() {
        out.invalid_each(at, key, label_key_errors(key));
        let value = value.as_str().unwrap_or_default();
        out.invalid_each(at, value, label_value_errors(value));
    }
}

/// A label selector; none is right, too.
pub(super) fn selector(at: &At<'_>, selector: Option<&Value>, out: &mut Report) {
    requirements(at, selector, true, out);
}

/// A label selector whose expressions may have values that no label has.
pub(super) fn selector_of_any_values(at: &At<'_>, selector: Option<&Value>, out: &mut Report) {
    requirements(at, selector, false, out);
}

fn requirements(at: &At<'_>, selector: Option<&Value>, check_values: bool, out: &mut Report) {
    let Some(selector) = selector else { return };
    labels(&at.child("matchLabels"), selector.object("matchLabels"), out);
    let expressions = at.child("matchExpressions");
    for (index, expression) in selector.items("matchExpressions").iter().enumerate() {
        requirement(&expressions.index(index), expression, check_values, out);
    }
}

fn requirement(at: &At<'_>, requirement: &Value, check_values: bool, out: &mut Report) {
    let has_values = !requirement.items("values").is_empty();
    let values = at.child("values");
    match requirement.text("operator") {
        "In" | "NotIn" if !has_values => {
            out.required(&values, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if has_values => {
            out.forbidden(&values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        operator => out.invalid(&at.child("operator"), operator, "not a valid selector operator"),
    }
    let key = requirement.text("key");
    out.invalid_each(&at.child("key"), key, label_key_errors(key));
    for (index, value) in requirement.texts("values").enumerate().filter(|_| check_values) {
        out.invalid_each(&values.index(index), value, label_value_errors(value));
    }
}

/// Whether an expression of a selector has a value that no label can have.
pub(super) fn has_wrong_value(selector: Option<&Value>) -> bool {
    let expressions = selector.map(|s| s.items("matchExpressions")).unwrap_or_default();
    expressions.iter().any(|e| e.texts("values").any(|value| !label_value_errors(value).is_empty()))
}

/// Whether a selector selects everything, or does not exist.
pub(super) fn selects_all(selector: Option<&Value>) -> bool {
    selector.is_none_or(|s| s.lacks("matchLabels") && s.lacks("matchExpressions"))
}

/// A member that must not be negative.
pub(super) fn not_negative(at: &At<'_>, object: &Value, key: &str, out: &mut Report) {
    if object.int(key) < 0 {
        out.invalid(&at.child(key), object.int(key), NEGATIVE);
    }
}

/// A quantity; `None` if it is none, which decoding has not let pass.
pub(crate) fn quantity(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

/// The number or name of a port.
pub(super) fn port(at: &At<'_>, port: Option<&Value>, out: &mut Report) {
    match port {
        Some(Value::String(name)) => out.invalid_each(at, name, port_name(name)),
        other => {
            let number = other.and_then(Value::as_i64).unwrap_or_default();
            if let Some(finding) = port_number(number) {
                out.invalid(at, number, finding);
            }
        }
    }
}

/// A number or percentage that is not negative.
pub(super) fn count_or_percent(at: &At<'_>, value: &Value, out: &mut Report) {
    match value {
        Value::String(text) => out.invalid_each(at, text, percent(text)),
        other if other.as_i64().unwrap_or_default() < 0 => {
            out.invalid(at, other.as_i64().unwrap_or_default(), NEGATIVE);
        }
        _ => {}
    }
}

/// The percentage, if it is one.
pub(super) fn as_percent(value: Option<&Value>) -> Option<i64> {
    let digits = value?.as_str()?.strip_suffix('%')?;
    let right = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    right.then(|| digits.parse().unwrap_or(i64::MAX))
}

/// A percentage, if it is one, of at most everything.
pub(super) fn not_above_all(at: &At<'_>, value: &Value, out: &mut Report) {
    if as_percent(Some(value)).is_some_and(|percent| percent > 100) {
        out.invalid(at, value, "must not be greater than 100%");
    }
}

/// Whether a number or percentage is zero. A text that is neither is, too.
pub(super) fn is_zero(value: Option<&Value>) -> bool {
    match value {
        Some(Value::String(text)) => match as_percent(value) {
            Some(percent) => percent == 0,
            None => text.parse::<i64>().map_or(true, |number| number == 0),
        },
        Some(other) => other.as_i64() == Some(0),
        None => true,
    }
}

/// An IP address in any unambiguous spelling.
pub(super) fn ip(at: &At<'_>, text: &str, out: &mut Report) {
    addresses::legacy(at, text, [], out);
}

/// A range of addresses in any unambiguous spelling.
pub(super) fn cidr(at: &At<'_>, text: &str, out: &mut Report) {
    addresses::legacy_range(at, text, [], out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(check: impl FnOnce(&At<'_>, &mut Report)) -> Vec<String> {
        let mut report = Report::default();
        check(&At::root("x"), &mut report);
        report.finish().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn selectors() {
        let wrong = json!({"matchLabels": {"a b": "c"}, "matchExpressions": [
            {"key": "a", "operator": "In"}, {"key": "a", "operator": "Exists", "values": ["b"]},
            {"key": "a", "operator": "in"}]});
        let found = texts(|at, out| selector(at, Some(&wrong), out));
        assert!(found[0].starts_with("x.matchLabels: Invalid value: \"a b\": name part must consist of"));
        assert_eq!(
            found[1..],
            [
                "x.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
                "x.matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                "x.matchExpressions[2].operator: Invalid value: \"in\": not a valid selector operator",
            ]
        );
        assert!(selects_all(None) && selects_all(Some(&json!({}))) && !selects_all(Some(&wrong)));
    }

    #[test]
    fn ports_and_addresses() {
        assert_eq!(
            texts(|at, out| port(at, Some(&json!(0)), out)),
            ["x: Invalid value: 0: must be between 1 and 65535, inclusive"]
        );
        assert!(texts(|at, out| port(at, Some(&json!("http")), out)).is_empty());
        assert!(texts(|at, out| ip(at, "::1", out)).is_empty() && !texts(|at, out| ip(at, "a", out)).is_empty());
        assert!(texts(|at, out| cidr(at, "10.0.0.0/8", out)).is_empty());
        assert!(!texts(|at, out| cidr(at, "10.0.0.0", out)).is_empty());
        assert!(is_zero(Some(&json!("0%"))) && is_zero(Some(&json!(0))) && !is_zero(Some(&json!("1%"))));
    }
}
