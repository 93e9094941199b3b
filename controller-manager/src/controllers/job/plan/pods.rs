//! What a job asks of a pod: its index, its finalizer, whether and when it failed.
//!
//! Upstream: `pkg/controller/job/{indexed_job_utils,backoff_utils,tracking_utils}.go`.

use crate::objects::pods;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// The finalizer that keeps a pod until its job has counted it.
pub(in super::super) const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// Annotation and label with the completion index.
pub(in super::super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// Annotation: how often the index failed before this pod.
pub(super) const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
/// Annotation: how often it failed without that being counted.
pub(super) const IGNORED_FAILURES: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

/// Whether the job gives each of its completions an index.
pub(in super::super) fn is_indexed(spec: &JobSpec) -> bool {
    spec.completion_mode.as_deref() == Some("Indexed")
}

/// How many completions an indexed job has.
pub(super) fn completions(spec: &JobSpec) -> i32 {
    spec.completions.unwrap_or(0)
}

/// Whether the job is to have no running pods.
pub(in super::super) fn is_suspended(spec: &JobSpec) -> bool {
    spec.suspend == Some(true)
}

/// Whether the job has ended for good.
pub(in super::super) fn is_finished(job: &Job) -> bool {
    finished_as(job).is_some()
}

/// `Complete` or `Failed`, once the job has ended for good.
pub(in super::super::super) fn finished_as(job: &Job) -> Option<&str> {
    let mut conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let end = conditions.find(|c| matches!(c.type_.as_str(), "Complete" | "Failed") && c.status == "True")?;
    Some(&end.type_)
}

/// The other controller that manages the job, if any.
pub(in super::super) fn managed_by_other(job: &Job) -> Option<&str> {
    let manager = job.spec.as_ref()?.managed_by.as_deref()?;
    (manager != "kubernetes.io/job-controller").then_some(manager)
}

/// Whether pods are replaced only once they have failed, not while they terminate.
pub(super) fn replaces_failed_only(spec: &JobSpec) -> bool {
    spec.pod_replacement_policy.as_deref() == Some("Failed") || spec.pod_failure_policy.is_some()
}

/// Whether the job still has to count the pod.
pub(in super::super) fn is_tracked(pod: &Pod) -> bool {
    pod.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

/// The uid; empty if it has none.
pub(super) fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

fn annotation<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// The completion index of the pod.
pub(super) fn index(pod: &Pod) -> Option<i32> {
    annotation(pod, INDEX)?.parse().ok().filter(|index| *index >= 0)
}

/// The completion index, if it is one of the job's.
pub(super) fn valid_index(pod: &Pod, spec: &JobSpec) -> Option<i32> {
    index(pod).filter(|index| *index < completions(spec))
}

/// Failures of the index before this pod that counted.
pub(super) fn failures(pod: &Pod) -> i32 {
    count(pod, FAILURES)
}

/// Failures of the index before this pod that did not count.
pub(super) fn ignored_failures(pod: &Pod) -> i32 {
    count(pod, IGNORED_FAILURES)
}

/// Users can write anything there: what is no count is none.
fn count(pod: &Pod, key: &str) -> i32 {
    annotation(pod, key).and_then(|text| text.parse().ok()).filter(|count| *count >= 0).unwrap_or(0)
}

/// Whether the pod counts as failed. A pod that is being deleted does, as it may never get to the
/// phase Failed, unless only failed pods are replaced.
pub(super) fn is_failed(pod: &Pod, spec: &JobSpec) -> bool {
    match pods::phase(pod) {
        "Failed" => true,
        _ if replaces_failed_only(spec) => false,
        phase => pods::is_terminating(pod) && phase != "Succeeded",
    }
}

/// Whether the pod is on its way out but has not ended.
pub(super) fn is_terminating(pod: &Pod) -> bool {
    pods::is_terminating(pod) && !pods::is_finished(pod)
}

/// When the pod ended: by its containers, else by its Ready condition, else by its deletion.
pub(super) fn finished_at(pod: &Pod) -> Timestamp {
    let created = || pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    by_containers(pod)
        .or_else(|| by_condition(pod))
        .or_else(|| by_deletion(pod))
        .or_else(created)
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

fn by_containers(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let init = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let sidecars: Vec<_> = init.filter(|c| c.restart_policy.as_deref() == Some("Always")).map(|c| &c.name).collect();
    let ended = |status: &ContainerStatus| Some(status.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()?.0);
    let main = status.container_statuses.iter().flatten();
    let beside = status.init_container_statuses.iter().flatten().filter(|s| sidecars.contains(&&s.name));
    let times: Option<Vec<_>> = main.chain(beside).map(ended).collect();
    times?.into_iter().max()
}

fn by_condition(pod: &Pod) -> Option<Timestamp> {
    let ready = pods::condition(pod, "Ready").filter(|ready| ready.status == "False")?;
    ready.last_transition_time.as_ref().map(|time| time.0)
}

fn by_deletion(pod: &Pod) -> Option<Timestamp> {
    let deleted = pod.metadata.deletion_timestamp.as_ref()?.0;
    let grace = SignedDuration::from_secs(pod.metadata.deletion_grace_period_seconds.unwrap_or(0));
    deleted.checked_sub(grace).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(value: Value) -> Pod {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn when_a_pod_ended() {
        let ended = |at: &str| {
            json!({"name": "c", "ready": false, "restartCount": 0, "image": "", "imageID": "",
            "state": {"terminated": {"exitCode": 1, "finishedAt": at}}})
        };
        let running = json!({"name": "c", "ready": true, "restartCount": 0, "image": "", "imageID": "", "state": {"running": {}}});
        let not_ready = json!([{"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:05Z"}]);
        let meta = json!({"creationTimestamp": "2026-01-01T00:00:00Z"});
        let deleted = json!({"deletionTimestamp": "2026-01-01T00:00:30Z", "deletionGracePeriodSeconds": 10});
        let table = [
            (json!({"metadata": meta}), "2026-01-01T00:00:00Z"),
            (json!({"metadata": deleted}), "2026-01-01T00:00:20Z"),
            (json!({"metadata": meta, "status": {"conditions": not_ready}}), "2026-01-01T00:00:05Z"),
            (
                json!({"metadata": meta, "status": {"containerStatuses": [ended("2026-01-01T00:00:03Z"), ended("2026-01-01T00:00:09Z")]}}),
                "2026-01-01T00:00:09Z",
            ),
            (
                json!({"metadata": meta, "status": {"containerStatuses": [ended("2026-01-01T00:00:03Z"), running]}}),
                "2026-01-01T00:00:00Z",
            ),
        ];
        for (value, expected) in table {
            assert_eq!(finished_at(&pod(value.clone())).to_string(), expected, "{value}");
        }
    }

    #[test]
    fn what_users_wrote_is_not_trusted() {
        let of = |value: &str| pod(json!({"metadata": {"annotations": {INDEX: value, FAILURES: value}}}));
        for (text, expected, failed) in [("3", Some(3), 3), ("-1", None, 0), ("x", None, 0), ("9999999999", None, 0)] {
            assert_eq!((index(&of(text)), failures(&of(text))), (expected, failed), "{text}");
        }
    }

    #[test]
    fn a_deleted_pod_failed_unless_only_failed_ones_are_replaced() {
        let leaving =
            pod(json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Running"}}));
        let spec =
            |policy: &str| serde_json::from_value(json!({"podReplacementPolicy": policy, "template": {}})).unwrap();
        assert!(is_failed(&leaving, &spec("TerminatingOrFailed")));
        assert!(!is_failed(&leaving, &spec("Failed")));
    }
}
