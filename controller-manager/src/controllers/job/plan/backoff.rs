//! How long a job waits before it replaces a failed pod: 10 s, doubled with each failure since the
//! last success, at most 10 min.
//!
//! Upstream: `pkg/controller/job/backoff_utils.go`.

use super::pods;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;

const FIRST: SignedDuration = SignedDuration::from_secs(10);
const LAST: SignedDuration = SignedDuration::from_secs(600);

/// The failures of a job since its last success. It is remembered only by the process: after a
/// restart the delays begin anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Backoff {
    failures: i32,
    last: Option<Timestamp>,
}

impl Backoff {
    /// After these pods, which were not seen before, have ended.
    pub(super) fn after(self, succeeded: &[Arc<Pod>], failed: &[Arc<Pod>]) -> Self {
        let mut failures: Vec<_> = failed.iter().map(|pod| pods::finished_at(pod)).collect();
        let before = match succeeded.iter().map(|pod| pods::finished_at(pod)).max() {
            Some(success) => {
                failures.retain(|at| *at > success);
                Self::default()
            }
            None => self,
        };
        let count = i32::try_from(failures.len()).unwrap_or(i32::MAX);
        Self { failures: before.failures.saturating_add(count), last: failures.into_iter().max().or(before.last) }
    }

    /// How long to wait before the next pod.
    pub(super) fn remaining(self, now: Timestamp) -> Option<SignedDuration> {
        remaining(self.failures, self.last?, now)
    }
}

/// How long to wait before the index of this failed pod is tried again.
pub(super) fn remaining_for_index(failed: &Pod, now: Timestamp) -> Option<SignedDuration> {
    let failures = pods::failures(failed).saturating_add(pods::ignored_failures(failed)).saturating_add(1);
    remaining(failures, pods::finished_at(failed), now)
}

fn remaining(failures: i32, last: Timestamp, now: Timestamp) -> Option<SignedDuration> {
    let doublings = u32::try_from(failures).ok()?.checked_sub(1)?;
    let delay = FIRST.checked_mul(1 << doublings.min(10)).unwrap_or(LAST).min(LAST);
    let left = delay - now.duration_since(last);
    left.is_positive().then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(ended: i64) -> Arc<Pod> {
        let at = Timestamp::from_second(ended).unwrap().to_string();
        Arc::new(serde_json::from_value(json!({"metadata": {"creationTimestamp": at}})).unwrap())
    }

    fn backoff(failures: i32, last: i64) -> Backoff {
        Backoff { failures, last: Some(Timestamp::from_second(last).unwrap()) }
    }

    #[test]
    fn failures_since_the_last_success() {
        let table: [(Backoff, &[i64], &[i64], Backoff); 6] = [
            (Backoff::default(), &[], &[], Backoff::default()),
            (Backoff::default(), &[], &[5, 3], backoff(2, 5)),
            (backoff(2, 5), &[], &[7], backoff(3, 7)),
            (backoff(2, 5), &[], &[], backoff(2, 5)),
            (backoff(2, 5), &[6], &[], Backoff::default()),
            (backoff(2, 5), &[6], &[4, 8, 9], backoff(2, 9)),
        ];
        for (before, succeeded, failed, expected) in table {
            let pods = |ends: &[i64]| ends.iter().map(|end| pod(*end)).collect::<Vec<_>>();
            assert_eq!(before.after(&pods(succeeded), &pods(failed)), expected, "{before:?} {succeeded:?} {failed:?}");
        }
    }

    #[test]
    fn delays_double_up_to_ten_minutes() {
        let now = Timestamp::from_second(100).unwrap();
        for (failures, seconds) in
            [(0, None), (1, Some(10)), (2, Some(20)), (4, Some(80)), (7, Some(600)), (99, Some(600))]
        {
            let left = backoff(failures, 100).remaining(now).map(|left| left.as_secs());
            assert_eq!(left, seconds, "{failures}");
        }
        assert_eq!(backoff(1, 90).remaining(now), None);
        assert_eq!(backoff(2, 90).remaining(now), Some(SignedDuration::from_secs(10)));
    }
}
