//! Phrases that several printers share.

use super::cell::Cell;
use crate::tree::Tree;
use apimachinery::{Map, Value};

pub(super) const NONE: &str = "<none>";
pub(super) const UNSET: &str = "<unset>";
pub(super) const UNKNOWN: &str = "<unknown>";

/// The text, or `instead` if it is empty.
pub(super) fn or<'a>(text: &'a str, instead: &'a str) -> &'a str {
    if text.is_empty() { instead } else { text }
}

/// A number, as integer cell.
pub(super) fn number(object: Option<&Value>, key: &str) -> Cell {
    Cell::Value(object.map_or(0, |o| o.int(key)).into())
}

/// The number of elements of a list or map.
pub(super) fn count(object: &Value, key: &str) -> usize {
    match object.at(key) {
        Some(Value::Array(list)) => list.len(),
        Some(Value::Object(map)) => map.len(),
        _ => 0,
    }
}

/// Text of a string or number; `instead` if there is none.
pub(super) fn scalar(value: Option<&Value>, instead: &str) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => instead.to_owned(),
    }
}

/// At most `max` of `count` items, and how many more there are.
pub(super) fn some_of(items: impl Iterator<Item = String>, max: usize) -> String {
    let (mut shown, mut count) = (Vec::new(), 0);
    for item in items {
        if shown.len() < max {
            shown.push(item);
        }
        count += 1;
    }
    match count > max {
        true => format!("{} + {} more...", shown.join(","), count - max),
        false => shown.join(","),
    }
}

/// `a=b,c=d`.
pub(super) fn labels(labels: Option<&Map>) -> String {
    let pairs: Vec<String> =
        labels.into_iter().flatten().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    or(&pairs.join(","), NONE).to_owned()
}

/// A label selector in the form that queries take.
pub(super) fn selector(selector: Option<&Value>) -> String {
    let Some(selector) = selector else { return NONE.into() };
    let mut terms: Vec<(&str, String)> = selector
        .entries("matchLabels")
        .map(|(k, v)| (k, format!("{k}={}", v.as_str().unwrap_or_default())))
        .chain(selector.items("matchExpressions").iter().map(expression))
        .collect();
    terms.sort_by(|a, b| a.0.cmp(b.0));
    let terms: Vec<String> = terms.into_iter().map(|(_, term)| term).collect();
    or(&terms.join(","), NONE).to_owned()
}

fn expression(expression: &Value) -> (&str, String) {
    let key = expression.text("key");
    let mut values: Vec<&str> = expression.texts("values").collect();
    values.sort_unstable();
    let values = values.join(",");
    let term = match expression.text("operator") {
        "In" => format!("{key} in ({values})"),
        "NotIn" => format!("{key} notin ({values})"),
        "DoesNotExist" => format!("!{key}"),
        _ => key.to_owned(),
    };
    (key, term)
}

/// Names and images of a pod specification's containers.
pub(super) fn containers(spec: Option<&Value>) -> [Cell; 2] {
    let list = spec.map(|s| s.items("containers")).unwrap_or_default();
    let join = |key| Cell::text(list.iter().map(|c| c.text(key)).collect::<Vec<_>>().join(","));
    [join("name"), join("image")]
}

/// `spec.template.spec` of a workload.
pub(super) fn template(object: &Value) -> Option<&Value> {
    object.at("spec")?.at("template")?.at("spec")
}

/// The condition of this type.
pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object.at("status")?.items("conditions").iter().find(|c| c.text("type") == kind)
}

/// Whether the condition of this type is true.
pub(super) fn holds(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|c| c.text("status") == "True")
}

/// Addresses of a load balancer, names where there are no addresses.
pub(super) fn balancer(object: &Value) -> String {
    let ingress = object.at("status").and_then(|s| s.at("loadBalancer")).map(|b| b.items("ingress"));
    let mut places: Vec<&str> = ingress.into_iter().flatten().map(|i| or(i.text("ip"), i.text("hostname"))).collect();
    places.retain(|place| !place.is_empty());
    places.sort_unstable();
    places.dedup();
    places.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors() {
        for (value, want) in [
            (json!({}), NONE),
            (json!({"matchLabels": {"b": "2", "a": "1"}}), "a=1,b=2"),
            (
                json!({"matchLabels": {"m": "1"}, "matchExpressions": [
                    {"key": "z", "operator": "In", "values": ["y", "x"]}, {"key": "a", "operator": "DoesNotExist"},
                    {"key": "k", "operator": "NotIn", "values": ["v"]}, {"key": "e", "operator": "Exists"}]}),
                "!a,e,k notin (v),m=1,z in (x,y)",
            ),
        ] {
            assert_eq!(selector(Some(&value)), want);
        }
        assert_eq!(selector(None), NONE);
    }

    #[test]
    fn long_lists_are_cut() {
        let list = |n: u32| some_of((0..n).map(|i| i.to_string()), 3);
        assert_eq!((list(0), list(3), list(5)), (String::new(), "0,1,2".into(), "0,1,2 + 2 more...".into()));
    }
}
