//! `rollout pause`, `rollout resume`, `rollout restart`.

use super::some_workloads;
use crate::cli::rollout::Change;
use crate::commands::Session;
use crate::files::Manifest;
use crate::files::objects::among_others;
use crate::writing::{Failures, PatchKind, Writing};
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::time;
use serde_json::json;

/// When a restart was asked for last; a new value makes new pods.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// Which change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pause,
    Resume,
    Restart,
}

impl Kind {
    fn done(self) -> &'static str {
        match self {
            Kind::Pause => "paused",
            Kind::Resume => "resumed",
            Kind::Restart => "restarted",
        }
    }
}

pub(super) async fn run(session: &Session, flags: &Change, kind: Kind) -> anyhow::Result<()> {
    let writing = Writing::late("none", &flags.field_manager, &flags.printing)?.typed();
    let selected = some_workloads(session, &flags.workloads).await.map_err(among_others)?;
    let mut failures = selected.failures;
    for manifest in &selected.objects {
        failures.extend(one(session, &writing, manifest, kind).await.err());
    }
    match flags.workloads.files.any() {
        // What is wrong with manifests is told as of several.
        true => Failures::among_others(failures),
        false => Failures::outcome(failures),
    }
}

async fn one(session: &Session, writing: &Writing<'_>, manifest: &Manifest, kind: Kind) -> anyhow::Result<()> {
    match plan(kind, &manifest.resource.kind, &manifest.object, &time::now()) {
        Err(error) => {
            let resource = manifest.resource.group_resource();
            bail!("error: {resource} {:?} {error}", manifest.object.name())
        }
        Ok(patch) => {
            let patched = writing.patch(session, &manifest.path(), PatchKind::Strategic, &patch).await;
            let patched = patched.map_err(|error| anyhow::anyhow!("failed to patch: {error:#}"))?;
            writing.done(manifest, &patched, kind.done())
        }
    }
}

fn plan(kind: Kind, workload: &str, object: &Value, now: &str) -> anyhow::Result<Value> {
    let paused = object.pointer("/spec/paused").and_then(Value::as_bool).unwrap_or(false);
    match (kind, workload) {
        (Kind::Restart, "Deployment") if paused => {
            bail!("can't restart paused deployment (run rollout resume first)")
        }
        (Kind::Restart, "Deployment" | "DaemonSet" | "StatefulSet") => {
            Ok(json!({"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: now}}}}}))
        }
        (Kind::Pause, "Deployment") if paused => bail!("is already paused"),
        (Kind::Pause, "Deployment") => Ok(json!({"spec": {"paused": true}})),
        (Kind::Resume, "Deployment") if !paused => bail!("is not paused"),
        (Kind::Resume, "Deployment") => Ok(json!({"spec": {"paused": null}})),
        (Kind::Pause, _) => bail!("pausing is not supported"),
        (Kind::Resume, _) => bail!("resuming is not supported"),
        (Kind::Restart, _) => bail!("restarting is not supported"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans() {
        let (running, paused) = (json!({"spec": {}}), json!({"spec": {"paused": true}}));
        let planned = |kind, workload, object: &Value| plan(kind, workload, object, "now").map_err(|e| e.to_string());
        assert_eq!(planned(Kind::Pause, "Deployment", &paused), Err("is already paused".into()));
        assert_eq!(planned(Kind::Resume, "Deployment", &paused), Ok(json!({"spec": {"paused": null}})));
        assert_eq!(planned(Kind::Pause, "DaemonSet", &running), Err("pausing is not supported".into()));
        assert!(planned(Kind::Restart, "Deployment", &paused).is_err());
        assert!(planned(Kind::Restart, "StatefulSet", &running).is_ok());
    }
}
