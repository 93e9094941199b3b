//! When a finished job goes.

use crate::controllers::job::finished_as;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;

/// What becomes of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has not finished, may stay forever, or is being deleted already.
    Stays,
    /// It goes when this time is over.
    GoesIn(SignedDuration),
    /// Its time is over.
    Goes,
}

/// Judges a job.
pub(super) fn judge(job: &Job, now: Timestamp) -> Verdict {
    let ttl = job.spec.as_ref().and_then(|spec| spec.ttl_seconds_after_finished);
    let (Some(ttl), Some(end), None) = (ttl, finished_as(job), &job.metadata.deletion_timestamp) else {
        return Verdict::Stays;
    };
    let mut conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let finished = conditions.find(|condition| condition.type_ == end && condition.status == "True");
    let Some(finished) = finished.and_then(|condition| condition.last_transition_time.as_ref()) else {
        return Verdict::Stays;
    };
    // An end in the future, by a clock that goes wrong, defers the deletion.
    let left = SignedDuration::from_secs(ttl.into()) - now.duration_since(finished.0);
    if left.is_positive() { Verdict::GoesIn(left) } else { Verdict::Goes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn verdicts() {
        let ended =
            |kind: &str| json!([{"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
        let deleting = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        let left = |seconds| Verdict::GoesIn(SignedDuration::from_secs(seconds));
        let table: [(Value, Value, Value, Verdict); 7] = [
            (json!({}), json!(60), ended("Complete"), left(50)),
            (json!({}), json!(60), ended("Failed"), left(50)),
            (json!({}), json!(10), ended("Complete"), Verdict::Goes),
            (json!({}), json!(0), ended("Complete"), Verdict::Goes),
            (json!({}), json!(0), ended("Suspended"), Verdict::Stays),
            (json!({}), json!(null), ended("Complete"), Verdict::Stays),
            (deleting, json!(0), ended("Complete"), Verdict::Stays),
        ];
        for (meta, ttl, conditions, expected) in table {
            let job = json!({"metadata": meta, "spec": {"ttlSecondsAfterFinished": ttl, "template": {}},
                "status": {"conditions": conditions}});
            let verdict = judge(&serde_json::from_value(job.clone()).unwrap(), "2026-01-01T00:00:10Z".parse().unwrap());
            assert_eq!(verdict, expected, "{job}");
        }
    }
}
