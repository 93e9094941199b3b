//! Rotates the logs of running containers when they have grown too long.
//!
//! Upstream: `pkg/kubelet/logs/container_log_manager.go`.

pub mod rotate;

use crate::runtime::{Runtime, RuntimeError};
use component::Supervisor;
use rotate::Policy;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Why a log could not be rotated.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system.
    #[error("{action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    /// The runtime did not take a new file.
    #[error("reopen the container's log")]
    Reopen(#[source] RuntimeError),
    /// The kubelet ends.
    #[error("interrupted")]
    Interrupted,
}

/// Looks at the logs of all running containers every now and then.
#[derive(Clone)]
pub struct Rotation {
    pub runtime: Runtime,
    /// `podLogsDir`.
    pub folder: PathBuf,
    pub policy: Policy,
    /// `containerLogMonitorInterval`.
    pub every: Duration,
    /// `containerLogMaxWorkers`: logs rotated side by side.
    pub workers: usize,
    pub supervisor: Supervisor,
}

impl Rotation {
    /// Rotates for ever; give it to the supervisor.
    pub async fn run(self) {
        let slots = Arc::new(Semaphore::new(self.workers));
        let mut ticks = tokio::time::interval(self.every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let running = match self.runtime.running_logs().await {
                Ok(running) => running,
                Err(e) => {
                    tracing::warn!(error = %e, "cannot list the containers whose logs are to be rotated");
                    continue;
                }
            };
            // Whoever waits for a slot holds the next round up, so that no log is worked on twice.
            for (id, relative) in running {
                let Ok(slot) = slots.clone().acquire_owned().await else { return };
                let (rotation, path) = (self.clone(), self.folder.join(relative));
                self.supervisor.spawn_until_stop("log-rotation", async move {
                    if let Err(e) = rotation.look(&id, path.clone()).await {
                        tracing::warn!(container = id, path = %path.display(), error = chain(&e), "cannot rotate a log");
                    }
                    drop(slot);
                });
            }
            let Ok(all) = slots.acquire_many(u32::try_from(self.workers).unwrap_or(u32::MAX)).await else { return };
            drop(all);
        }
    }

    /// Rotates one log, if it is long enough.
    pub async fn look(&self, id: &str, path: PathBuf) -> Result<(), LogError> {
        let length = match std::fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            // A rotation that was broken off may have lost the file: the runtime makes it anew.
            Err(e) if e.kind() == ErrorKind::NotFound => {
                return self.runtime.reopen_log(id).await.map_err(LogError::Reopen);
            }
            Err(source) => return Err(LogError::Io { action: "look at", path, source }),
        };
        if length < self.policy.longest {
            return Ok(());
        }
        let (policy, log) = (self.policy, path.clone());
        blocking(move || rotate::make_room(&log, policy)).await?;
        let aside = rotate::move_aside(&path, k8s_openapi::jiff::Timestamp::now())?;
        if let Err(e) = self.runtime.reopen_log(id).await {
            // The container still writes there: next time again.
            rotate::rename(&aside, &path)?;
            return Err(LogError::Reopen(e));
        }
        Ok(())
    }
}

async fn blocking(work: impl FnOnce() -> Result<(), LogError> + Send + 'static) -> Result<(), LogError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(LogError::Interrupted))
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
