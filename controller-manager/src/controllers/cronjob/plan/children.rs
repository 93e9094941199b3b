//! What the jobs of a cron job mean for its status, and which of them are kept.

use super::Note;
use crate::controllers::job::finished_as;
use k8s_openapi::api::batch::v1::{CronJobSpec, CronJobStatus, Job};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::sync::Arc;

/// Takes a job out of the list of active ones; `false` if it was not there.
pub(in super::super) fn forget(status: &mut CronJobStatus, uid: &str) -> bool {
    let active = status.active.get_or_insert_default();
    let before = active.len();
    active.retain(|job| job.uid.as_deref() != Some(uid));
    let changed = active.len() != before;
    if active.is_empty() {
        status.active = None;
    }
    changed
}

/// Whether the job is in the list of active ones.
fn is_active(status: &CronJobStatus, uid: &str) -> bool {
    status.active.iter().flatten().any(|job| job.uid.as_deref() == Some(uid))
}

/// Brings the status up to what the jobs say.
pub(in super::super) fn observe(status: &mut CronJobStatus, jobs: &[Arc<Job>]) -> Vec<Note> {
    let mut notes = Vec::new();
    for job in jobs {
        let (uid, name) = (uid(job), job.metadata.name.as_deref().unwrap_or_default());
        let Some(end) = finished_as(job) else {
            if !is_active(status, uid) {
                let text = format!("Saw a job that the controller did not create or forgot: {name}");
                notes.push(Note::warning("UnexpectedJob", text));
            }
            continue;
        };
        if forget(status, uid) {
            notes.push(Note::normal("SawCompletedJob", format!("Saw completed job: {name}, condition: {end}")));
        }
        let completed = job.status.as_ref().and_then(|status| status.completion_time.as_ref());
        let completed = completed.filter(|_| end == "Complete");
        status.last_successful_time = later(status.last_successful_time.take(), completed);
    }
    notes
}

fn later(a: Option<Time>, b: Option<&Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(Time(a.0.max(b.0))),
        (a, b) => a.or_else(|| b.cloned()),
    }
}

fn uid(job: &Job) -> &str {
    job.metadata.uid.as_deref().unwrap_or_default()
}

/// The finished jobs beyond the limits of the history, oldest first.
pub(in super::super) fn surplus(spec: &CronJobSpec, jobs: &[Arc<Job>]) -> Vec<Arc<Job>> {
    let of = |end: &str, limit: Option<i32>| {
        let Some(limit) = limit else { return Vec::new() };
        let mut ended: Vec<_> = jobs.iter().filter(|job| finished_as(job) == Some(end)).cloned().collect();
        ended.sort_by_key(|job| age(job));
        let keep = usize::try_from(limit).unwrap_or(0);
        ended.truncate(ended.len().saturating_sub(keep));
        ended
    };
    let mut doomed = of("Complete", spec.successful_jobs_history_limit);
    doomed.extend(of("Failed", spec.failed_jobs_history_limit));
    doomed
}

/// Jobs that never started are the youngest.
fn age(job: &Job) -> (bool, Option<jiff::Timestamp>, String) {
    let started = job.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|time| time.0);
    (started.is_none(), started, job.metadata.name.clone().unwrap_or_default())
}

/// The active jobs that are not among these.
pub(in super::super) fn missing(status: &CronJobStatus, jobs: &[Arc<Job>]) -> Vec<(String, String)> {
    let active = status.active.iter().flatten();
    let missing = active.filter(|active| !jobs.iter().any(|job| job.metadata.uid == active.uid));
    missing.map(|job| (job.name.clone().unwrap_or_default(), job.uid.clone().unwrap_or_default())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn job(name: &str, end: Option<&str>, started: Option<&str>) -> Arc<Job> {
        let conditions: Vec<Value> = end.map(|kind| json!({"type": kind, "status": "True"})).into_iter().collect();
        Arc::new(
            serde_json::from_value(json!({"metadata": {"name": name, "uid": name},
                "status": {"startTime": started, "completionTime": started, "conditions": conditions}}))
            .unwrap(),
        )
    }

    fn status(active: &[&str]) -> CronJobStatus {
        let active: Vec<_> = active.iter().map(|uid| json!({"uid": uid, "name": uid})).collect();
        serde_json::from_value(json!({"active": active})).unwrap()
    }

    #[test]
    fn finished_jobs_leave_the_list() {
        let mut status = status(&["a", "b", "c"]);
        let jobs = [
            job("a", Some("Complete"), Some("2026-01-01T00:00:05Z")),
            job("b", Some("Failed"), Some("2026-01-01T00:00:09Z")),
            job("c", None, None),
            job("d", None, None),
            job("e", Some("Complete"), Some("2026-01-01T00:00:07Z")),
        ];
        let notes: Vec<_> = observe(&mut status, &jobs).into_iter().map(|note| note.text).collect();
        assert_eq!(
            notes,
            [
                "Saw completed job: a, condition: Complete",
                "Saw completed job: b, condition: Failed",
                "Saw a job that the controller did not create or forgot: d",
            ]
        );
        assert_eq!(status.active.as_ref().unwrap().len(), 1);
        assert_eq!(status.last_successful_time.as_ref().unwrap().0.to_string(), "2026-01-01T00:00:07Z");
        assert!(missing(&status, &jobs).is_empty());
        assert_eq!(missing(&status, &jobs[..1]), [("c".to_owned(), "c".to_owned())]);
    }

    #[test]
    fn the_history_is_bounded() {
        let spec = |good: Option<i32>, bad: Option<i32>| -> CronJobSpec {
            serde_json::from_value(json!({"schedule": "", "jobTemplate": {},
                "successfulJobsHistoryLimit": good, "failedJobsHistoryLimit": bad}))
            .unwrap()
        };
        let jobs = [
            job("new", Some("Complete"), Some("2026-01-01T00:00:09Z")),
            job("old", Some("Complete"), Some("2026-01-01T00:00:01Z")),
            job("bad", Some("Failed"), None),
            job("runs", None, None),
        ];
        let table: [(Option<i32>, Option<i32>, &[&str]); 4] = [
            (Some(1), Some(1), &["old"]),
            (Some(0), Some(0), &["old", "new", "bad"]),
            (None, Some(0), &["bad"]),
            (Some(3), None, &[]),
        ];
        for (good, bad, expected) in table {
            let doomed = surplus(&spec(good, bad), &jobs);
            let names: Vec<_> = doomed.iter().filter_map(|job| job.metadata.name.as_deref()).collect();
            assert_eq!(names, expected, "{good:?} {bad:?}");
        }
    }
}
