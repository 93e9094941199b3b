//! Points in time, from the first year to the end of the year 9999.
//!
//! The calendar's own type ends two hours before the last day does, so that it is in all zones. What is later is looked
//! at as it was one cycle of the calendar before.
//!
//! Upstream: `cel-go/common/types/timestamp.go`.

use apimachinery::time;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::fmt;

const SECOND: i128 = 1_000_000_000;
/// The 400 years after which dates and weekdays repeat.
const CYCLE: i128 = 146_097 * 86_400 * SECOND;
/// Years in a cycle.
const YEARS: i64 = 400;
const FIRST: i128 = -62_135_596_800 * SECOND;
const LAST: i128 = 253_402_300_800 * SECOND - 1;

/// Nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(i128);

impl Moment {
    /// Reads an RFC 3339 time; the error has Go's words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let early = |why: String| match text.strip_prefix("9999") {
            Some(rest) => time::parse(&format!("9599{rest}")).map(|time| Self(time.as_nanosecond() + CYCLE)),
            None => Err(why),
        };
        time::parse(text).map(|time| Self(time.as_nanosecond())).or_else(early)
    }

    pub(crate) fn from_second(seconds: i64) -> Self {
        Self(i128::from(seconds) * SECOND)
    }

    /// Whether it lies in the years that timestamps may have.
    pub(crate) fn is_in_range(self) -> bool {
        (FIRST..=LAST).contains(&self.0)
    }

    pub(crate) fn as_second(self) -> i64 {
        // Whatever is in range fits, and nothing else is kept.
        i64::try_from(self.0.div_euclid(SECOND)).unwrap_or_default()
    }

    /// So many nanoseconds later, if that is in range.
    pub(crate) fn after(self, nanos: i64) -> Option<Self> {
        Some(Self(self.0 + i128::from(nanos))).filter(|moment| moment.is_in_range())
    }

    /// The nanoseconds since another one, if they can be counted.
    pub(crate) fn since(self, other: Self) -> Option<i64> {
        i64::try_from(self.0 - other.0).ok()
    }

    /// Date and clock in a zone, and the years to add to the date's.
    pub(crate) fn civil(self, zone: &TimeZone) -> (DateTime, i64) {
        let offset = zone.to_offset(self.timestamp().0).seconds();
        let local = Self(self.0 + i128::from(offset) * SECOND);
        let (timestamp, years) = local.timestamp();
        (TimeZone::UTC.to_datetime(timestamp), years)
    }

    /// The time in the calendar, a cycle before if it is late, and the years that this is before.
    fn timestamp(self) -> (Timestamp, i64) {
        match Timestamp::from_nanosecond(self.0) {
            Ok(timestamp) => (timestamp, 0),
            Err(_) => (Timestamp::from_nanosecond(self.0 - CYCLE).unwrap_or(Timestamp::MAX), YEARS),
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.timestamp() {
            (timestamp, 0) => timestamp.fmt(f),
            (early, _) => write!(f, "9999{}", early.to_string().trim_start_matches("9599")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Moment {
        Moment::parse(text).expect("a time")
    }

    #[test]
    fn times_reach_to_the_end() {
        for text in
            ["0001-01-01T00:00:00Z", "2024-02-29T12:00:00.5Z", "9999-12-30T21:00:00Z", "9999-12-31T23:59:59.999999999Z"]
        {
            let moment = moment(text);
            assert!(moment.is_in_range());
            assert_eq!(moment.to_string(), text);
        }
        assert_eq!(moment("9999-12-31T23:59:59Z").as_second(), 253_402_300_799);
        assert_eq!(moment("9999-12-31T23:59:59Z").since(moment("9999-12-30T00:00:00Z")), Some(172_799_000_000_000));
        assert_eq!(moment("9999-12-31T23:59:59Z").after(1_000_000_000), None);
        assert!(!moment("9999-12-31T23:59:59-01:00").is_in_range());
        assert!(Moment::parse("9999-13-01T00:00:00Z").is_err());
    }

    #[test]
    fn zones_reach_beyond_it() {
        let east = TimeZone::fixed(jiff::tz::offset(2));
        let (date, years) = moment("9999-12-31T23:30:00Z").civil(&east);
        assert_eq!((i64::from(date.year()) + years, date.month(), date.day(), date.hour()), (10000, 1, 1, 1));
        let west = TimeZone::fixed(jiff::tz::offset(-2));
        let (date, years) = moment("0001-01-01T00:30:00Z").civil(&west);
        assert_eq!((i64::from(date.year()) + years, date.month(), date.day(), date.hour()), (0, 12, 31, 22));
    }
}
