//! Removes what pods left behind: dead containers beyond the newest, old sandboxes, control
//! groups and folders of pods that nobody knows.
//!
//! Upstream: `pkg/kubelet/kuberuntime/kuberuntime_gc.go`, `pkg/kubelet/kubelet_pods.go`.

use crate::runtime::{ContainerState, PodRecord, Runtime, RuntimeError};
use crate::workers::{Deps, Workers, files};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(60);

/// Cleans up for ever; give it to the supervisor. It begins when the pods are known.
pub async fn run(deps: Arc<Deps>, workers: Workers) {
    loop {
        tokio::time::sleep(PERIOD).await;
        if let Err(e) = containers(&deps.runtime).await {
            tracing::warn!(error = %e, "container garbage collection");
        }
        orphans(&deps, &workers).await;
        files::remove_dead_links(&deps.settings);
        if let Err(e) = deps.cgroups.balance(&workers.active()) {
            tracing::debug!(error = %e, "cannot balance the quality-of-service cgroups");
        }
    }
}

/// Removes dead containers and sandboxes that nobody needs any more.
pub async fn containers(runtime: &Runtime) -> Result<(), RuntimeError> {
    for (uid, outline) in runtime.relist().await? {
        let dead = outline.containers.values().filter(|s| **s == ContainerState::Exited).count();
        if dead < 2 && outline.sandboxes.len() < 2 {
            continue;
        }
        let record = runtime.pod(&uid).await?;
        let (containers, sandboxes) = superfluous(&record);
        for id in containers {
            runtime.remove_container(id).await?;
        }
        for id in sandboxes {
            runtime.stop_sandbox(id).await?;
            runtime.remove_sandbox(id).await?;
        }
    }
    Ok(())
}

/// Dead containers with a newer dead one of the same name (which is kept for its logs), and dead
/// sandboxes that are not the newest and hold nothing that is kept.
fn superfluous(record: &PodRecord) -> (Vec<&str>, Vec<&str>) {
    let mut seen = HashSet::new();
    let dead = record.containers.iter().filter(|c| c.state == ContainerState::Exited);
    let containers: Vec<&str> = dead.filter(|c| !seen.insert(c.name.as_str())).map(|c| c.id.as_str()).collect();
    let kept: HashSet<&str> =
        record.containers.iter().filter(|c| !containers.contains(&c.id.as_str())).map(|c| c.sandbox.as_str()).collect();
    let old = record.sandboxes.iter().skip(1).filter(|s| !s.ready && !kept.contains(s.id.as_str()));
    let sandboxes = old.map(|s| s.id.as_str()).collect();
    (containers, sandboxes)
}

/// Control groups and folders of pods without a worker.
async fn orphans(deps: &Deps, workers: &Workers) {
    for uid in deps.cgroups.pods().into_iter().filter(|uid| !workers.knows(uid)) {
        if let Err(e) = deps.cgroups.remove(&uid) {
            tracing::warn!(uid, error = %e, "cannot remove an orphan's cgroup");
        }
    }
    let (mut orphans, mut failures) = (0, 0);
    for uid in deps.volumes.pods_on_disk().into_iter().filter(|uid| !workers.knows(uid)) {
        orphans += 1;
        if let Err(e) = deps.remove_volumes(&uid).await {
            failures += 1;
            tracing::warn!(uid, error = %e, "cannot remove an orphan's folder");
        }
    }
    deps.runtime.metrics().pods.swept(orphans, failures);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{ContainerRecord, SandboxRecord};

    #[test]
    fn the_newest_dead_container_stays() {
        let c = |id: &str, name: &str, sandbox: &str, state| ContainerRecord {
            id: id.into(),
            name: name.into(),
            sandbox: sandbox.into(),
            state,
            ..ContainerRecord::default()
        };
        let s = |id: &str, ready| SandboxRecord { id: id.into(), ready, ..SandboxRecord::default() };
        let record = PodRecord {
            sandboxes: vec![s("new", true), s("old", false), s("oldest", false)],
            containers: vec![
                c("3", "a", "new", ContainerState::Running),
                c("2", "a", "old", ContainerState::Exited),
                c("1", "a", "oldest", ContainerState::Exited),
            ],
        };
        assert_eq!(superfluous(&record), (vec!["1"], vec!["oldest"]));
    }
}
