//! `rollout status`.

use super::some_workloads;
use crate::cli::rollout::Status;
use crate::commands::{Session, watch_one};
use crate::files::Manifest;
use crate::progress::Progress;
use crate::writing::Failures;
use anyhow::{Context, bail};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::time;

/// How far a rollout is.
#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Going(String),
    Done(String),
}

pub(super) async fn run(session: &Session, flags: &Status) -> anyhow::Result<()> {
    if flags.revision < 0 {
        bail!("revision must be a positive integer: {}", flags.revision);
    }
    let timeout = time::parse_go_duration(&flags.timeout)
        .with_context(|| format!("invalid argument {:?} for \"--timeout\" flag", flags.timeout))?;
    let selected = some_workloads(session, &flags.workloads).await?;
    let mut failures = Vec::new();
    for manifest in &selected.objects {
        let follow = follow(session, flags, manifest);
        let outcome = match timeout.is_zero() {
            true => follow.await,
            false => match tokio::time::timeout(timeout, follow).await {
                Ok(outcome) => outcome,
                Err(_) => Err(anyhow::anyhow!("timed out waiting for the condition")),
            },
        };
        failures.extend(outcome.err());
    }
    Failures::with_unread(failures, selected.failures)
}

async fn follow(session: &Session, flags: &Status, manifest: &Manifest) -> anyhow::Result<()> {
    let progress = Progress::waiting("rollout");
    let mut last = String::new();
    let kind = manifest.resource.kind.as_str();
    let mut look = |object: &Value| -> anyhow::Result<bool> {
        let (text, done) = match stage(kind, object, flags.revision)? {
            Stage::Going(text) => (text, false),
            Stage::Done(text) => (text, true),
        };
        // A changed object that is as far as before is no news.
        if text != last {
            progress.print(&text)?;
        }
        last = text;
        Ok(done || !flags.watch)
    };
    if look(&manifest.object)? {
        return Ok(());
    }
    watch_one(session, manifest, look).await
}

fn stage(kind: &str, object: &Value, revision: i64) -> anyhow::Result<Stage> {
    match kind {
        "Deployment" => deployment(object, revision),
        "DaemonSet" => daemon_set(object),
        "StatefulSet" => stateful_set(object),
        kind => {
            let group = object["apiVersion"].as_str().and_then(|version| version.split_once('/'));
            let of = group.map_or_else(|| kind.to_owned(), |(group, _)| format!("{kind}.{group}"));
            bail!("no status viewer has been implemented for {of}")
        }
    }
}

fn count(object: &Value, path: &str) -> i64 {
    object.pointer(path).and_then(Value::as_i64).unwrap_or(0)
}

fn observed(object: &Value) -> bool {
    object.generation() <= count(object, "/status/observedGeneration")
}

fn deployment(object: &Value, revision: i64) -> anyhow::Result<Stage> {
    let name = object.name();
    if revision > 0 {
        let running = object.annotations().and_then(|a| a.get(super::history::REVISION)?.as_str()?.parse().ok());
        let running: i64 = running.with_context(|| format!("cannot get the revision of deployment {name:?}"))?;
        if running != revision {
            bail!("desired revision ({revision}) is different from the running revision ({running})");
        }
    }
    if !observed(object) {
        return Ok(Stage::Going("Waiting for deployment spec update to be observed...".into()));
    }
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let late = |c: &Value| c["type"] == "Progressing" && c["reason"] == "ProgressDeadlineExceeded";
    if conditions.into_iter().flatten().any(late) {
        bail!("deployment {name:?} exceeded its progress deadline");
    }
    let (updated, replicas) = (count(object, "/status/updatedReplicas"), count(object, "/status/replicas"));
    let (wanted, available) = (count(object, "/spec/replicas"), count(object, "/status/availableReplicas"));
    let waiting =
        |what: String| Ok(Stage::Going(format!("Waiting for deployment {name:?} rollout to finish: {what}...")));
    if updated < wanted {
        return waiting(format!("{updated} out of {wanted} new replicas have been updated"));
    }
    if replicas > updated {
        return waiting(format!("{} old replicas are pending termination", replicas - updated));
    }
    if available < updated {
        return waiting(format!("{available} of {updated} updated replicas are available"));
    }
    Ok(Stage::Done(format!("deployment {name:?} successfully rolled out")))
}

fn check_strategy(object: &Value) -> anyhow::Result<()> {
    match object.pointer("/spec/updateStrategy/type").and_then(Value::as_str) {
        Some("RollingUpdate") => Ok(()),
        _ => bail!("rollout status is only available for RollingUpdate strategy type"),
    }
}

fn daemon_set(object: &Value) -> anyhow::Result<Stage> {
    check_strategy(object)?;
    let name = object.name();
    if !observed(object) {
        return Ok(Stage::Going("Waiting for daemon set spec update to be observed...".into()));
    }
    let wanted = count(object, "/status/desiredNumberScheduled");
    let (updated, available) =
        (count(object, "/status/updatedNumberScheduled"), count(object, "/status/numberAvailable"));
    let waiting =
        |what: String| Ok(Stage::Going(format!("Waiting for daemon set {name:?} rollout to finish: {what}...")));
    if updated < wanted {
        return waiting(format!("{updated} out of {wanted} new pods have been updated"));
    }
    if available < wanted {
        return waiting(format!("{available} of {wanted} updated pods are available"));
    }
    Ok(Stage::Done(format!("daemon set {name:?} successfully rolled out")))
}

fn stateful_set(object: &Value) -> anyhow::Result<Stage> {
    check_strategy(object)?;
    if count(object, "/status/observedGeneration") == 0 || !observed(object) {
        return Ok(Stage::Going("Waiting for statefulset spec update to be observed...".into()));
    }
    let (wanted, ready) = (count(object, "/spec/replicas"), count(object, "/status/readyReplicas"));
    if ready < wanted {
        return Ok(Stage::Going(format!("Waiting for {} pods to be ready...", wanted - ready)));
    }
    let updated = count(object, "/status/updatedReplicas");
    let rolling = object.pointer("/spec/updateStrategy/rollingUpdate");
    if let Some(rolling) = rolling {
        let partition = rolling.get("partition").and_then(Value::as_i64);
        if let Some(partition) = partition.filter(|partition| updated < wanted - partition) {
            return Ok(Stage::Going(format!(
                "Waiting for partitioned roll out to finish: {updated} out of {} new pods have been updated...",
                wanted - partition
            )));
        }
        return Ok(Stage::Done(format!("partitioned roll out complete: {updated} new pods have been updated...")));
    }
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (update, current) = (text("/status/updateRevision"), text("/status/currentRevision"));
    if update != current {
        return Ok(Stage::Going(format!(
            "waiting for statefulset rolling update to complete {updated} pods at revision {update}..."
        )));
    }
    let pods = count(object, "/status/currentReplicas");
    Ok(Stage::Done(format!("statefulset rolling update complete {pods} pods at revision {current}...")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deploy(status: Value) -> Value {
        json!({"metadata": {"name": "web", "generation": 2}, "spec": {"replicas": 3}, "status": status})
    }

    #[test]
    fn stages_of_a_deployment() {
        let going = |text: &str| Stage::Going(text.to_owned());
        for (status, want) in [
            (json!({"observedGeneration": 1}), going("Waiting for deployment spec update to be observed...")),
            (
                json!({"observedGeneration": 2, "updatedReplicas": 1}),
                going("Waiting for deployment \"web\" rollout to finish: 1 out of 3 new replicas have been updated..."),
            ),
            (
                json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 4}),
                going("Waiting for deployment \"web\" rollout to finish: 1 old replicas are pending termination..."),
            ),
            (
                json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 2}),
                going("Waiting for deployment \"web\" rollout to finish: 2 of 3 updated replicas are available..."),
            ),
            (
                json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 3}),
                Stage::Done("deployment \"web\" successfully rolled out".into()),
            ),
        ] {
            assert_eq!(stage("Deployment", &deploy(status), 0).expect("a stage"), want);
        }
        let late = json!({"observedGeneration": 2, "conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]});
        let error = stage("Deployment", &deploy(late), 0).expect_err("late");
        assert_eq!(error.to_string(), "deployment \"web\" exceeded its progress deadline");
    }

    #[test]
    fn stages_of_sets() {
        let set = json!({"metadata": {"name": "s", "generation": 1}, "spec": {"replicas": 2, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}},
            "status": {"observedGeneration": 1, "readyReplicas": 1}});
        assert_eq!(
            stage("StatefulSet", &set, 0).expect("a stage"),
            Stage::Going("Waiting for 1 pods to be ready...".into())
        );
        let daemons = json!({"metadata": {"name": "d", "generation": 1}, "spec": {"updateStrategy": {"type": "RollingUpdate"}},
            "status": {"observedGeneration": 1, "desiredNumberScheduled": 1, "updatedNumberScheduled": 1, "numberAvailable": 1}});
        assert_eq!(
            stage("DaemonSet", &daemons, 0).expect("a stage"),
            Stage::Done("daemon set \"d\" successfully rolled out".into())
        );
        assert!(stage("DaemonSet", &json!({"spec": {"updateStrategy": {"type": "OnDelete"}}}), 0).is_err());
        assert!(stage("Pod", &json!({}), 0).is_err());
    }
}
