//! Points in time.

use super::sections::Sections;
use apimachinery::Value;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rules::tree::Tree;

/// A time in the zone of this machine, as in mail; absent ones are Go's zero time.
pub(super) fn stamp(text: &str) -> String {
    local(text, "%a, %d %b %Y %H:%M:%S %z").unwrap_or_else(|| "Mon, 01 Jan 0001 00:00:00 +0000".into())
}

/// A time as Go prints one that nobody formats.
pub(super) fn plain(text: &str) -> String {
    local(text, "%Y-%m-%d %H:%M:%S %z %Z").unwrap_or_else(|| "0001-01-01 00:00:00 +0000 UTC".into())
}

fn local(text: &str, format: &str) -> Option<String> {
    let time: Timestamp = text.parse().ok()?;
    Some(time.to_zoned(TimeZone::system()).strftime(format).to_string())
}

/// How long ago a time was.
pub(super) fn since(now: Timestamp, text: &str) -> String {
    text.parse().map_or_else(|_| "<unknown>".into(), |time| rules::tables::human(now, time))
}

/// From one time to another.
pub(super) fn between(begin: &str, end: &str) -> String {
    end.parse().map_or_else(|_| "<unknown>".into(), |end| since(end, begin))
}

/// Conditions that are told when they were last seen: by a `Heartbeat` or a `Probe`. The lines below the
/// titles have upstream's lengths, whatever the title's.
pub(super) fn conditions(out: &mut Sections, conditions: &[Value], seen: &str) {
    if conditions.is_empty() {
        return;
    }
    out.line(0, "Conditions:");
    out.line(1, format_args!("Type\tStatus\tLast{seen}Time\tLastTransitionTime\tReason\tMessage"));
    out.line(1, "----\t------\t-----------------\t------------------\t------\t-------");
    let last = format!("last{seen}Time");
    for c in conditions {
        let (state, why) = ((c.text("type"), c.text("status")), (c.text("reason"), c.text("message")));
        let (seen, changed) = (stamp(c.text(&last)), stamp(c.text("lastTransitionTime")));
        out.line(1, format_args!("{} \t{} \t{seen} \t{changed} \t{} \t{}", state.0, state.1, why.0, why.1));
    }
}

/// So many seconds.
pub(super) fn seconds(count: i64) -> String {
    let end = Timestamp::from_second(count).unwrap_or(Timestamp::MAX);
    rules::tables::human(end, Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_times_are_zero() {
        assert_eq!(stamp(""), "Mon, 01 Jan 0001 00:00:00 +0000");
        assert_eq!(between("2026-01-01T00:00:00Z", "2026-01-01T00:05:01Z"), "5m1s");
        assert_eq!((since(Timestamp::UNIX_EPOCH, ""), seconds(86400)), ("<unknown>".into(), "24h".into()));
    }
}
