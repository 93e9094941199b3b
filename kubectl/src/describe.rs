//! Objects as people read them: a few kinds in kubectl's own form, the rest field by field.
//!
//! Upstream: `kubectl/pkg/describe`.

mod fields;
mod pod;
mod service;

use crate::discovery::Resource;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use std::fmt::Write as _;

/// Text that describes an object with its events.
pub fn text(resource: &Resource, object: &Value, events: &[Value]) -> String {
    let mut out = String::new();
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => pod::describe(&mut out, object),
        ("", "services") => service::describe(&mut out, object),
        _ => generic(&mut out, resource, object),
    }
    describe_events(&mut out, events);
    out
}

fn generic(out: &mut String, resource: &Resource, object: &Value) {
    line(out, "Name", object.name());
    line(out, "Namespace", object.namespace());
    pairs(out, "Labels", object.labels());
    pairs(out, "Annotations", object.annotations());
    line(out, "API Version", &resource.api_version());
    line(out, "Kind", &resource.kind);
    let shown = |key: &str| !matches!(key, "apiVersion" | "kind" | "metadata");
    for (key, value) in object.as_object().into_iter().flatten().filter(|(k, _)| shown(k)) {
        fields::write(out, key, value, 0);
    }
}

/// `Title:  value`, the value at a fixed column.
pub(super) fn line(out: &mut String, title: &str, value: &str) {
    let _ = writeln!(out, "{:<18}{}", format!("{title}:"), value);
}

/// Labels or annotations, one a line.
pub(super) fn pairs(out: &mut String, title: &str, map: Option<&apimachinery::Map>) {
    let mut entries = map.into_iter().flatten().filter(|(k, _)| *k != crate::apply::LAST_APPLIED);
    let show = |(k, v): (&String, &Value), sign: &str| format!("{k}{sign}{}", v.as_str().unwrap_or_default());
    let sign = if title == "Labels" { "=" } else { ": " };
    match entries.next() {
        None => line(out, title, "<none>"),
        Some(first) => {
            line(out, title, &show(first, sign));
            for entry in entries {
                let _ = writeln!(out, "{:<18}{}", "", show(entry, sign));
            }
        }
    }
}

/// A string somewhere below an object; `<none>` if it is absent or empty.
pub(super) fn at<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).filter(|s| !s.is_empty()).unwrap_or("<none>")
}

fn describe_events(out: &mut String, events: &[Value]) {
    if events.is_empty() {
        line(out, "Events", "<none>");
        return;
    }
    let header = ["  Type", "Reason", "Age", "From", "Message"].map(str::to_owned).to_vec();
    let row = |e: &Value| {
        let text = |p: &str| e.pointer(p).and_then(Value::as_str).unwrap_or_default().to_owned();
        let from =
            Some(text("/source/component")).filter(|s| !s.is_empty()).unwrap_or_else(|| text("/reportingComponent"));
        let age =
            age(&text("/lastTimestamp")).or_else(|| age(&text("/eventTime"))).unwrap_or_else(|| "<unknown>".into());
        vec![format!("  {}", text("/type")), text("/reason"), age, from, text("/message").trim().to_owned()]
    };
    let grid = crate::print::table::Grid { header, rows: events.iter().map(row).collect() };
    let _ = write!(out, "Events:\n{}", grid.render(false));
}

/// How long ago a time was, as tables print it.
pub(super) fn age(time: &str) -> Option<String> {
    let then: jiff::Timestamp = time.parse().ok()?;
    let seconds = (jiff::Timestamp::now().as_second() - then.as_second()).max(0);
    Some(match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::tests::sample;
    use serde_json::json;

    #[test]
    fn describes_a_pod() {
        let pod = json!({"metadata": {"name": "web", "namespace": "ns", "labels": {"app": "web"}},
            "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "nginx"}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [{"name": "c", "ready": true, "restartCount": 2, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}],
                       "conditions": [{"type": "Ready", "status": "True"}]}});
        let events = [
            json!({"type": "Normal", "reason": "Pulled", "message": "image there", "source": {"component": "kubelet"}}),
        ];
        let text = text(sample().find("pods").expect("pods"), &pod, &events);
        for want in [
            "Name:             web",
            "Node:             n1/",
            "Status:           Running",
            "    Image:          nginx",
            "Restart Count:  2",
            "Normal   Pulled",
        ] {
            assert!(text.contains(want), "{want:?} is not in\n{text}");
        }
    }

    #[test]
    fn describes_anything() {
        let object = json!({"metadata": {"name": "x"}, "spec": {"replicas": 1, "list": [{"a": "b"}]}});
        let text = text(sample().find("deployments").expect("deployments"), &object, &[]);
        assert!(text.contains("Spec:\n  List:\n    A:  b\n  Replicas:  1\n"), "{text}");
        assert!(text.ends_with("Events:           <none>\n"));
    }
}
