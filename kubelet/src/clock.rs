//! Times between the runtime (nanoseconds), the API (RFC 3339) and monotonic waits.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use k8s_openapi::jiff::{Timestamp, ToSpan};

/// Now, with the API's precision of one second.
pub fn now() -> Time {
    Time(whole_seconds(Timestamp::now()))
}

/// Now, with microseconds.
pub fn now_micro() -> MicroTime {
    MicroTime(Timestamp::now())
}

/// A time of the runtime; 0 means never.
pub fn from_nanos(nanos: i64) -> Option<Time> {
    (nanos != 0).then(|| Timestamp::from_nanosecond(i128::from(nanos)).ok().map(|t| Time(whole_seconds(t)))).flatten()
}

/// Cuts the fraction off, as the wire does: otherwise a value differs from what comes back.
pub fn whole_seconds(t: Timestamp) -> Timestamp {
    Timestamp::from_second(t.as_second()).unwrap_or(t)
}

/// Seconds from `then` until now, negative if `then` is to come.
pub fn seconds_since(then: Timestamp) -> i64 {
    Timestamp::now().as_second() - then.as_second()
}

/// `then` moved by whole seconds, saturating.
pub fn plus_seconds(then: Timestamp, seconds: i64) -> Timestamp {
    then.checked_add(seconds.clamp(-1_000_000_000, 1_000_000_000).seconds()).unwrap_or(then)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_never() {
        assert!(from_nanos(0).is_none());
        assert_eq!(from_nanos(1_999_999_999).map(|t| t.0.as_second()), Some(1));
    }
}
