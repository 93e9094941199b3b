//! `rollout undo`.

use super::history::{self, REVISION, Revisions};
use super::workloads;
use crate::apply::{LAST_APPLIED, last_applied};
use crate::cli::rollout::Undo;
use crate::commands::Session;
use crate::describe::pod_template;
use crate::files::Manifest;
use crate::writing::{DryRun, Failures, PatchKind, Writing};
use anyhow::bail;
use apimachinery::meta::ObjectMeta;
use apimachinery::{Map, Value};
use serde_json::json;

/// Annotations of a deployment that are its own, not its revisions'.
const OWN: &[&str] = &[
    LAST_APPLIED,
    REVISION,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
];
/// The label that tells a deployment's replica sets apart.
const HASH: &str = "pod-template-hash";

pub(super) async fn run(session: &Session, flags: &Undo) -> anyhow::Result<()> {
    let writing = Writing::late(&flags.dry_run.dry_run, "", &flags.printing)?.typed();
    let selected = workloads(session, &flags.workloads).await?;
    let mut failures = Vec::new();
    for manifest in &selected.objects {
        failures.extend(one(session, &writing, flags.to_revision, manifest).await.err());
    }
    Failures::with_unread(failures, selected.failures)
}

async fn one(session: &Session, writing: &Writing<'_>, to: i64, manifest: &Manifest) -> anyhow::Result<()> {
    if last_applied(&manifest.object).is_some() {
        eprintln!(
            "Warning: resource {}/{} was previously managed with 'kubectl apply'. Rolling back will not update the {LAST_APPLIED} annotation, which may cause unexpected behavior on future 'kubectl apply' operations. Consider using 'kubectl apply' with your previous configuration file instead.",
            manifest.resource.plural,
            manifest.object.name()
        );
    }
    let kind = manifest.resource.kind.as_str();
    if !history::is_visited(kind) {
        bail!("error retrieving rollbacker for {kind:?}, no visitor method exists for {{ {kind}}}");
    }
    if !matches!(kind, "Deployment" | "DaemonSet" | "StatefulSet") {
        bail!("no rollbacker has been implemented for {kind:?}");
    }
    let revisions = history::revisions(session, manifest).await?;
    let (_, kept) = target(&revisions, to, manifest)?;
    let template = history::bare_template(kept, &manifest.object)?;
    if writing.dry_run == DryRun::Client {
        let prefix = if manifest.resource.kind == "Deployment" { "" } else { "will roll back to " };
        return writing.done(manifest, &manifest.object, &format!("{prefix}{}", pod_template(&template)));
    }
    let deployment = manifest.resource.kind == "Deployment";
    if deployment && manifest.object.pointer("/spec/paused") == Some(&Value::Bool(true)) {
        bail!("you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and try again");
    }
    if bare(&template) == bare(&manifest.object["spec"]["template"]) {
        let done = format!("skipped rollback (current template already matches revision {to})");
        return writing.done(manifest, &manifest.object, &done);
    }
    let (kind, patch) = match deployment {
        true => (PatchKind::Json, deployment_patch(&kept["spec"]["template"], kept, &manifest.object)),
        false => (PatchKind::Strategic, kept["data"].clone()),
    };
    let patched = writing.patch(session, &manifest.path(), kind, &patch).await;
    let patched = patched.map_err(|error| anyhow::anyhow!("failed restoring revision {to}: {error:#}"))?;
    writing.done(manifest, &patched, "rolled back")
}

/// The revision to go back to: the one that is named, or the last but one.
fn target<'a>(revisions: &'a Revisions, to: i64, manifest: &Manifest) -> anyhow::Result<(i64, &'a Value)> {
    if to != 0 {
        return match revisions.get_key_value(&to) {
            Some((revision, kept)) => Ok((*revision, kept)),
            None => bail!("unable to find specified revision {to} in history"),
        };
    }
    match revisions.iter().rev().nth(1) {
        Some((revision, kept)) => Ok((*revision, kept)),
        None if manifest.resource.kind == "Deployment" => {
            bail!("no rollout history found for deployment {:?}", manifest.object.name())
        }
        None => bail!("no last revision to roll back to"),
    }
}

/// A template without what the controller adds.
fn bare(template: &Value) -> Value {
    let mut bare = template.clone();
    if let Some(labels) = bare.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(HASH);
    }
    if let Some(metadata) = bare.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("creationTimestamp");
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            annotations.remove(crate::apply::CHANGE_CAUSE);
        }
        if metadata.get("annotations").is_some_and(|a| a.as_object().is_some_and(Map::is_empty)) {
            metadata.remove("annotations");
        }
    }
    bare
}

fn deployment_patch(template: &Value, kept: &Value, deployment: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(HASH);
    }
    let mut annotations = Map::new();
    for (key, value) in deployment.annotations().into_iter().flatten().filter(|(k, _)| OWN.contains(&k.as_str())) {
        annotations.insert(key.clone(), value.clone());
    }
    for (key, value) in kept.annotations().into_iter().flatten().filter(|(k, _)| !OWN.contains(&k.as_str())) {
        annotations.insert(key.clone(), value.clone());
    }
    json!([{"op": "replace", "path": "/spec/template", "value": template},
           {"op": "replace", "path": "/metadata/annotations", "value": annotations}])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_keeps_its_own_annotations() {
        let deployment = json!({"metadata": {"annotations": {REVISION: "3", "mine": "x"}}});
        let kept = json!({"metadata": {"annotations": {REVISION: "1", "cause": "y"}},
            "spec": {"template": {"metadata": {"labels": {"app": "a", HASH: "123"}}}}});
        let patch = deployment_patch(&kept["spec"]["template"], &kept, &deployment);
        assert_eq!(patch[0]["value"]["metadata"]["labels"], json!({"app": "a"}));
        assert_eq!(patch[1]["value"], json!({REVISION: "3", "cause": "y"}));
    }

    #[test]
    fn templates_are_compared_without_the_controllers_marks() {
        let one = json!({"metadata": {"labels": {"app": "a", HASH: "1"}, "creationTimestamp": null}, "spec": {}});
        let two = json!({"metadata": {"labels": {"app": "a"}}, "spec": {}});
        assert_eq!(bare(&one), bare(&two));
    }
}
