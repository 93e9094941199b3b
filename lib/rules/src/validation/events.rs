//! Events, which two groups serve: the core one takes nearly everything, `events.k8s.io` is strict.
//!
//! Upstream: `pkg/apis/core/validation/events.go`.

use super::check::{At, IMMUTABLE, Report, same};
use super::names::{label_key_errors, subdomain};
use super::printed::{Form, Member, Printed};
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

const MAX_WORD: usize = 128;
const MAX_NOTE: usize = 1024;

/// What a version calls the members that the other one calls differently. Findings use the core names
/// in both, but for the controller's.
struct Names {
    regarding: &'static str,
    note: &'static str,
    controller: &'static str,
}

const CORE: Names = Names { regarding: "involvedObject", note: "message", controller: "reportingComponent" };
const STRICT: Names = Names { regarding: "regarding", note: "note", controller: "reportingController" };

/// A core event, new or changed.
pub(super) fn core(event: &Value, out: &mut Report) {
    plausible(event, &CORE, out);
}

/// A new event of `events.k8s.io`.
pub(super) fn create(event: &Value, out: &mut Report) {
    plausible(event, &STRICT, out);
    series(event, out);
    if !event.has("eventTime") {
        out.required(&At::root("eventTime"), "");
    }
    let kind = event.text("type");
    if !matches!(kind, "Normal" | "Warning") {
        out.invalid(&At::root("type"), "", format!("has invalid value: {kind}"));
    }
    let source = event.at("deprecatedSource");
    for (member, is_set) in [
        ("firstTimestamp", event.has("deprecatedFirstTimestamp")),
        ("lastTimestamp", event.has("deprecatedLastTimestamp")),
        ("count", event.int("deprecatedCount") != 0),
        ("source", source.is_some_and(|s| !s.lacks("component") || !s.lacks("host"))),
    ] {
        if is_set {
            out.invalid(&At::root(member), "", "needs to be unset");
        }
    }
}

/// A changed event of `events.k8s.io`, for itself.
pub(super) fn changed(event: &Value, out: &mut Report) {
    plausible(event, &STRICT, out);
}

/// A change of an event of `events.k8s.io`: only its series goes on.
pub(super) fn update(new: &Value, old: &Value, out: &mut Report) {
    if !same(new.at("series"), old.at("series")) {
        series(new, out);
    }
    const FIXED: [(&str, &str, Form); 14] = [
        ("involvedObject", "regarding", Form::Struct(REFERENCE)),
        ("reason", "reason", Form::Text),
        ("message", "note", Form::Text),
        ("source", "deprecatedSource", Form::Struct(SOURCE)),
        ("firstTimestamp", "deprecatedFirstTimestamp", Form::Plain),
        ("lastTimestamp", "deprecatedLastTimestamp", Form::Plain),
        ("count", "deprecatedCount", Form::Number),
        // Upstream says it twice.
        ("reason", "reason", Form::Text),
        ("type", "type", Form::Text),
        ("eventTime", "eventTime", Form::Plain),
        ("action", "action", Form::Text),
        ("related", "related", Form::Optional(REFERENCE)),
        ("reportingController", "reportingController", Form::Text),
        ("reportingInstance", "reportingInstance", Form::Text),
    ];
    for (name, member, form) in FIXED {
        if !same(new.at(member), old.at(member)) {
            out.invalid(&At::root(name), Printed(new.at(member), form), IMMUTABLE);
        }
    }
}

const REFERENCE: &[Member] = &[
    ("Kind", "kind", Form::Text),
    ("Namespace", "namespace", Form::Text),
    ("Name", "name", Form::Text),
    ("UID", "uid", Form::Text),
    ("APIVersion", "apiVersion", Form::Text),
    ("ResourceVersion", "resourceVersion", Form::Text),
    ("FieldPath", "fieldPath", Form::Text),
];

const SOURCE: &[Member] = &[("Component", "component", Form::Text), ("Host", "host", Form::Text)];

fn series(event: &Value, out: &mut Report) {
    let Some(series) = event.at("series") else { return };
    if series.int("count") < 2 {
        out.invalid(&At::root("series.count"), "", "should be at least 2");
    }
    if !series.has("lastObservedTime") {
        out.required(&At::root("series.lastObservedTime"), "");
    }
}

/// What both versions ask for: more of events that have a time of their own, as all newer ones do.
fn plausible(event: &Value, names: &Names, out: &mut Report) {
    let namespace = event.at(names.regarding).map_or("", |r| r.text("namespace"));
    let own = event.namespace();
    let placed = match (event.has("eventTime"), namespace) {
        (false, "") => matches!(own, "" | "default"),
        (false, namespace) => namespace == own,
        (true, "") => matches!(own, "default" | "kube-system"),
        (true, _) => true,
    };
    if !placed {
        let at = At::root("involvedObject");
        out.invalid(&at.child("namespace"), namespace, "does not match event.namespace");
    }
    if event.has("eventTime") {
        reported(event, names, out);
    }
    out.invalid_each(&At::root("namespace"), own, subdomain(own));
}

/// Who reports, and what.
fn reported(event: &Value, names: &Names, out: &mut Report) {
    let controller = At::root(names.controller);
    let name = event.text(names.controller);
    if name.is_empty() {
        out.required(&controller, "");
    }
    out.invalid_each(&controller, name, label_key_errors(name));
    for member in ["reportingInstance", "action", "reason"] {
        let at = At::root(member);
        match event.text(member).len() {
            0 => out.required(&at, ""),
            length => limited(&at, length, MAX_WORD, out),
        }
    }
    limited(&At::root("message"), event.text(names.note).len(), MAX_NOTE, out);
}

fn limited(at: &At<'_>, length: usize, max: usize, out: &mut Report) {
    if length > max {
        out.invalid(at, "", format!("can have at most {max} characters"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(check: impl FnOnce(&mut Report)) -> Vec<String> {
        let mut report = Report::default();
        check(&mut report);
        report.finish().iter().map(ToString::to_string).collect()
    }

    fn event() -> Value {
        json!({"metadata": {"name": "a", "namespace": "n"}, "eventTime": "2024-01-01T00:00:00.000000Z", "reason": "R",
            "regarding": {"kind": "Pod", "namespace": "n"}, "note": "n", "type": "Normal", "action": "A",
            "reportingController": "c", "reportingInstance": "i", "deprecatedSource": {},
            "deprecatedFirstTimestamp": null})
    }

    fn with(key: &str, value: Value) -> Value {
        let mut event = event();
        event[key] = value;
        event
    }

    #[test]
    fn new_events_are_complete() {
        assert_eq!(texts(|out| create(&event(), out)), [""; 0]);
        for (key, value, want) in [
            ("eventTime", json!(null), &["eventTime: Required value"][..]),
            ("type", json!("x"), &["type: Invalid value: \"\": has invalid value: x"]),
            ("deprecatedCount", json!(1), &["count: Invalid value: \"\": needs to be unset"]),
            ("deprecatedSource", json!({"host": "h"}), &["source: Invalid value: \"\": needs to be unset"]),
            ("action", json!(""), &["action: Required value"]),
            ("reason", json!("a".repeat(129)), &["reason: Invalid value: \"\": can have at most 128 characters"]),
            ("note", json!("a".repeat(1025)), &["message: Invalid value: \"\": can have at most 1024 characters"]),
            (
                "reportingController",
                json!("/a"),
                &["reportingController: Invalid value: \"/a\": prefix part must be non-empty"],
            ),
            (
                "regarding",
                json!({"kind": "Node"}),
                &["involvedObject.namespace: Invalid value: \"\": does not match event.namespace"],
            ),
            (
                "series",
                json!({"count": 1}),
                &["series.count: Invalid value: \"\": should be at least 2", "series.lastObservedTime: Required value"],
            ),
        ] {
            assert_eq!(texts(|out| create(&with(key, value), out)), want, "{key}");
        }
    }

    #[test]
    fn core_events_only_lie_where_they_belong() {
        let core_event = |namespace: &str, regarding: Value| {
            let event = json!({"metadata": {"namespace": namespace}, "involvedObject": regarding, "eventTime": null});
            texts(|out| core(&event, out)).len()
        };
        assert_eq!(core_event("n", json!({"namespace": "n"})) + core_event("default", json!({})), 0);
        assert_eq!((core_event("kube-system", json!({})), core_event("n", json!({"namespace": "m"}))), (1, 1));
    }

    #[test]
    fn only_the_series_changes() {
        let next = json!({"count": 3, "lastObservedTime": "2024-01-01T00:00:01.000000Z"});
        assert_eq!(texts(|out| update(&with("series", next), &event(), out)), [""; 0]);
        for (key, value, want) in [
            ("reason", json!(null), "reason: Invalid value: \"\": field is immutable"),
            ("deprecatedCount", json!(2), "count: Invalid value: 2: field is immutable"),
            ("eventTime", json!(null), "eventTime: Invalid value: null: field is immutable"),
            (
                "related",
                json!({"kind": "x"}),
                "related: Invalid value: {\"Kind\":\"x\",\"Namespace\":\"\",\"Name\":\"\",\"UID\":\"\",\
                 \"APIVersion\":\"\",\"ResourceVersion\":\"\",\"FieldPath\":\"\"}: field is immutable",
            ),
        ] {
            // Upstream checks the reason twice.
            let mut found = texts(|out| update(&with(key, value), &event(), out));
            found.dedup();
            assert_eq!(found, [want]);
        }
    }
}
