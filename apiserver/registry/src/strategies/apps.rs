//! `apps`, `batch`, `autoscaling` and `policy`.
//!
//! Upstream: `pkg/registry/{apps,batch,autoscaling,policy}/*/strategy.go`.

mod daemon;

use super::member;
use super::pods::gated::drop_template_fields;
use crate::strategy::*;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

pub(crate) const GROUPS: &[(&str, super::Rows)] = &[("apps", APPS), ("batch", BATCH), ("policy", POLICY)];

/// A declared state and an observed one; labels belong to the declared one.
const DECLARED: Strategy =
    Strategy { generation: Generation::Members(&["spec"]), status_metadata: StatusMetadata::KeepsLabels, ..DEFAULT };

/// The same with a template of pods.
const WORKLOAD: Strategy =
    Strategy { prepare_create: |_, object| drop_fields(object, &Value::Null), prepare_update: drop_fields, ..DECLARED };

const APPS: super::Rows = &[
    (
        "daemonsets",
        Strategy {
            prepare_create: |_, set| {
                drop_fields(set, &Value::Null);
                daemon::create(set);
            },
            prepare_update: |set, old| {
                drop_fields(set, old);
                daemon::update(set, old);
            },
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
            prepare_create: |_, set| {
                drop_fields(set, &Value::Null);
                drop_max_unavailable(set, &Value::Null);
            },
            prepare_update: |set, old| {
                drop_fields(set, old);
                drop_max_unavailable(set, old);
            },
            ..WORKLOAD
        },
    ),
];

const BATCH: super::Rows = &[
    (
        "cronjobs",
        Strategy {
            prepare_create: |_, job| drop_template_fields(job, &Value::Null, JOB_TEMPLATE),
            prepare_update: |job, old| drop_template_fields(job, old, JOB_TEMPLATE),
            status_metadata: StatusMetadata::Free,
            ..WORKLOAD
        },
    ),
    // Jobs were orphaning before garbage collection had a say, and old clients rely on it.
    (
        "jobs",
        Strategy {
            prepare_create: |_, job| {
                create_job(job);
                drop_fields(job, &Value::Null);
            },
            dependents: Dependents::Orphan,
            status_metadata: StatusMetadata::Free,
            ..WORKLOAD
        },
    ),
];

const POLICY: super::Rows = &[(
    "poddisruptionbudgets",
    Strategy { unversioned: Unversioned::Refused, status_metadata: StatusMetadata::Free, ..DECLARED },
)];

/// Where cron jobs have the template of pods.
const JOB_TEMPLATE: &str = "/spec/jobTemplate/spec/template";

/// Drops what is off from the template where most have it.
fn drop_fields(object: &mut Value, old: &Value) {
    drop_template_fields(object, old, "/spec/template");
}

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
fn create_job(job: &mut Value) {
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
    fn templates_lose_what_is_off() {
        let template = json!({"spec": {"schedulingGroup": {"podGroupName": "g"}}});
        let object = json!({"metadata": {"name": "a"},
            "spec": {"template": template, "jobTemplate": {"spec": {"template": template}}}});
        for (group, plural, at) in [
            ("apps", "deployments", "/spec/template/spec"),
            ("apps", "daemonsets", "/spec/template/spec"),
            ("apps", "statefulsets", "/spec/template/spec"),
            ("batch", "jobs", "/spec/template/spec"),
            ("batch", "cronjobs", "/spec/jobTemplate/spec/template/spec"),
            ("", "replicationcontrollers", "/spec/template/spec"),
        ] {
            let cx = crate::context::testing::context(group, plural);
            let strategy = crate::strategy::of(&cx.resource);
            let mut new = object.clone();
            (strategy.prepare_create)(&cx, &mut new);
            assert_eq!(new.pointer(at), Some(&json!({})), "{plural}");
            let mut kept = object.clone();
            (strategy.prepare_update)(&mut kept, &object);
            assert_eq!(kept.pointer(at), Some(&template["spec"]), "{plural}");
        }
    }

    #[test]
    fn jobs_select_by_their_uid() {
        let mut job = json!({"metadata": {"name": "j", "uid": "u1"}, "spec": {"template": {}}});
        create_job(&mut job);
        assert_eq!(selects(&job), "u1");
        let labels = &job["spec"]["template"]["metadata"]["labels"];
        assert_eq!((&labels["job-name"], &labels["controller-uid"]), (&json!("j"), &json!("u1")));
        let mut manual = json!({"metadata": {"name": "j", "uid": "u1"}, "spec": {"manualSelector": true}});
        create_job(&mut manual);
        assert_eq!(selects(&manual), "");
    }
}
