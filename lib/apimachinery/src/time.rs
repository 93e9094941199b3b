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
    let fraction = text.as_bytes().get(19..27);
    let is_micro = fraction.is_some_and(|f| {
        matches!(f[0], b'.' | b',') && f[1..7].iter().all(u8::is_ascii_digit) && !f[7].is_ascii_digit()
    });
    if !is_micro {
        return Err(unreadable(text, Precision::Micros));
    }
    let time = timestamp(text).ok_or_else(|| unreadable(text, Precision::Micros))?;
    Ok(format_micro(time))
}

/// Whether a time in canonical form is the one that Go takes for none: the beginning of the first year.
pub fn is_zero(text: &str) -> bool {
    matches!(text, "0001-01-01T00:00:00Z" | "0001-01-01T00:00:00.000000Z")
}

/// What a layout of times says of fractions of seconds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Precision {
    /// They may be there, and are not looked at.
    Seconds,
    /// They have six digits.
    Micros,
}

/// An RFC 3339 time.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    timestamp(text).ok_or_else(|| unreadable(text, Precision::Seconds))
}

fn timestamp(text: &str) -> Option<Timestamp> {
    // jiff takes more forms than RFC 3339 has.
    let shaped = text.len() >= 20 && text.len() <= 64 && text.as_bytes()[10] == b'T' && !text.contains('[');
    text.parse().ok().filter(|_| shaped)
}

/// Go's words for a text that is no time: it names the first part that it could not read.
fn unreadable(text: &str, precision: Precision) -> String {
    let layout = match precision {
        Precision::Seconds => "2006-01-02T15:04:05Z07:00",
        Precision::Micros => "2006-01-02T15:04:05.000000Z07:00",
    };
    let whole = quoted(text);
    let cannot = |rest: &str, part: &str| {
        format!("parsing time {whole} as \"{layout}\": cannot parse {} as \"{part}\"", quoted(rest))
    };
    let (mut rest, mut read) = (text, Vec::new());
    for (part, width) in [
        ("2006", 4),
        ("-", 0),
        ("01", 2),
        ("-", 0),
        ("02", 2),
        ("T", 0),
        ("15", 2),
        (":", 0),
        ("04", 2),
        (":", 0),
        ("05", 2),
    ] {
        let found = match width {
            0 => rest.starts_with(part).then_some(1),
            width => rest.get(..width).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit())).map(str::len),
        };
        let Some(found) = found else { return cannot(rest, part) };
        read.extend((width > 0).then(|| rest[..found].parse::<u32>().unwrap_or_default()));
        rest = &rest[found..];
    }
    let fraction =
        rest.strip_prefix(['.', ',']).map_or(0, |digits| digits.bytes().take_while(u8::is_ascii_digit).count());
    let fraction = match precision {
        Precision::Seconds => fraction,
        Precision::Micros if fraction < 6 => return cannot(rest, ".000000"),
        Precision::Micros => 6,
    };
    rest = if fraction > 0 { &rest[1 + fraction..] } else { rest };
    let zone = match rest.as_bytes() {
        [b'Z', ..] => 1,
        [b'+' | b'-', h1, h2, b':', m1, m2, ..] if [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()) => 6,
        _ => return cannot(rest, "Z07:00"),
    };
    let out_of_range = |what: &str| format!("parsing time {whole}: {what} out of range");
    match (read.as_slice(), &rest[zone..]) {
        ([_, month, ..], _) if !(1..=12).contains(month) => out_of_range("month"),
        ([_, _, _, hour, ..], _) if *hour > 23 => out_of_range("hour"),
        ([.., minute, _], _) if *minute > 59 => out_of_range("minute"),
        ([.., second], _) if *second > 59 => out_of_range("second"),
        (_, "") => out_of_range("day"),
        (_, rest) => format!("parsing time {whole}: extra text: {}", quoted(rest)),
    }
}

/// A text in Go's quotes for times: what is not printable ASCII is spelled as bytes.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            other => other.encode_utf8(&mut [0; 4]).bytes().for_each(|b| out.push_str(&format!("\\x{b:02x}"))),
        }
    }
    out.push('"');
    out
}

/// A duration in Go's form, such as `1h30m` or `1.5s`; `None` if it is none or below zero.
pub fn parse_go_duration(text: &str) -> Option<Duration> {
    parse_go_nanos(text).and_then(|nanos| u64::try_from(nanos).ok()).map(Duration::from_nanos)
}

/// A duration in Go's form in nanoseconds, which may be below zero.
pub fn parse_go_nanos(text: &str) -> Option<i64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned == "0" {
        return Some(0);
    }
    if unsigned.is_empty() || unsigned.len() > 64 {
        return None;
    }
    let (mut rest, mut total) = (unsigned, 0_i64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        total = total.checked_add(unit_nanos(number, &tail[..unit])?)?;
        rest = &tail[unit..];
    }
    Some(if text.starts_with('-') { -total } else { total })
}

fn unit_nanos(number: &str, unit: &str) -> Option<i64> {
    let unit: i64 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part = if fraction.is_empty() { 0.0 } else { format!("0.{fraction}").parse::<f64>().ok()? * unit as f64 };
    whole.checked_mul(unit)?.checked_add(part.round() as i64)
}

/// Nanoseconds in Go's form: `1h30m0s`, `1.5s`, `250ms`, `0s`.
pub fn format_go_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let (whole, unit, name): (u64, u64, &str) = match nanos {
        0 => return "0s".into(),
        1..1_000 => return format!("{sign}{nanos}ns"),
        1_000..1_000_000 => (nanos, 1_000, "µs"),
        1_000_000..1_000_000_000 => (nanos, 1_000_000, "ms"),
        _ => (nanos % 60_000_000_000, 1_000_000_000, "s"),
    };
    let width = unit.ilog10() as usize;
    let fraction = format!("{:0width$}", whole % unit);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    let minutes = if unit == 1_000_000_000 { nanos / 60_000_000_000 } else { 0 };
    let head = match (minutes / 60, minutes % 60) {
        (0, 0) => String::new(),
        (0, minutes) => format!("{minutes}m"),
        (hours, minutes) => format!("{hours}h{minutes}m"),
    };
    format!("{sign}{head}{}{point}{fraction}{name}", whole / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_no_time() {
        const AS: &str = "as \"2006-01-02T15:04:05Z07:00\"";
        for (text, want) in [
            ("x", format!("parsing time \"x\" {AS}: cannot parse \"x\" as \"2006\"")),
            ("é", format!("parsing time \"\\xc3\\xa9\" {AS}: cannot parse \"\\xc3\\xa9\" as \"2006\"")),
            ("2024-01-01", format!("parsing time \"2024-01-01\" {AS}: cannot parse \"\" as \"T\"")),
            (
                "2024-01-01T00:00:00",
                format!("parsing time \"2024-01-01T00:00:00\" {AS}: cannot parse \"\" as \"Z07:00\""),
            ),
            ("2024-01-01T00:00:00Zx", "parsing time \"2024-01-01T00:00:00Zx\": extra text: \"x\"".into()),
            ("2024-02-30T00:00:00Z", "parsing time \"2024-02-30T00:00:00Z\": day out of range".into()),
            ("2024-13-30T00:00:00.5Z", "parsing time \"2024-13-30T00:00:00.5Z\": month out of range".into()),
        ] {
            assert_eq!(parse(text), Err(want), "{text}");
        }
    }

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
    }

    #[test]
    fn microseconds_have_six_digits() {
        let cannot = |text: &str, rest: &str, part: &str| {
            let layout = "2006-01-02T15:04:05.000000Z07:00";
            Err(format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {part:?}"))
        };
        for (text, want) in [
            ("2026-01-02T03:04:05.123456Z", Ok("2026-01-02T03:04:05.123456Z".to_owned())),
            ("2026-01-02T03:04:05.123456+01:00", Ok("2026-01-02T02:04:05.123456Z".to_owned())),
            ("2026-01-02T03:04:05.1234567Z", cannot("2026-01-02T03:04:05.1234567Z", "7Z", "Z07:00")),
            ("2026-01-02T03:04:05.1Z", cannot("2026-01-02T03:04:05.1Z", ".1Z", ".000000")),
            ("2026-01-02T03:04:05Z", cannot("2026-01-02T03:04:05Z", "Z", ".000000")),
            ("x", cannot("x", "x", "2006")),
        ] {
            assert_eq!(canonical_micro(text), want, "{text}");
        }
    }

    #[test]
    fn go_durations() {
        for (text, millis) in [("0", 0), ("5s", 5000), ("1m30s", 90_000), ("1.5h", 5_400_000), ("250ms", 250)] {
            assert_eq!(parse_go_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "5x", "-5s", "1h 5m", "1e400s", ".s", "1.2.3s", "9999999999h"] {
            assert_eq!(parse_go_duration(text), None, "{text}");
        }
        for (text, canonical) in [
            ("0", "0s"),
            ("90m", "1h30m0s"),
            ("1h0.5s", "1h0m0.5s"),
            ("60s", "1m0s"),
            ("1500ms", "1.5s"),
            ("250ms", "250ms"),
            ("1.5ms", "1.5ms"),
            ("10us", "10µs"),
            ("7ns", "7ns"),
            ("-5s", "-5s"),
            ("2540400h10m10.000000005s", "2540400h10m10.000000005s"),
        ] {
            assert_eq!(parse_go_nanos(text).map(format_go_duration).as_deref(), Some(canonical), "{text}");
        }
    }
}
