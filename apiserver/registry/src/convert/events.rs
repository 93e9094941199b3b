//! `events.k8s.io/v1` events and core ones: the same objects under other names.
//!
//! Upstream: `pkg/apis/events/v1/conversion.go`.

use apimachinery::{Map, Value};

/// Core name, name in `events.k8s.io`.
const NAMES: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// What a core event always has, and one of `events.k8s.io` only if it says something.
const REPORTING: [&str; 2] = ["reportingComponent", "reportingInstance"];

pub(super) fn from_core(mut event: Value) -> Value {
    if let Some(map) = event.as_object_mut() {
        map.retain(|name, value| value != "" || !REPORTING.contains(&name.as_str()));
    }
    renamed(event, |name| NAMES.iter().find(|(core, _)| *core == name).map(|(_, other)| *other))
}

pub(super) fn to_core(event: Value) -> Value {
    let mut event = renamed(event, |name| NAMES.iter().find(|(_, other)| *other == name).map(|(core, _)| *core));
    if let Some(map) = event.as_object_mut() {
        for name in REPORTING {
            map.entry(name).or_insert_with(|| "".into());
        }
    }
    event
}

fn renamed(event: Value, name: impl Fn(&str) -> Option<&'static str>) -> Value {
    let Value::Object(map) = event else { return event };
    let rename = |(key, value): (String, Value)| (name(&key).map_or(key, str::to_owned), value);
    Value::Object(map.into_iter().map(rename).collect::<Map>())
}

/// The core name of a selectable field.
pub(super) fn core_field(field: &str) -> String {
    match (field, field.strip_prefix("regarding.")) {
        (_, Some(rest)) => format!("involvedObject.{rest}"),
        ("reportingController", _) => "reportingComponent".into(),
        _ => field.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn renames_there_and_back() {
        let core = json!({"metadata": {"name": "a"}, "involvedObject": {"kind": "Pod"}, "message": "m", "count": 2,
            "reportingComponent": "c", "reportingInstance": "", "reason": "r", "source": {"host": "h"}});
        let other = json!({"metadata": {"name": "a"}, "regarding": {"kind": "Pod"}, "note": "m", "deprecatedCount": 2,
            "reportingController": "c", "reason": "r", "deprecatedSource": {"host": "h"}});
        assert_eq!(from_core(core.clone()), other);
        assert_eq!(to_core(other), core);
        assert_eq!(core_field("regarding.name"), "involvedObject.name");
    }
}
