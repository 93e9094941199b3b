//! The events about an object.

use super::sections::Sections;
use super::times::since;
use apimachinery::Value;
use rules::tree::Tree;

/// Oldest first.
pub(super) fn write(out: &mut Sections, mut events: Vec<Value>) {
    if events.is_empty() {
        out.field(0, "Events", "<none>");
        return;
    }
    events.sort_by(|a, b| a.text("lastTimestamp").cmp(b.text("lastTimestamp")));
    out.line(0, "Events:");
    out.line(1, "Type\tReason\tAge\tFrom\tMessage");
    out.line(1, "----\t------\t----\t----\t-------");
    for event in &events {
        out.line(1, row(out.now, event));
    }
}

fn row(now: jiff::Timestamp, event: &Value) -> String {
    let source = event.at("source").map(|s| s.text("component")).filter(|s| !s.is_empty());
    let source = source.unwrap_or_else(|| event.text("reportingComponent"));
    let message = event.text("message").trim();
    let part = event.at("involvedObject").map(|o| o.text("fieldPath")).unwrap_or_default();
    let message = if part.is_empty() { message.to_owned() } else { format!("{part}: {message}") };
    format!("{}\t{}\t{}\t{source}\t{message}", event.text("type"), event.text("reason"), interval(now, event))
}

fn interval(now: jiff::Timestamp, event: &Value) -> String {
    let first = match event.text("eventTime") {
        "" => event.text("firstTimestamp"),
        time => time,
    };
    let first = since(now, first);
    if let Some(series) = event.at("series") {
        let last = since(now, series.text("lastObservedTime"));
        return format!("{last} (x{} over {first})", series.int("count"));
    }
    match event.int("count") {
        ..=1 => first,
        count => format!("{} (x{count} over {first})", since(now, event.text("lastTimestamp"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn repeated_events_say_so() {
        let now = "2026-01-01T01:00:00Z".parse().expect("a time");
        let mut out = Sections::new(now);
        let events = vec![
            json!({"type": "Warning", "reason": "Again", "message": " late \n", "count": 3, "reportingComponent": "c",
                "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:59:00Z",
                "involvedObject": {"fieldPath": "spec.x"}}),
            json!({"type": "Normal", "reason": "Once", "message": "m", "source": {"component": "kubelet"},
                "firstTimestamp": "2026-01-01T00:50:00Z", "lastTimestamp": "2026-01-01T00:50:00Z"}),
        ];
        write(&mut out, events);
        let lines = [
            "Events:",
            "  Type     Reason  Age                From     Message",
            "  ----     ------  ----               ----     -------",
            "  Normal   Once    10m                kubelet  m",
            "  Warning  Again   60s (x3 over 60m)  c        spec.x: late",
            "",
        ];
        assert_eq!(out.aligned(), lines.join("\n"));
    }
}
