//! Times on the wire: `Time` has seconds, `MicroTime` microseconds, both RFC 3339 in UTC.

use jiff::Timestamp;
use std::time::Duration;

/// Now, as `meta/v1.Time` prints it: `2026-01-02T03:04:05Z`.
pub fn now() -> String {
    format(Timestamp::now())
}

/// Now, as `meta/v1.MicroTime` prints it: `2026-01-02T03:04:05.123456Z`.
pub fn now_micro() -> String {
    format_micro(Timestamp::now())
}

/// A time with seconds.
pub fn format(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time with microseconds.
pub fn format_micro(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// An RFC 3339 time in any zone as `Time` prints it, or Go's words for what is wrong.
pub fn canonical(text: &str) -> Result<String, String> {
    parse(text).map(format)
}

/// The same for `MicroTime`.
pub fn canonical_micro(text: &str) -> Result<String, String> {
    parse(text).map(format_micro)
}

/// An RFC 3339 time.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    let fail = || format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\"");
    // jiff takes more forms than RFC 3339 has.
    let shaped = text.len() >= 20 && text.len() <= 64 && text.as_bytes()[10] == b'T' && !text.contains('[');
    if shaped { text.parse().map_err(|_| fail()) } else { Err(fail()) }
}

/// A duration in Go's form, such as `1h30m` or `1.5s`; `None` if it is none.
pub fn parse_go_duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() || rest.len() > 64 {
        return None;
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let seconds = match &tail[..unit] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?)?;
        rest = &tail[unit..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_times() {
        for (text, want) in [
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05.999Z", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(want));
        }
        for text in ["", "now", "2026-01-02", "2026-01-02 03:04:05Z", "2026-13-02T03:04:05Z", "2026-01-02T03:04:05"] {
            assert!(canonical(text).is_err(), "{text}");
        }
        assert_eq!(canonical_micro("2026-01-02T03:04:05.1234567Z").as_deref(), Ok("2026-01-02T03:04:05.123456Z"));
    }

    #[test]
    fn go_durations() {
        for (text, millis) in [("0", 0), ("5s", 5000), ("1m30s", 90_000), ("1.5h", 5_400_000), ("250ms", 250)] {
            assert_eq!(parse_go_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "5x", "-5s", "1h 5m", "1e400s"] {
            assert_eq!(parse_go_duration(text), None, "{text}");
        }
    }
}
