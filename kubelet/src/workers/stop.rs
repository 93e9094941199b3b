//! Stopping containers and pods.

use super::deps::Deps;
use crate::events::Severity;
use crate::lifecycle;
use crate::pod::{PodExt, is_sidecar};
use crate::runtime::{ContainerRecord, ContainerState, PodRecord, Runtime, RuntimeError};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use std::time::{Duration, Instant};

/// The least that a container gets after its hook has used the grace up.
const LEAST_GRACE: i64 = 2;

/// Stops all that runs of a pod: the main containers side by side, then the sidecars in reverse
/// order, then the sandboxes. What is stopped already is left alone.
pub async fn pod(deps: &Deps, pod: &Pod, record: &PodRecord, grace: i64) -> Result<(), RuntimeError> {
    let begun = Instant::now();
    let sidecars: Vec<&str> = pod.init_containers().iter().filter(|c| is_sidecar(c)).map(|c| c.name.as_str()).collect();
    let (last, first): (Vec<_>, Vec<_>) = live(record).partition(|c| sidecars.contains(&c.name.as_str()));
    let text = |c: &ContainerRecord| format!("Stopping container {}", c.name);
    try_join_all(first.into_iter().map(|c| container(deps, pod, record, c, text(c), grace))).await?;
    for name in sidecars.iter().rev() {
        let left = (grace - i64::try_from(begun.elapsed().as_secs()).unwrap_or(grace)).max(LEAST_GRACE.min(grace));
        for c in last.iter().filter(|c| c.name == *name) {
            container(deps, pod, record, c, text(c), left).await?;
        }
    }
    for sandbox in record.sandboxes.iter() {
        deps.runtime.stop_sandbox(&sandbox.id).await?;
    }
    Ok(())
}

fn live(record: &PodRecord) -> impl Iterator<Item = &ContainerRecord> {
    record.containers.iter().filter(|c| matches!(c.state, ContainerState::Running | ContainerState::Unknown))
}

/// Runs the container's preStop hook and stops it, in `grace` seconds all together.
pub async fn container(
    deps: &Deps,
    pod: &Pod,
    record: &PodRecord,
    c: &ContainerRecord,
    text: String,
    grace: i64,
) -> Result<(), RuntimeError> {
    deps.events.container(pod, &c.name, Severity::Normal, "Killing", text);
    let begun = Instant::now();
    if grace > 0 {
        pre_stop(deps, pod, record, c, grace).await;
    }
    let used = i64::try_from(begun.elapsed().as_secs()).unwrap_or(grace);
    let left = (grace - used).max(LEAST_GRACE.min(grace));
    deps.runtime.stop_container(&c.id, left).await?;
    deps.probes.forget_container(&c.id);
    Ok(())
}

async fn pre_stop(deps: &Deps, pod: &Pod, record: &PodRecord, c: &ContainerRecord, grace: i64) {
    let Some(spec) = pod.container(&c.name) else { return };
    let Some(hook) = spec.lifecycle.as_ref().and_then(|l| l.pre_stop.clone()) else { return };
    let limit = Duration::from_secs(u64::try_from(grace).unwrap_or(0));
    let ip = record.ips().first().cloned().unwrap_or_default();
    match lifecycle::run(&deps.runtime, &spec, &c.id, &ip, &hook, limit).await {
        Ok(ran) => {
            if let Some((reason, text)) = ran.warning() {
                deps.events.pod(pod, Severity::Warning, reason, text);
            }
        }
        Err(e) => {
            tracing::warn!(pod = pod.formatted(), container = c.name, error = %e, "preStop hook failed");
            deps.events.container(pod, &c.name, Severity::Warning, "FailedPreStopHook", "PreStopHook failed");
        }
    }
}

/// Removes a stopped pod from the runtime.
pub async fn remove_all(runtime: &Runtime, uid: &str) -> Result<(), RuntimeError> {
    let record = runtime.pod(uid).await?;
    for c in &record.containers {
        runtime.remove_container(&c.id).await?;
    }
    for sandbox in &record.sandboxes {
        runtime.stop_sandbox(&sandbox.id).await?;
        runtime.remove_sandbox(&sandbox.id).await?;
    }
    Ok(())
}
