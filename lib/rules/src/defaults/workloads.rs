//! Deployments, replica sets, stateful sets, daemon sets, jobs and cron jobs.

use super::core::label_as_template;
use crate::tree::{Fill, Tree};
use apimachinery::meta::ObjectMeta;
use apimachinery::{Map, Value};

pub(super) fn deployment(deployment: &mut Value) {
    let Some(spec) = deployment.inner("spec") else { return };
    spec.fill("replicas", 1);
    spec.fill("revisionHistoryLimit", 10);
    spec.fill("progressDeadlineSeconds", 600);
    if let Some(rolling) = rolling_update(spec, "strategy") {
        rolling.fill("maxUnavailable", "25%");
        rolling.fill("maxSurge", "25%");
    }
}

/// The parameters of a rolling update, made if that is the strategy.
fn rolling_update<'a>(spec: &'a mut Value, member: &str) -> Option<&'a mut Value> {
    let strategy = spec.made(member)?;
    strategy.fill_zero("type", "RollingUpdate");
    match strategy.text("type") {
        "RollingUpdate" => strategy.made("rollingUpdate"),
        _ => None,
    }
}

pub(super) fn replica_set(set: &mut Value) {
    if let Some(spec) = set.inner("spec") {
        spec.fill("replicas", 1);
    }
}

/// The number of a daemon set's template. Upstream keeps it in a field of its own and shows it as an annotation, so that
/// every set has one as soon as it is read: 0 if it was given none.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

pub(super) fn daemon_set(set: &mut Value) {
    number_template(set);
    let Some(spec) = set.inner("spec") else { return };
    spec.fill("revisionHistoryLimit", 10);
    if let Some(rolling) = rolling_update(spec, "updateStrategy") {
        rolling.fill("maxUnavailable", 1);
        rolling.fill("maxSurge", 0);
    }
}

/// What is no number is left for decoding to refuse.
fn number_template(set: &mut Value) {
    let given = set.annotations().and_then(|annotations| annotations.get(TEMPLATE_GENERATION)).and_then(Value::as_str);
    let Ok(number) = given.unwrap_or("0").parse::<i64>() else { return };
    let annotations = set.metadata_mut().entry("annotations").or_insert(Value::Null);
    if annotations.is_null() {
        *annotations = Value::Object(Map::new());
    }
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(TEMPLATE_GENERATION.into(), number.to_string().into());
    }
}

pub(super) fn stateful_set(set: &mut Value) {
    let Some(spec) = set.inner("spec") else { return };
    spec.fill("replicas", 1);
    spec.fill("revisionHistoryLimit", 10);
    spec.fill_zero("podManagementPolicy", "OrderedReady");
    partition(spec);
    if let Some(policy) = spec.made("persistentVolumeClaimRetentionPolicy") {
        policy.fill_zero("whenDeleted", "Retain");
        policy.fill_zero("whenScaled", "Retain");
    }
    for claim in spec.each("volumeClaimTemplates") {
        claim.fill_zero("apiVersion", "v1");
        claim.fill_zero("kind", "PersistentVolumeClaim");
    }
}

/// A rolling update that was asked for by name keeps its parameters unset.
fn partition(spec: &mut Value) {
    let Some(strategy) = spec.made("updateStrategy") else { return };
    if strategy.lacks("type") {
        strategy.fill_zero("type", "RollingUpdate");
        strategy.made("rollingUpdate");
    }
    if strategy.text("type") == "RollingUpdate"
        && let Some(rolling) = strategy.inner("rollingUpdate")
    {
        rolling.fill("partition", 0);
    }
}

pub(super) fn job(job: &mut Value) {
    if let Some(labels) = labels_for_job(job) {
        label_as_template(job, labels);
    }
    let Some(spec) = job.inner("spec") else { return };
    if !spec.has("parallelism") && !spec.has("completions") {
        spec.fill("completions", 1);
    }
    spec.fill("parallelism", 1);
    // With a limit per index the overall limit is off.
    let backoff = if spec.has("backoffLimitPerIndex") { i32::MAX } else { 6 };
    spec.fill("backoffLimit", backoff);
    spec.fill("completionMode", "NonIndexed");
    spec.fill("suspend", false);
    let replacement = if spec.has("podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    spec.fill("podReplacementPolicy", replacement);
    spec.fill("manualSelector", false);
}

/// Gives a job without labels those of its template; whether it did.
pub(super) fn share_labels(job: &mut Value) -> bool {
    if job.labels().is_some_and(|labels| !labels.is_empty()) {
        return false;
    }
    let labels = job.at("spec").and_then(|spec| spec.at("template")).and_then(Value::labels);
    let Some(labels) = labels.filter(|labels| !labels.is_empty()).cloned() else { return false };
    label_as_template(job, labels);
    true
}

/// Takes the labels of a job away if they are those of its template.
pub(super) fn unshare_labels(job: &mut Value) {
    let template = job.at("spec").and_then(|spec| spec.at("template")).and_then(Value::labels);
    if job.labels() == template
        && let Some(Value::Object(metadata)) = job.inner("metadata")
    {
        metadata.remove("labels");
    }
}

/// The labels of the template, which a job without labels gets. Those that the apiserver adds to the template of a new
/// job are among them, so that it has to add them first.
fn labels_for_job(job: &Value) -> Option<Map> {
    if job.labels().is_some_and(|labels| !labels.is_empty()) {
        return None;
    }
    let spec = job.at("spec")?;
    let labels = spec.at("template").and_then(Value::labels).filter(|l| !l.is_empty())?;
    let is_complete = spec.flag("manualSelector") || labels.contains_key("batch.kubernetes.io/controller-uid");
    is_complete.then(|| labels.clone())
}

pub(super) fn cron_job(job: &mut Value) {
    let Some(spec) = job.inner("spec") else { return };
    spec.fill_zero("concurrencyPolicy", "Allow");
    spec.fill("suspend", false);
    spec.fill("successfulJobsHistoryLimit", 3);
    spec.fill("failedJobsHistoryLimit", 1);
}
