//! Steps, case by case.

use super::*;
use serde_json::{Value, json};

fn cron_job(spec: Value, status: Value) -> CronJob {
    let mut all = json!({"schedule": "0 * * * *", "concurrencyPolicy": "Allow", "timeZone": "UTC",
        "jobTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": {"template": {}}}});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({"metadata": {"name": "tick", "namespace": "n", "uid": "u",
        "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": all, "status": status}))
    .unwrap()
}

fn describe(spec: Value, status: Value, now: &str) -> String {
    let cron_job = cron_job(spec, status);
    let plan = plan(&cron_job, &cron_job.status.clone().unwrap_or_default(), now.parse().unwrap());
    let step = match plan.step {
        Step::Idle => "idle".to_owned(),
        Step::Wait(left) => format!("wait {}", left.as_secs()),
        Step::Start { at, replace, next } => {
            format!("start {at} {replace} {}", next.map_or(0, |next| next.as_secs()))
        }
    };
    let reasons: Vec<_> = plan.notes.iter().map(|note| note.reason).collect();
    format!("{step} {}", reasons.join(",")).trim_end().to_owned()
}

#[test]
fn steps() {
    let busy = json!({"active": [{"name": "tick-1", "uid": "j"}], "lastScheduleTime": "2026-01-01T00:00:00Z"});
    let table = [
        (json!({}), json!({}), "2026-01-01T00:30:00Z", "wait 1800"),
        (json!({}), json!({}), "2026-01-01T01:00:01Z", "start 2026-01-01T01:00:00Z false 3599"),
        (json!({"suspend": true}), json!({}), "2026-01-01T01:00:01Z", "idle"),
        (json!({"timeZone": "Nowhere"}), json!({}), "2026-01-01T01:00:01Z", "idle UnknownTimeZone"),
        (json!({"schedule": "x"}), json!({}), "2026-01-01T01:00:01Z", "idle UnparseableSchedule"),
        (json!({"schedule": "0 0 31 2 *"}), json!({}), "2026-01-01T01:00:01Z", "idle InvalidSchedule"),
        (json!({}), json!({"lastScheduleTime": "2026-01-01T01:00:00Z"}), "2026-01-01T01:00:01Z", "wait 3599"),
        (json!({"startingDeadlineSeconds": 10}), json!({}), "2026-01-01T01:00:11Z", "wait 3589"),
        (json!({"concurrencyPolicy": "Forbid"}), busy.clone(), "2026-01-01T01:00:00Z", "wait 3600 JobAlreadyActive"),
        (
            json!({"concurrencyPolicy": "Forbid"}),
            json!({}),
            "2026-01-01T01:00:00Z",
            "start 2026-01-01T01:00:00Z false 3600",
        ),
        (
            json!({"concurrencyPolicy": "Replace"}),
            busy.clone(),
            "2026-01-01T01:00:00Z",
            "start 2026-01-01T01:00:00Z true 3600",
        ),
        (json!({}), busy, "2026-01-01T01:00:00Z", "start 2026-01-01T01:00:00Z false 3600"),
        (json!({}), json!({"active": [{"name": "tick-29453820", "uid": "j"}]}), "2026-01-01T01:00:00Z", "wait 3600"),
        (json!({}), json!({}), "2026-01-20T01:00:01Z", "start 2026-01-20T01:00:00Z false 3599 TooManyMissedTimes"),
    ];
    for (spec, status, now, expected) in table {
        assert_eq!(describe(spec.clone(), status, now), expected, "{spec} at {now}");
    }
}

#[test]
fn the_job_of_a_time() {
    let at: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
    let made = job(&cron_job(json!({"timeZone": "Europe/Berlin"}), json!({})), at);
    assert_eq!(made.metadata.name.as_deref(), Some("tick-29453820"));
    assert_eq!(made.metadata.annotations.unwrap()[SCHEDULED_AT], "2026-01-01T02:00:00+01:00");
    assert_eq!(made.metadata.labels.unwrap()["a"], "b");
    assert_eq!(made.metadata.owner_references.unwrap()[0].kind, "CronJob");
    let made = job(&cron_job(json!({"timeZone": null}), json!({})), at);
    assert_eq!(made.metadata.annotations.unwrap()[SCHEDULED_AT], "2026-01-01T01:00:00Z");
}
