//! Durations as Go writes them: `1m30s`, `500ms`, `-1h`.
//!
//! Upstream: Go's `time.ParseDuration`, `meta/v1.Duration`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A non-negative duration in Go's text form; for flags and configuration fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(pub Duration);

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not of the form.
    #[error("invalid duration {0:?}")]
    Invalid(String),
    /// A number without `s`, `ms`, ….
    #[error("missing unit in duration {0:?}")]
    MissingUnit(String),
    /// A unit that there is not.
    #[error("unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit {
        /// The unit.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// Below zero, or more than can be counted.
    #[error("duration {0:?} is out of range")]
    OutOfRange(String),
}

/// The micro sign has two forms.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("\u{b5}s", 1e3),
    ("\u{3bc}s", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

impl GoDuration {
    /// So many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let invalid = || DurationError::Invalid(text.to_owned());
        let unsigned = text.strip_prefix('+').unwrap_or(text);
        if unsigned == "0" {
            return Ok(Self::default());
        }
        if unsigned.starts_with('-') {
            return Err(DurationError::OutOfRange(text.to_owned()));
        }
        let mut rest = unsigned;
        let mut nanos = 0.0;
        if rest.is_empty() {
            return Err(invalid());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
            let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit() || c == '.').map(|at| at + digits);
            let unit = &rest[digits..unit_end.unwrap_or(rest.len())];
            if unit.is_empty() {
                return Err(DurationError::MissingUnit(text.to_owned()));
            }
            let unknown = || DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() };
            let factor = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(unknown)?.1;
            nanos += number * factor;
            rest = &rest[digits + unit.len()..];
        }
        let nanos = if nanos <= i64::MAX as f64 {
            nanos as u64
        } else {
            return Err(DurationError::OutOfRange(text.to_owned()));
        };
        Ok(Self(Duration::from_nanos(nanos)))
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let (hours, minutes) = (self.0.as_secs() / 3600, self.0.as_secs() / 60 % 60);
        let seconds = decimal((self.0.as_secs() % 60) as f64 + f64::from(self.0.subsec_nanos()) / 1e9);
        match nanos {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{nanos}ns"),
            1_000..1_000_000 => write!(f, "{}µs", decimal(nanos as f64 / 1e3)),
            1_000_000..1_000_000_000 => write!(f, "{}ms", decimal(nanos as f64 / 1e6)),
            _ if hours > 0 => write!(f, "{hours}h{minutes}m{seconds}s"),
            _ if minutes > 0 => write!(f, "{minutes}m{seconds}s"),
            _ => write!(f, "{seconds}s"),
        }
    }
}

/// Without trailing zeros.
fn decimal(number: f64) -> String {
    let text = format!("{number:.9}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl From<GoDuration> for Duration {
    fn from(duration: GoDuration) -> Self {
        duration.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_s_durations_are_read_and_written() {
        let table = [
            ("0", 0, "0s"),
            ("10s", 10_000, "10s"),
            ("1m0s", 60_000, "1m0s"),
            ("90m", 5_400_000, "1h30m0s"),
            ("1.5s", 1500, "1.5s"),
            ("250ms", 250, "250ms"),
            ("1h2m3.5s", 3_723_500, "1h2m3.5s"),
        ];
        for (text, millis, printed) in table {
            let duration: GoDuration = text.parse().unwrap();
            assert_eq!(duration.0.as_millis(), millis, "{text}");
            assert_eq!(duration.to_string(), printed);
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        assert_eq!("10".parse::<GoDuration>(), Err(DurationError::MissingUnit("10".into())));
        let unknown = DurationError::UnknownUnit { unit: "x".into(), text: "1m2x".into() };
        assert_eq!("1m2x".parse::<GoDuration>(), Err(unknown));
        for text in ["", "s", "1..2s", "abc"] {
            assert!(matches!(text.parse::<GoDuration>(), Err(DurationError::Invalid(_))), "{text}");
        }
        for text in ["-1s", "99999999999h"] {
            assert!(matches!(text.parse::<GoDuration>(), Err(DurationError::OutOfRange(_))), "{text}");
        }
    }
}
