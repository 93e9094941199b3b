//! Steps and statuses, case by case.

use super::*;
use serde_json::{Value, json};

const NOW: &str = "2026-01-01T01:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn job(spec: Value, status: Value) -> Arc<Job> {
    let mut all = json!({"parallelism": 2, "backoffLimit": 6, "podReplacementPolicy": "TerminatingOrFailed",
        "template": {"metadata": {"labels": {"job": "j"}}, "spec": {"containers": [{"name": "c"}], "restartPolicy": "Never"}}});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let job = json!({"metadata": {"name": "j", "namespace": "n", "uid": "u"}, "spec": all, "status": status});
    Arc::new(serde_json::from_value(job).unwrap())
}

/// A pod of this name and uid, in this phase; an index of less than 0 is none.
fn pod(name: &str, phase: &str, index: i32, more: Value) -> Arc<Pod> {
    let mut meta = json!({"name": name, "namespace": "n", "uid": name, "finalizers": [FINALIZER],
        "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {}});
    if index >= 0 {
        meta["annotations"] =
            json!({pods::INDEX: index.to_string(), "batch.kubernetes.io/job-index-failure-count": "0"});
    }
    meta.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let status = json!({"phase": phase, "conditions": [{"type": "Ready", "status": if phase == "Running" { "True" } else { "False" },
        "lastTransitionTime": "2026-01-01T00:30:00Z"}]});
    Arc::new(
        serde_json::from_value(
            json!({"metadata": meta, "spec": {"containers": [], "nodeName": "node"}, "status": status}),
        )
        .unwrap(),
    )
}

fn plain(name: &str, phase: &str) -> Arc<Pod> {
    pod(name, phase, -1, json!({}))
}

fn leaving(name: &str) -> Arc<Pod> {
    pod(name, "Running", -1, json!({"deletionTimestamp": "2026-01-01T00:59:00Z"}))
}

fn observe(spec: Value, status: Value, pods: Vec<Arc<Pod>>) -> Observed {
    Observed::new(job(spec, status), pods, Backoff::default(), now())
}

/// A step in a few words.
fn describe(step: &Step) -> String {
    let names = |pods: &[Arc<Pod>]| {
        let mut names: Vec<_> = pods.iter().filter_map(|pod| pod.metadata.name.clone()).collect();
        names.sort();
        names.join(",")
    };
    match step {
        Step::End(why, pods) => {
            format!("{} {} [{}]", why.type_, why.reason.as_deref().unwrap_or_default(), names(pods))
        }
        Step::Leave => "leave".to_owned(),
        Step::Keep => "keep".to_owned(),
        Step::Delete(pods) => format!("delete {}", names(pods)),
        Step::Create(pods) if pods.iter().all(|pod| pods::index(pod).is_some()) => {
            let indexes: Vec<_> = pods.iter().filter_map(pods::index).map(|index| index.to_string()).collect();
            format!("create {}", indexes.join(","))
        }
        Step::Create(pods) => format!("create x{}", pods.len()),
        Step::Wait(left) => format!("wait {}", left.as_secs()),
    }
}

#[test]
fn steps_of_plain_jobs() {
    let running = || vec![plain("a", "Running"), plain("b", "Running")];
    let table: Vec<(Value, Value, Vec<Arc<Pod>>, &str)> = vec![
        (json!({"completions": 3}), json!({}), vec![], "create x2"),
        (json!({"completions": 1}), json!({}), vec![], "create x1"),
        (json!({}), json!({}), vec![plain("a", "Running")], "create x1"),
        (json!({}), json!({}), vec![plain("a", "Running"), plain("s", "Succeeded")], "keep"),
        (json!({"completions": 3}), json!({"succeeded": 2}), running(), "delete a"),
        (json!({"completions": 3}), json!({"succeeded": 1}), running(), "keep"),
        (json!({"suspend": true}), json!({}), running(), "delete a,b"),
        (json!({"parallelism": 0}), json!({}), running(), "delete a,b"),
        (json!({"completions": 3}), json!({"failed": 7}), running(), "FailureTarget BackoffLimitExceeded [a,b]"),
        (json!({"completions": 3}), json!({"failed": 6}), running(), "keep"),
        (
            json!({"activeDeadlineSeconds": 10}),
            json!({"startTime": "2026-01-01T00:59:50Z"}),
            running(),
            "FailureTarget DeadlineExceeded [a,b]",
        ),
        (json!({"activeDeadlineSeconds": 11}), json!({"startTime": "2026-01-01T00:59:50Z"}), running(), "keep"),
        (
            json!({"activeDeadlineSeconds": 1, "suspend": true}),
            json!({"startTime": "2026-01-01T00:00:00Z"}),
            vec![],
            "keep",
        ),
        (
            json!({}),
            json!({"conditions": [{"type": "FailureTarget", "status": "True", "reason": "Because"}]}),
            running(),
            "Failed Because [a,b]",
        ),
        (
            json!({}),
            json!({"conditions": [{"type": "SuccessCriteriaMet", "status": "True", "reason": "Because"}]}),
            running(),
            "SuccessCriteriaMet Because [a,b]",
        ),
        (json!({}), json!({}), vec![plain("a", "Running"), leaving("b")], "create x1"),
        (json!({"podReplacementPolicy": "Failed"}), json!({}), vec![plain("a", "Running"), leaving("b")], "keep"),
    ];
    for (spec, status, pods, expected) in table {
        let observed = observe(spec.clone(), status.clone(), pods);
        let step = describe(&plan(&observed).step);
        assert_eq!(step, expected, "{spec} {status}");
    }
}

#[test]
fn steps_of_indexed_jobs() {
    let spec = |more: Value| {
        let mut spec = json!({"completionMode": "Indexed", "completions": 4, "parallelism": 3});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    let failed = |name: &str, index: i32, failures: &str| {
        pod(
            name,
            "Failed",
            index,
            json!({"annotations": {pods::INDEX: index.to_string(),
            "batch.kubernetes.io/job-index-failure-count": failures}}),
        )
    };
    let table: Vec<(Value, Value, Vec<Arc<Pod>>, &str)> = vec![
        (json!({}), json!({}), vec![], "create 0,1,2"),
        (json!({}), json!({"completedIndexes": "0-1"}), vec![pod("c", "Running", 2, json!({}))], "create 3"),
        (json!({}), json!({}), vec![pod("a", "Running", 1, json!({}))], "create 0,2"),
        (json!({}), json!({}), vec![pod("a", "Running", 1, json!({})), pod("b", "Pending", 1, json!({}))], "delete b"),
        (json!({}), json!({}), vec![pod("a", "Running", 9, json!({})), plain("b", "Running")], "delete a,b"),
        (json!({"completions": 2}), json!({"completedIndexes": "0-3"}), vec![], "keep"),
        (json!({"backoffLimitPerIndex": 1}), json!({}), vec![failed("a", 0, "0")], "create 0,1,2"),
        (json!({"backoffLimitPerIndex": 1}), json!({}), vec![failed("a", 0, "1")], "create 1,2,3"),
        (
            json!({"backoffLimitPerIndex": 1, "maxFailedIndexes": 1}),
            json!({"failedIndexes": "0"}),
            vec![failed("b", 1, "1"), pod("c", "Running", 2, json!({}))],
            "FailureTarget MaxFailedIndexesExceeded [c]",
        ),
        (
            json!({"backoffLimitPerIndex": 0}),
            json!({"completedIndexes": "1-3"}),
            vec![failed("a", 0, "0")],
            "FailureTarget FailedIndexes []",
        ),
        (
            json!({"successPolicy": {"rules": [{"succeededIndexes": "1"}]}}),
            json!({}),
            vec![pod("a", "Running", 0, json!({})), pod("b", "Succeeded", 1, json!({}))],
            "SuccessCriteriaMet SuccessPolicy [a]",
        ),
    ];
    for (more, status, pods, expected) in table {
        let observed = observe(spec(more.clone()), status.clone(), pods);
        assert_eq!(describe(&plan(&observed).step), expected, "{more} {status}");
    }
}

#[test]
fn a_pod_of_an_index() {
    let spec = json!({"completionMode": "Indexed", "completions": 4, "backoffLimitPerIndex": 3});
    let failed = pod("a", "Failed", 2, json!({}));
    let made = template::pod_of_index(&job(spec, json!({})), 2, Some(&failed));
    assert_eq!(made.metadata.generate_name.as_deref(), Some("j-2-"));
    assert_eq!(made.metadata.labels.unwrap()[pods::INDEX], "2");
    assert_eq!(made.metadata.annotations.unwrap()["batch.kubernetes.io/job-index-failure-count"], "1");
    assert_eq!(made.metadata.finalizers.unwrap(), [FINALIZER]);
    let spec = made.spec.unwrap();
    assert_eq!(spec.hostname.as_deref(), Some("j-2"));
    assert_eq!(spec.containers[0].env.as_ref().unwrap()[0].name, "JOB_COMPLETION_INDEX");
}

/// Plans, acts without failure, and goes on to the end, as if all requests succeeded.
fn run(observed: &Observed) -> (JobStatus, Vec<String>, bool) {
    let plan = plan(observed);
    let acted = match &plan.step {
        Step::Create(pods) => Acted::new(&plan.tally, pods.len(), &[], true),
        Step::Delete(pods) | Step::End(_, pods) => Acted::new(&plan.tally, 0, pods, true),
        _ => Acted::new(&plan.tally, 0, &[], true),
    };
    let Tracking { mut status, untrack, mut tracked, ending, .. } = track(observed, &plan, &acted);
    let freed: Vec<_> = untrack.iter().filter_map(|pod| pod.metadata.uid.clone()).collect();
    tracked.retain(|uid| !freed.contains(uid));
    count_untracked(&mut status, &tracked);
    let ended = ending.is_some_and(|ending| finish(&mut status, &ending));
    (status, freed, ended)
}

fn kinds(status: &JobStatus) -> Vec<&str> {
    status.conditions.iter().flatten().map(|condition| condition.type_.as_str()).collect()
}

#[test]
fn a_success_is_counted_once_and_completes_the_job() {
    let pods = vec![plain("a", "Succeeded"), plain("b", "Succeeded")];
    let (status, freed, ended) = run(&observe(json!({"completions": 2}), json!({"ready": 0}), pods));
    assert_eq!((status.succeeded, status.failed, status.active), (Some(2), None, None));
    assert_eq!(freed, ["a", "b"]);
    assert!(ended && status.completion_time.is_some());
    assert_eq!(kinds(&status), ["SuccessCriteriaMet", "Complete"]);
    assert_eq!(status.uncounted_terminated_pods, Some(Default::default()));
}

#[test]
fn a_job_with_running_pods_fails_when_they_are_gone() {
    let spec = json!({"completions": 3, "backoffLimit": 0});
    let pods = vec![plain("a", "Failed"), plain("b", "Running")];
    let (status, freed, ended) = run(&observe(spec.clone(), json!({}), pods));
    assert_eq!((status.failed, status.active, status.terminating), (Some(2), None, Some(1)));
    assert_eq!((kinds(&status), freed, ended), (vec!["FailureTarget"], vec!["a".to_owned(), "b".to_owned()], false));
    let gone = serde_json::to_value(&status).unwrap();
    let (status, _, ended) = run(&observe(spec, gone, vec![]));
    assert_eq!((kinds(&status), status.failed, ended), (vec!["FailureTarget", "Failed"], Some(2), true));
}

#[test]
fn uids_that_were_written_are_not_written_again() {
    let status = json!({"succeeded": 1, "uncountedTerminatedPods": {"succeeded": ["a", "x"]}});
    let pods = vec![plain("a", "Succeeded"), plain("b", "Running")];
    let (status, freed, _) = run(&observe(json!({"completions": 5, "parallelism": 1}), status, pods));
    assert_eq!((status.succeeded, freed), (Some(3), vec!["a".to_owned()]));
}

#[test]
fn indexes_in_the_status() {
    let spec = json!({"completionMode": "Indexed", "completions": 5, "backoffLimitPerIndex": 0});
    let pods =
        vec![pod("c", "Succeeded", 2, json!({})), pod("d", "Failed", 3, json!({})), pod("e", "Running", 4, json!({}))];
    let (status, freed, ended) = run(&observe(spec, json!({"completedIndexes": "0"}), pods));
    assert_eq!(status.completed_indexes.as_deref(), Some("0,2"));
    assert_eq!(status.failed_indexes.as_deref(), Some("3"));
    assert_eq!((status.succeeded, status.failed, ended), (Some(2), Some(1), false));
    assert_eq!(freed, ["c", "d"]);
}

#[test]
fn a_failed_pod_waits_for_the_one_that_takes_over_its_counts() {
    let spec = json!({"completionMode": "Indexed", "completions": 2, "backoffLimitPerIndex": 3});
    let failed = pod("a", "Failed", 0, json!({}));
    let (_, freed, _) = run(&observe(spec.clone(), json!({}), vec![Arc::clone(&failed)]));
    assert!(freed.is_empty());
    let (_, freed, _) = run(&observe(spec, json!({}), vec![failed, pod("b", "Running", 0, json!({}))]));
    assert_eq!(freed, ["a"]);
}

#[test]
fn suspension_and_resumption() {
    let started = json!({"startTime": "2026-01-01T00:00:00Z"});
    let (status, freed, _) = run(&observe(json!({"suspend": true}), started, vec![plain("a", "Running")]));
    assert_eq!((kinds(&status), status.start_time.clone(), status.active), (vec!["Suspended"], None, None));
    assert!(freed.is_empty());
    let (status, _, _) = run(&observe(json!({}), serde_json::to_value(&status).unwrap(), vec![]));
    assert_eq!(status.conditions.as_ref().unwrap()[0].status, "False");
    assert_eq!(status.start_time.unwrap().0, now());
}

#[test]
fn an_ignored_failure_does_not_count() {
    let rules = json!({"rules": [{"action": "Ignore", "onPodConditions": [{"type": "Ready", "status": "False"}]}]});
    let spec = json!({"podFailurePolicy": rules, "backoffLimit": 0, "completions": 2});
    let (status, freed, _) = run(&observe(spec, json!({}), vec![plain("a", "Failed")]));
    assert_eq!((status.failed, freed), (None, vec!["a".to_owned()]));
}

#[test]
fn a_dying_job_lets_go_of_all_its_pods() {
    let mut job = (*job(json!({"completions": 2}), json!({}))).clone();
    job.metadata.deletion_timestamp = Some(serde_json::from_value(json!(NOW)).unwrap());
    let observed = Observed::new(Arc::new(job), vec![plain("a", "Running")], Backoff::default(), now());
    assert!(matches!(plan(&observed).step, Step::Leave));
    assert_eq!(run(&observed).1, ["a"]);
}
