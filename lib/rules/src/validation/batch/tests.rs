//! Table tests of jobs and cron jobs.

use super::super::testing::{found, with};
use super::*;
use serde_json::json;

fn defaulted(plural: &str, mut object: Value) -> Value {
    let resource = apimachinery::resources::find("batch", "v1", plural).expect("a resource");
    crate::defaults::apply(resource, &mut object);
    object
}

fn a_job() -> Value {
    defaulted(
        "jobs",
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "uid": "u"}, "spec": {
            "completions": 3, "parallelism": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 1,
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
            "template": {"metadata": {"labels": {"controller-uid": "u", "job-name": "j",
                "batch.kubernetes.io/controller-uid": "u", "batch.kubernetes.io/job-name": "j"}},
                "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}]}}}}),
    )
}

#[test]
fn jobs() {
    assert_eq!(found(|out| job(&a_job(), out)), [""; 0]);
    let rule = |rule: Value| vec![("/spec/podFailurePolicy", json!({"rules": [rule]}))];
    let success = |rule: Value| vec![("/spec/successPolicy", json!({"rules": [rule]}))];
    for (changes, want) in [
        (
            vec![("/spec/template/metadata/labels/job-name", json!("x"))],
            "spec.template.metadata.labels[job-name]: Invalid value: ",
        ),
        (
            vec![("/spec/maxFailedIndexes", json!(4))],
            "spec.maxFailedIndexes: Invalid value: 4: must be less than or equal to completions",
        ),
        (vec![("/spec/managedBy", json!("x"))], "spec.managedBy: Invalid value: \"x\": must be a domain-prefixed path"),
        (vec![("/spec/completionMode", json!("x"))], "spec.completionMode: Unsupported value: \"x\""),
        (
            vec![("/spec/podReplacementPolicy", json!("x"))],
            "spec.podReplacementPolicy: Unsupported value: \"x\": supported values: \"Failed\", \"TerminatingOrFailed\"",
        ),
        (
            rule(json!({"action": "", "onPodConditions": [{"type": "A", "status": "True"}]})),
            "spec.podFailurePolicy.rules[0].action: Required value: valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]",
        ),
        (
            rule(json!({"action": "Count"})),
            "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required",
        ),
        (
            rule(json!({"action": "Count", "onExitCodes": {"operator": "In", "values": [2, 1]}})),
            "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [2,1]: must be ordered",
        ),
        (
            success(json!({"succeededIndexes": "0-1", "succeededCount": 3})),
            "spec.successPolicy.rules[0].succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of indexes in the specified succeededIndexes field)",
        ),
        (
            success(json!({})),
            "spec.successPolicy.rules[0]: Required value: at least one of succeededCount or succeededIndexes must be specified",
        ),
    ] {
        // Rules about pods' failures ask for this.
        let changes =
            changes.into_iter().chain([("/spec/template/spec/restartPolicy", json!("Never"))]).collect::<Vec<_>>();
        let mut base = a_job();
        if changes[0].0 == "/spec/podFailurePolicy" {
            base["spec"]["podReplacementPolicy"] = json!("Failed");
        }
        let errors = found(|out| job(&with(&base, &changes), out));
        assert!(errors.len() == 1 && errors[0].starts_with(want), "{want}: {errors:?}");
    }
}

#[test]
fn suspended_jobs_change_where_they_run_and_what_they_need() {
    let node = ("/spec/template/spec/nodeSelector", json!({"a": "b"}));
    let resources = ("/spec/template/spec/containers/0/resources", json!({"limits": {"cpu": "1"}}));
    let image = ("/spec/template/spec/containers/0/image", json!("c"));
    let suspended = with(&a_job(), &[("/spec/suspend", json!(true))]);
    let started = with(&suspended, &[("/status", json!({"startTime": "2024-01-01T00:00:00Z", "active": 1}))]);
    for (old, changes, path) in [
        (&suspended, vec![node.clone(), resources], None),
        (&suspended, vec![image], Some("spec.template.spec: Invalid value: ")),
        (&started, vec![node.clone()], Some("spec.template: Invalid value: ")),
        (&a_job(), vec![node], Some("spec.template: Invalid value: ")),
    ] {
        let errors = found(|out| job_update(&with(old, &changes), old, out));
        assert_eq!(
            errors.first().map(|error| path.is_some_and(|path| error.starts_with(path))),
            path.map(|_| true),
            "{errors:?}"
        );
    }
}

#[test]
fn statuses_of_jobs() {
    let condition = |kind: &str| json!({"type": kind, "status": "True"});
    let time = |text: &str| json!(format!("2024-01-01T00:00:{text}Z"));
    let complete = json!({"conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
        "startTime": time("00"), "completionTime": time("01"), "succeeded": 3, "completedIndexes": "0-2"});
    for (old, new, want) in [
        (json!({"startTime": time("00")}), complete.clone(), vec![]),
        (
            complete.clone(),
            json!({"startTime": time("00"), "succeeded": 3, "completedIndexes": "0-2"}),
            vec![
                "status.conditions: Invalid value: cannot disable the terminal Complete=True condition",
                "status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition",
            ],
        ),
        (
            json!({}),
            json!({"conditions": [condition("Failed")], "startTime": time("00"), "active": 1, "ready": 2}),
            vec![
                "status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition",
                "status.active: Invalid value: 1: active>0 is invalid for finished job",
                "status.ready: Invalid value: 2: cannot set more ready pods than active",
            ],
        ),
        (
            json!({"failed": 2}),
            json!({"failed": 1, "failedIndexes": "0", "completedIndexes": "0"}),
            vec![
                "status.failedIndexes: Invalid value: \"0\": failedIndexes and completedIndexes overlap at index: 0",
                "status.failed: Invalid value: 1: cannot decrease the failed counter",
            ],
        ),
    ] {
        let of = |status: Value| with(&a_job(), &[("/status", status)]);
        assert_eq!(found(|out| job_status(&of(new.clone()), &of(old), out)), want, "{new}");
    }
}

#[test]
fn cron_jobs() {
    let base = defaulted(
        "cronjobs",
        json!({"metadata": {"name": "c"}, "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {
            "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}]}}}}}}),
    );
    assert_eq!(found(|out| cron_job(&base, out)), [""; 0]);
    for (changes, want) in [
        (
            vec![("/spec/schedule", json!("TZ=UTC * * * * *"))],
            "spec.schedule: Invalid value: \"TZ=UTC * * * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
        ),
        (
            vec![("/spec/timeZone", json!("etc/utc"))],
            "spec.timeZone: Invalid value: \"etc/utc\": unknown time zone etc/utc",
        ),
        (
            vec![("/spec/timeZone", json!(""))],
            "spec.timeZone: Invalid value: \"\": timeZone must be nil or non-empty string",
        ),
        (
            vec![("/spec/jobTemplate/spec/manualSelector", json!(true))],
            "spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: \"nil\", \"false\"",
        ),
    ] {
        assert_eq!(found(|out| cron_job(&with(&base, &changes), out)), [want]);
    }
    let zoned = with(&base, &[("/spec/schedule", json!("TZ=UTC * * * * *"))]);
    assert_eq!(found(|out| cron_job_update(&zoned, &zoned, out)), [""; 0]);
}
