//! Parts of timestamps and durations.
//!
//! Upstream: `cel-go/common/types/{timestamp,duration}.go`, with UTC as the default zone.

use super::{Function, member, text, wrong};
use crate::EvalError;
use crate::value::Value;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

const DATE: &[&str] = &["timestamp -> int", "timestamp, string -> int"];
const CLOCK: &[&str] = &["timestamp -> int", "timestamp, string -> int", "duration -> int"];

pub(super) const FUNCTIONS: &[Function] = &[
    member("getFullYear", DATE, |a, _| date_and_years(a).map(|(t, years)| Value::Int(i64::from(t.year()) + years))),
    member("getMonth", DATE, |a, _| date(a, |t| i64::from(t.month()) - 1)),
    member("getDate", DATE, |a, _| date(a, |t| t.day().into())),
    member("getDayOfMonth", DATE, |a, _| date(a, |t| i64::from(t.day()) - 1)),
    member("getDayOfWeek", DATE, |a, _| date(a, |t| t.weekday().to_sunday_zero_offset().into())),
    member("getDayOfYear", DATE, |a, _| date(a, |t| i64::from(t.day_of_year()) - 1)),
    member("getHours", CLOCK, |a, _| clock(a, |t| t.hour().into(), 3_600_000_000_000)),
    member("getMinutes", CLOCK, |a, _| clock(a, |t| t.minute().into(), 60_000_000_000)),
    member("getSeconds", CLOCK, |a, _| clock(a, |t| t.second().into(), 1_000_000_000)),
    member("getMilliseconds", CLOCK, |a, _| clock(a, |t| t.millisecond().into(), 1_000_000)),
];

fn date<'a>(a: &[Value<'a>], part: fn(&DateTime) -> i64) -> Result<Value<'a>, EvalError> {
    date_and_years(a).map(|(time, _)| Value::Int(part(&time)))
}

/// The date in the zone that is asked for, and the years to add to its own.
fn date_and_years(a: &[Value<'_>]) -> Result<(DateTime, i64), EvalError> {
    let Value::Timestamp(time) = &a[0] else { return Err(EvalError::NoOverload) };
    let zone = if a.len() > 1 { zone(text(a, 1)?)? } else { TimeZone::UTC };
    Ok(time.civil(&zone))
}

fn clock<'a>(a: &[Value<'a>], part: fn(&DateTime) -> i64, unit: i64) -> Result<Value<'a>, EvalError> {
    match &a[0] {
        Value::Duration(nanos) => Ok(Value::Int(nanos / unit)),
        _ => date(a, part),
    }
}

/// A zone by name, or as `+01:30`.
fn zone(name: &str) -> Result<TimeZone, EvalError> {
    if name.is_empty() {
        return Ok(TimeZone::UTC);
    }
    if let Some(offset) = fixed(name) {
        return Ok(TimeZone::fixed(offset));
    }
    TimeZone::get(name).or_else(|_| wrong(format!("unknown time zone {name}")))
}

fn fixed(name: &str) -> Option<Offset> {
    let (hours, minutes) = name.split_once(':')?;
    let negative = hours.starts_with('-');
    let hours: i32 = hours.trim_start_matches(['+', '-']).parse().ok()?;
    let seconds = hours.checked_mul(3600)?.checked_add(minutes.parse::<i32>().ok()?.checked_mul(60)?)?;
    Offset::from_seconds(if negative { -seconds } else { seconds }).ok()
}
