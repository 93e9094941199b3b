//! Events as evidence.

use super::text;
use apimachinery::Value;

/// How many events are shown for one reason.
const SHOWN: usize = 3;

/// The newest events that are of one of these reasons, or all warnings if there are none.
pub(super) fn of(events: &[Value], reasons: &[&str]) -> Vec<String> {
    let fits = |e: &&Value| match reasons.is_empty() {
        true => text(e, "/type") == "Warning",
        false => reasons.contains(&text(e, "/reason")),
    };
    let mut found: Vec<&Value> = events.iter().filter(fits).collect();
    found.sort_by_key(|e| std::cmp::Reverse(time(e)));
    let mut lines: Vec<String> = found.into_iter().map(shown).collect();
    lines.dedup();
    lines.truncate(SHOWN);
    lines
}

fn time(event: &Value) -> &str {
    let pointers = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/firstTimestamp"];
    pointers.into_iter().map(|p| text(event, p)).find(|t| !t.is_empty()).unwrap_or_default()
}

fn shown(event: &Value) -> String {
    let count = event["series"]["count"].as_i64().or(event["count"].as_i64()).unwrap_or(1);
    let times = if count > 1 { format!(", {count} times") } else { String::new() };
    format!("event {} ({}{times}): {}", text(event, "/reason"), time(event), text(event, "/message").trim())
}
