//! `apps`, `batch`, `autoscaling` and `policy`.
//!
//! Upstream: `pkg/registry/{apps,batch,autoscaling,policy}/*/strategy.go`.

mod daemon;

use super::member;
use crate::Context;
use crate::strategy::*;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

pub(crate) const GROUPS: &[(&str, super::Rows)] = &[("apps", APPS), ("batch", BATCH), ("policy", POLICY)];

/// A declared state and an observed one; labels belong to the declared one.
const WORKLOAD: Strategy =
    Strategy { generation: Generation::Members(&["spec"]), status_metadata: StatusMetadata::KeepsLabels, ..DEFAULT };

const APPS: super::Rows = &[
    (
        "daemonsets",
        Strategy {
            prepare_create: |_, set| daemon::create(set),
            prepare_update: daemon::update,
            prepare_status: daemon::keep,
            ..WORKLOAD
        },
    ),
    // Replica sets have the annotations of their deployment.
    ("deployments", Strategy { generation: Generation::MembersAndAnnotations(&["spec"]), ..WORKLOAD }),
    ("replicasets", Strategy { status_metadata: StatusMetadata::Free, ..WORKLOAD }),
    (
        "statefulsets",
        Strategy {
            prepare_create: |_, set| drop_max_unavailable(set, &Value::Null),
            prepare_update: drop_max_unavailable,
            ..WORKLOAD
        },
    ),
];

const BATCH: super::Rows = &[
    ("cronjobs", Strategy { status_metadata: StatusMetadata::Free, ..WORKLOAD }),
    // Jobs were orphaning before garbage collection had a say, and old clients rely on it.
    (
        "jobs",
        Strategy {
            prepare_create: create_job,
            dependents: Dependents::Orphan,
            status_metadata: StatusMetadata::Free,
            ..WORKLOAD
        },
    ),
];

const POLICY: super::Rows = &[(
    "poddisruptionbudgets",
    Strategy { unversioned: Unversioned::Refused, status_metadata: StatusMetadata::Free, ..WORKLOAD },
)];

/// How many pods of a stateful set may be replaced at once is not for new users: the feature is off.
fn drop_max_unavailable(set: &mut Value, old: &Value) {
    const ROLLING: &str = "/spec/updateStrategy/rollingUpdate";
    let in_use = old.pointer(ROLLING).and_then(|rolling| rolling.get("maxUnavailable"));
    if in_use.is_none_or(Value::is_null)
        && let Some(rolling) = set.pointer_mut(ROLLING).and_then(Value::as_object_mut)
    {
        rolling.remove("maxUnavailable");
    }
}

/// A job selects its pods by its own UID, unless the user chose a selector by hand.
fn create_job(_: &Context, job: &mut Value) {
    if job.pointer("/spec/manualSelector").and_then(Value::as_bool) == Some(true) {
        return;
    }
    let (uid, name) = (job.uid().to_owned(), job.name().to_owned());
    let spec = member(job, "spec");
    let template = spec.entry("template").or_insert_with(|| Value::Object(apimachinery::Map::new()));
    let labels = template.metadata_mut().entry("labels").or_insert_with(|| Value::Object(apimachinery::Map::new()));
    let Some(labels) = labels.as_object_mut() else { return };
    for (key, value) in [
        ("controller-uid", &uid),
        ("batch.kubernetes.io/controller-uid", &uid),
        ("job-name", &name),
        ("batch.kubernetes.io/job-name", &name),
    ] {
        labels.entry(key).or_insert_with(|| value.as_str().into());
    }
    let selector = spec.entry("selector").or_insert_with(|| Value::Object(apimachinery::Map::new()));
    let chosen = member(selector, "matchLabels");
    chosen.entry("batch.kubernetes.io/controller-uid").or_insert_with(|| uid.into());
}

/// Whether a job's selector was made by [`create_job`].
#[cfg(test)]
fn selects(job: &Value) -> &str {
    super::text(job, "/spec/selector/matchLabels/batch.kubernetes.io~1controller-uid")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn jobs_select_by_their_uid() {
        let cx = crate::context::testing::context("batch", "jobs");
        let mut job = json!({"metadata": {"name": "j", "uid": "u1"}, "spec": {"template": {}}});
        create_job(&cx, &mut job);
        assert_eq!(selects(&job), "u1");
        let labels = &job["spec"]["template"]["metadata"]["labels"];
        assert_eq!((&labels["job-name"], &labels["controller-uid"]), (&json!("j"), &json!("u1")));
        let mut manual = json!({"metadata": {"name": "j", "uid": "u1"}, "spec": {"manualSelector": true}});
        create_job(&cx, &mut manual);
        assert_eq!(selects(&manual), "");
    }
}
