//! Schedules in cron's form: five fields, or a descriptor such as `@hourly` or `@every 1h30m`.
//!
//! Upstream: `github.com/robfig/cron/v3`, `ParseStandard`.

use component::GoDuration;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _, Zoned};

/// When something happens.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Schedule {
    /// At the times whose fields fit, on this clock.
    Calendar(Fields, TimeZone),
    /// Again and again after this time.
    Every(SignedDuration),
}

/// The values that fit, a bit each; the seconds are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Fields {
    minute: u64,
    hour: u64,
    day: u64,
    month: u64,
    weekday: u64,
}

/// What is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum ScheduleError {
    /// Nothing.
    #[error("empty spec string")]
    Empty,
    /// `TZ=` names no time zone.
    #[error("provided bad location {0}: unknown time zone {0}")]
    Location(String),
    /// `@` and something unknown.
    #[error("unrecognized descriptor: {0}")]
    Descriptor(String),
    /// `@every` and no duration.
    #[error("failed to parse duration {0}")]
    Duration(String),
    /// Not five fields.
    #[error("expected exactly 5 fields, found {count}: [{text}]")]
    Count {
        /// How many there are.
        count: usize,
        /// The fields.
        text: String,
    },
    /// A part of a field that makes no sense.
    #[error("{why}: {part}")]
    Field {
        /// What is wrong.
        why: String,
        /// The part.
        part: String,
    },
}

/// Set when a field says nothing: then the other one of the two days decides alone.
const STAR: u64 = 1 << 63;

/// The values of a field.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const MINUTE: Bounds = Bounds { min: 0, max: 59, names: &[] };
const HOUR: Bounds = Bounds { min: 0, max: 23, names: &[] };
const DAY: Bounds = Bounds { min: 1, max: 31, names: &[] };
const MONTH: Bounds = Bounds {
    min: 1,
    max: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAY: Bounds = Bounds { min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

impl Schedule {
    /// Reads a schedule; `zone` is the clock unless the text begins with `TZ=`.
    pub(in super::super) fn parse(text: &str, zone: TimeZone) -> Result<Self, ScheduleError> {
        let (text, zone) = match text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) {
            Some(rest) => {
                let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                (rest.trim(), TimeZone::get(name).map_err(|_| ScheduleError::Location(name.to_owned()))?)
            }
            None => (text, zone),
        };
        if text.is_empty() {
            return Err(ScheduleError::Empty);
        }
        if let Some(duration) = text.strip_prefix("@every ") {
            return every(duration).ok_or_else(|| ScheduleError::Duration(text.to_owned()));
        }
        let fields = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other if other.starts_with('@') => return Err(ScheduleError::Descriptor(other.to_owned())),
            other => other,
        };
        Ok(Self::Calendar(Fields::parse(fields)?, zone))
    }

    /// The first time after this one; `None` if there is none within five years.
    pub(in super::super) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let whole = Timestamp::from_second(after.as_second()).ok()?;
        match self {
            Self::Every(period) => whole.checked_add(*period).ok(),
            Self::Calendar(fields, zone) => fields.next(whole.to_zoned(zone.clone())).map(|time| time.timestamp()),
        }
    }
}

/// Whole seconds, and at least one.
fn every(text: &str) -> Option<Schedule> {
    let duration: GoDuration = text.parse().ok()?;
    let seconds = i64::try_from(duration.0.as_secs()).ok()?;
    Some(Schedule::Every(SignedDuration::from_secs(seconds.max(1))))
}

impl Fields {
    fn parse(text: &str) -> Result<Self, ScheduleError> {
        let fields: Vec<_> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(ScheduleError::Count { count: fields.len(), text: fields.join(" ") });
        };
        Ok(Self {
            minute: field(minute, MINUTE)?,
            hour: field(hour, HOUR)?,
            day: field(day, DAY)?,
            month: field(month, MONTH)?,
            weekday: field(weekday, WEEKDAY)?,
        })
    }

    /// Goes from the largest unit to the smallest; a unit that wraps around begins anew. Hours and
    /// less go by on the clock on the wall: what a change of the clock skips is skipped.
    fn next(&self, after: Zoned) -> Option<Zoned> {
        let mut time = after.checked_add(1.second()).ok()?;
        let last_year = i32::from(time.year()) + 5;
        while i32::from(time.year()) <= last_year {
            time = match self.step(&time)? {
                Step::Fits => return Some(time),
                Step::To(later) => later,
            };
        }
        None
    }

    /// One step towards a time that fits.
    fn step(&self, time: &Zoned) -> Option<Step> {
        let has = |bits: u64, value: i8| bits & (1 << value) != 0;
        let next = if !has(self.month, time.month()) {
            time.first_of_month().ok()?.checked_add(1.month()).ok()?.start_of_day().ok()?
        } else if !self.has_day(time) {
            time.tomorrow().ok()?.start_of_day().ok()?
        } else if !has(self.hour, time.hour()) {
            whole(time, i64::from(time.minute()) * 60 + i64::from(time.second()))?.checked_add(1.hour()).ok()?
        } else if !has(self.minute, time.minute()) || time.second() != 0 {
            whole(time, i64::from(time.second()))?.checked_add(1.minute()).ok()?
        } else {
            return Some(Step::Fits);
        };
        Some(Step::To(next))
    }

    /// Of two days that are restricted, one has to fit.
    fn has_day(&self, time: &Zoned) -> bool {
        let day = self.day & (1 << time.day()) != 0;
        let weekday = self.weekday & (1 << sunday_first(time.weekday())) != 0;
        if (self.day | self.weekday) & STAR != 0 { day && weekday } else { day || weekday }
    }
}

enum Step {
    Fits,
    To(Zoned),
}

/// So many seconds earlier.
fn whole(time: &Zoned, seconds: i64) -> Option<Zoned> {
    time.checked_sub(seconds.seconds()).ok()
}

fn sunday_first(day: Weekday) -> i8 {
    day.to_sunday_zero_offset()
}

fn field(text: &str, bounds: Bounds) -> Result<u64, ScheduleError> {
    text.split(',').filter(|part| !part.is_empty()).try_fold(0, |bits, part| Ok(bits | range(part, bounds)?))
}

/// `*`, `5`, `1-5`, each with or without `/2`.
fn range(part: &str, bounds: Bounds) -> Result<u64, ScheduleError> {
    let wrong = |why: String| ScheduleError::Field { why, part: part.to_owned() };
    let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
    let (low, high) = range.split_once('-').map_or((range, None), |(low, high)| (low, Some(high)));
    if high.is_some_and(|high| high.contains('-')) {
        return Err(wrong("too many hyphens".to_owned()));
    }
    if step.is_some_and(|step| step.contains('/')) {
        return Err(wrong("too many slashes".to_owned()));
    }
    let is_star = matches!(low, "*" | "?");
    let (start, end) = match (is_star, high) {
        (true, _) => (bounds.min, bounds.max),
        (false, Some(high)) => (named(low, bounds)?, named(high, bounds)?),
        // A single number with a step goes on to the end.
        (false, None) if step.is_some() => (named(low, bounds)?, bounds.max),
        (false, None) => (named(low, bounds)?, named(low, bounds)?),
    };
    let step = step.map_or(Ok(1), number)?;
    if start < bounds.min {
        return Err(wrong(format!("beginning of range ({start}) below minimum ({})", bounds.min)));
    }
    if end > bounds.max {
        return Err(wrong(format!("end of range ({end}) above maximum ({})", bounds.max)));
    }
    if start > end {
        return Err(wrong(format!("beginning of range ({start}) beyond end of range ({end})")));
    }
    if step == 0 {
        return Err(wrong("step of range should be a positive number".to_owned()));
    }
    let bits = (start..=end).step_by(step as usize).fold(0, |bits, value| bits | (1 << value));
    Ok(if is_star && step == 1 { bits | STAR } else { bits })
}

fn named(text: &str, bounds: Bounds) -> Result<u32, ScheduleError> {
    let at = bounds.names.iter().position(|name| text.eq_ignore_ascii_case(name));
    match at.and_then(|at| u32::try_from(at).ok()) {
        Some(at) => Ok(at + bounds.min),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u32, ScheduleError> {
    text.parse().map_err(|_| ScheduleError::Field {
        why: format!("failed to parse int from {text}"),
        part: format!("strconv.Atoi: parsing {text:?}: invalid syntax"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(text: &str, zone: &str, after: &str) -> Option<String> {
        let schedule = Schedule::parse(text, TimeZone::get(zone).unwrap()).unwrap();
        schedule.next(after.parse().unwrap()).map(|time| time.to_string())
    }

    #[test]
    fn the_next_time() {
        let table = [
            ("* * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"),
            ("*/1 * * * ?", "2026-01-01T00:00:59.5Z", "2026-01-01T00:01:00Z"),
            ("*/15 * * * *", "2026-01-01T00:45:00Z", "2026-01-01T01:00:00Z"),
            ("20-35/15 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:20:00Z"),
            ("30 6-16/4 * * 1-5", "2026-01-02T14:30:00Z", "2026-01-05T06:30:00Z"),
            ("0 0 1 1 *", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 0 13 * fri", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            ("0 0 13 * *", "2026-01-01T00:00:00Z", "2026-01-13T00:00:00Z"),
            ("0 0 */2 * sun", "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z"),
            ("5/20 * * * *", "2026-01-01T00:26:00Z", "2026-01-01T00:45:00Z"),
            ("@hourly", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"),
            ("@weekly", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("@yearly", "2026-06-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("@every 1h30m", "2026-01-01T00:00:00.7Z", "2026-01-01T01:30:00Z"),
            ("@every 10ms", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"),
            ("TZ=Europe/Berlin 0 12 * * *", "2026-07-01T00:00:00Z", "2026-07-01T10:00:00Z"),
        ];
        for (text, after, expected) in table {
            assert_eq!(next(text, "UTC", after).as_deref(), Some(expected), "{text} after {after}");
        }
        assert_eq!(next("59 23 31 2 *", "UTC", "2026-01-01T00:00:00Z"), None);
    }

    #[test]
    fn clocks_that_change() {
        let table = [
            // 2:30 does not exist on 29 March 2026.
            ("30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"),
            // 2:30 comes twice on 25 October 2026.
            ("30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"),
            ("0 12 * * *", "2026-03-29T00:00:00Z", "2026-03-29T10:00:00Z"),
        ];
        for (text, after, expected) in table {
            assert_eq!(next(text, "Europe/Berlin", after).as_deref(), Some(expected), "{text} after {after}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        let table = [
            ("", "empty spec string"),
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("@never", "unrecognized descriptor: @never"),
            ("@every soon", "failed to parse duration @every soon"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            ("a * * * *", "failed to parse int from a: strconv.Atoi: parsing \"a\": invalid syntax"),
            ("TZ=Nowhere * * * * *", "provided bad location Nowhere: unknown time zone Nowhere"),
        ];
        for (text, expected) in table {
            let error = Schedule::parse(text, TimeZone::UTC).unwrap_err();
            assert_eq!(error.to_string(), expected, "{text:?}");
        }
    }
}
