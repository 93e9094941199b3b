//! Which time of a schedule was last due, and when the next one is.
//!
//! Upstream: `pkg/controller/cronjob/utils.go`.

use super::schedule::Schedule;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::CronJob;

/// The next look is that much after the time it is for: clocks differ a little.
const SKEW: SignedDuration = SignedDuration::from_millis(100);
/// More missed times than this are too many to be normal.
const MANY: i64 = 100;

/// How many times were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missed {
    None,
    Few,
    Many,
}

/// A look back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Past {
    /// Where the look begins.
    earliest: Timestamp,
    /// The last time that was due.
    pub(super) due: Option<Timestamp>,
    pub(super) missed: Missed,
}

/// A schedule that never comes, such as 31 February.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("time difference between two schedules is less than 1 second")]
pub(super) struct Impossible;

/// Looks back to the last run, or to the creation; with `deadline` not further than a start would
/// still be allowed.
pub(super) fn look_back(
    cron_job: &CronJob,
    schedule: &Schedule,
    now: Timestamp,
    deadline: Option<i64>,
) -> Result<Past, Impossible> {
    let last = cron_job.status.as_ref().and_then(|status| status.last_schedule_time.as_ref());
    let from = last.or(cron_job.metadata.creation_timestamp.as_ref()).map_or(now, |time| time.0);
    let allowed = deadline.and_then(|seconds| now.checked_sub(SignedDuration::from_secs(seconds)).ok());
    let earliest = allowed.map_or(from, |allowed| allowed.max(from));
    let first = schedule.next(earliest).ok_or(Impossible)?;
    if now < first {
        return Ok(Past { earliest, due: None, missed: Missed::None });
    }
    let second = schedule.next(first).ok_or(Impossible)?;
    if now < second {
        return Ok(Past { earliest, due: Some(first), missed: Missed::None });
    }
    let between = second.duration_since(first).as_secs();
    if between < 1 {
        return Err(Impossible);
    }
    // A guess for schedules that are not regular; good enough to begin close to the end.
    let count = now.duration_since(first).as_secs() / between + 1;
    let skipped = SignedDuration::from_secs((count - 2).saturating_mul(between));
    let start = first.checked_add(skipped).unwrap_or(first);
    let times = std::iter::successors(schedule.next(start), |time| schedule.next(*time));
    let due = times.take_while(|time| *time <= now).last();
    Ok(Past { earliest, due, missed: if count > MANY { Missed::Many } else { Missed::Few } })
}

/// How long until the schedule has to be looked at again; `None` if it never comes.
pub(super) fn next_in(cron_job: &CronJob, schedule: &Schedule, now: Timestamp) -> Option<SignedDuration> {
    let from = match look_back(cron_job, schedule, now, None) {
        Ok(Past { due: Some(due), .. }) => due,
        Ok(Past { earliest, missed: Missed::None, .. }) => earliest,
        _ => now,
    };
    Some(schedule.next(from)?.duration_since(now) + SKEW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;
    use serde_json::json;

    fn past(schedule: &str, last: Option<&str>, now: &str, deadline: Option<i64>) -> Result<Past, Impossible> {
        let cron_job = serde_json::from_value(json!({
            "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"schedule": schedule, "jobTemplate": {}}, "status": {"lastScheduleTime": last}}));
        let schedule = Schedule::parse(schedule, TimeZone::UTC).unwrap();
        look_back(&cron_job.unwrap(), &schedule, now.parse().unwrap(), deadline)
    }

    #[test]
    fn what_was_due() {
        let table = [
            ("0 * * * *", None, "2026-01-01T00:59:59Z", None, None, Missed::None),
            ("0 * * * *", None, "2026-01-01T01:00:00Z", None, Some("2026-01-01T01:00:00Z"), Missed::None),
            ("0 * * * *", None, "2026-01-01T05:30:00Z", None, Some("2026-01-01T05:00:00Z"), Missed::Few),
            ("0 * * * *", Some("2026-01-01T05:00:00Z"), "2026-01-01T05:30:00Z", None, None, Missed::None),
            ("0 * * * *", None, "2026-01-11T05:30:00Z", None, Some("2026-01-11T05:00:00Z"), Missed::Many),
            ("0 * * * *", None, "2026-01-01T05:30:00Z", Some(60), None, Missed::None),
            ("0 * * * *", None, "2026-01-01T05:00:30Z", Some(60), Some("2026-01-01T05:00:00Z"), Missed::None),
            ("30 6-16/4 * * 1-5", None, "2026-01-05T11:00:00Z", None, Some("2026-01-05T10:30:00Z"), Missed::Few),
            ("@every 7m", None, "2026-01-01T00:30:00Z", None, Some("2026-01-01T00:28:00Z"), Missed::Few),
        ];
        for (schedule, last, now, deadline, due, missed) in table {
            let past = past(schedule, last, now, deadline).unwrap();
            let found = past.due.map(|time| time.to_string());
            assert_eq!((found.as_deref(), past.missed), (due, missed), "{schedule} at {now}");
        }
        assert_eq!(past("59 23 31 2 *", None, "2026-01-01T00:00:00Z", None), Err(Impossible));
    }
}
